"""Cross-origin access (Fetch §3.3): answered by the gateway, and on refusals as well.

A browser shows a script nothing of a 401 without these fields, so that a client would never refresh its token.
"""

from collections.abc import Iterator

import pytest

from tests.integration.data_plane import HOST, Plane, bearer, get, post, running_plane
from tests.integration.raw_client import assert_refusal
from tests.integration.scripted_upstream import answers, plain

ORIGIN = b"Origin: https://app.example.org"


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    cors = {"allow_origins": ["https://app.example.org"], "max_age": "10m"}
    with running_plane(tmp_path_factory.mktemp("cross-origin"), cors=cors) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


def test_preflight_is_answered_without_a_token(plane: Plane) -> None:
    lines = (ORIGIN, b"Access-Control-Request-Method: PUT", b"Access-Control-Request-Headers: authorization")
    with plane.connect() as client:
        for target in ("/required/x", "/public/x", "/nowhere", "/api/token/"):
            client.send(get(target, *lines, method="OPTIONS"))
            answer = client.read()
            assert answer.status == 204
            assert answer.field("access-control-allow-origin") == "https://app.example.org"
            assert "PUT" in (answer.field("access-control-allow-methods") or "")
            assert "authorization" in (answer.field("access-control-allow-headers") or "")
            assert answer.field("access-control-max-age") == "600"
            assert answer.field("vary") == "Origin"
    assert plane.upstream.requests == []


def test_preflight_of_another_origin_gets_no_permission(plane: Plane) -> None:
    for origin in (b"https://evil.example.org", b"null", b"https://app.example.org.evil", b"HTTPS://APP.EXAMPLE.ORG"):
        lines = (b"Origin: " + origin, b"Access-Control-Request-Method: PUT")
        answer = plane.ask(get("/required/x", *lines, method="OPTIONS"))
        assert not [name for name, _ in answer.fields if name.startswith("access-control-")]
    assert plane.upstream.requests == []


@pytest.mark.parametrize("lines", [(), (ORIGIN,), (b"Access-Control-Request-Method: PUT",)])
def test_options_that_is_no_preflight_needs_the_token(plane: Plane, lines: tuple[bytes, ...]) -> None:
    assert_refusal(plane.ask(get("/required/x", *lines, method="OPTIONS")), 401)


@pytest.mark.parametrize(
    "raw",
    [
        get("/required/x", ORIGIN),
        get("/required/x", ORIGIN, b"Authorization: Bearer x"),
        get("/nowhere", ORIGIN),
        get("/admin/x", ORIGIN, bearer()),
        get("/public/x", ORIGIN),
        post("/api/token/", b"{}", ORIGIN, b"Content-Type: application/json"),
        b"GET /public/.. HTTP/1.1\r\n" + HOST + b"\r\n" + ORIGIN + b"\r\n\r\n",
    ],
    ids=["401", "401-bad-token", "404", "403", "200", "login-400", "400-target"],
)
def test_cors_fields_are_on_every_answer(plane: Plane, raw: bytes) -> None:
    plane.upstream.play(
        answers(plain(b"x", b"Access-Control-Allow-Origin: *", b"Access-Control-Allow-Credentials: true"))
    )
    answer = plane.ask(raw)
    assert answer.values("access-control-allow-origin") == ["https://app.example.org"]
    assert answer.values("access-control-allow-credentials") == []
    assert "x-request-id" in (answer.field("access-control-expose-headers") or "").lower()
    assert "Origin" in (answer.field("vary") or "")


def test_other_origins_see_nothing_and_caches_know_it(plane: Plane) -> None:
    for lines in ((b"Origin: https://evil.example.org",), ()):
        answer = plane.ask(get("/required/x", *lines))
        assert (answer.field("access-control-allow-origin"), answer.field("vary")) == (None, "Origin")
