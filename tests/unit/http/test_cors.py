"""What a browser is told, by the Fetch standard; what an origin that nobody allowed is not told."""

from typing import Any

import pytest

from gateway.http.cors import VARY, CorsPolicy

APP = b"https://app.example.org"


def policy(**changes: Any) -> CorsPolicy:
    usual: dict[str, Any] = {
        "allow_origins": ["https://app.example.org", "http://localhost:4200"],
        "allow_methods": ["GET", "PATCH"],
        "allow_headers": ["authorization", "content-type"],
        "expose_headers": [],
        "allow_credentials": False,
        "max_age": 600.0,
    }
    return CorsPolicy(**(usual | changes))


def fields(lines: bytes) -> dict[str, str]:
    """The lines as fields; each of them ends, and none comes twice."""
    assert lines.endswith(b"\r\n")
    pairs = [line.split(": ", 1) for line in lines.decode().removesuffix("\r\n").split("\r\n")]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_an_allowed_origin_may_read_the_answer() -> None:
    assert fields(policy().fields(APP)) == {"Access-Control-Allow-Origin": APP.decode(), "Vary": "Origin"}


def test_credentials_and_exposed_fields_are_named_where_they_are_configured() -> None:
    told = fields(policy(allow_credentials=True, expose_headers=["X-Request-Id", "X-Total"]).fields(APP))
    assert told == {
        "Access-Control-Allow-Origin": APP.decode(),
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "X-Request-Id, X-Total",
        "Vary": "Origin",
    }


@pytest.mark.parametrize(
    "origin",
    [
        None,
        b"",
        b"null",
        b"https://app.example.org.evil.example",
        b"https://app.example.org:443",
        b"https://APP.example.org",
        b"http://app.example.org",
        b"https://app.example.org/",
        b" https://app.example.org",
        b"*",
    ],
)
def test_any_other_origin_is_told_nothing_and_caches_know_it(origin: bytes | None) -> None:
    one = policy(allow_credentials=True, expose_headers=["X-Total"])
    assert one.fields(origin) == one.preflight_fields(origin) == VARY == b"Vary: Origin\r\n"


def test_a_preflight_is_told_what_it_asks_for() -> None:
    assert fields(policy(allow_credentials=True, expose_headers=["X-Total"]).preflight_fields(APP)) == {
        "Access-Control-Allow-Origin": APP.decode(),
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "GET, PATCH",
        "Access-Control-Allow-Headers": "authorization, content-type",
        "Access-Control-Max-Age": "600",
        "Vary": "Origin",
    }


@pytest.mark.parametrize("origin", [None, b"null", b"https://anybody.example"])
def test_the_star_is_the_same_for_everybody_and_so_varies_with_nobody(origin: bytes | None) -> None:
    one = policy(allow_origins=["*"], expose_headers=["X-Total"])
    assert fields(one.fields(origin)) == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "X-Total",
    }
    assert fields(one.preflight_fields(origin))["Access-Control-Allow-Origin"] == "*"
