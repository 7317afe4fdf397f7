"""What holds for all four endpoints: methods, negotiation, reading of bodies, answers (contract §1, §2, §7)."""

import gzip
import json
import logging
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.endpoints.body import MAX_BODY_BYTES
from tests.unit.endpoints.plane import EVERY_ANSWER, JSON, Plane

ENDPOINTS = ["", "refresh/", "verify/", "blacklist/"]


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> object:
    """Row 84: none of these requests may leave a stack trace in the log."""
    yield
    assert not [record for record in caplog.records if record.exc_info]


def requests(plane: Plane) -> dict[str, tuple[int, dict[str, str]]]:
    token = plane.token
    return {
        "200": (200, plane.ask("verify/", {"token": token("access")}).fields),
        "400": (400, plane.ask("", {}).fields),
        "401": (401, plane.ask("", {"username": "a", "password": "b"}).fields),
        "405": (405, plane.ask("", method="GET").fields),
        "406": (406, plane.ask("", {}, JSON | {"Accept": "application/xml"}).fields),
        "413": (413, plane.ask("", b"x" * (MAX_BODY_BYTES + 1)).fields),
        "415": (415, plane.ask("", b"x", {}).fields),
        "options": (200, plane.ask("", method="OPTIONS").fields),
    }


def test_s54_s85_every_answer_carries_the_same_fields(plane: Plane) -> None:
    for name, (_, fields) in requests(plane).items():
        assert {key: fields.get(key) for key in EVERY_ANSWER} == EVERY_ANSWER, name
        assert fields["Allow"] == "POST, OPTIONS", name
        others = set(fields) - set(EVERY_ANSWER) - {"Allow", "Date", "Content-Length", "WWW-Authenticate", "Connection"}
        assert not others, name
        assert ("WWW-Authenticate" in fields) is (name == "401")


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_s59_other_methods(plane: Plane, endpoint: str, method: str) -> None:
    answer = plane.ask(endpoint, method=method)
    assert (answer.status, answer.content) == (405, f'{{"detail":"Method \\"{method}\\" not allowed."}}'.encode())
    assert answer.challenge is None


def test_head_is_405_without_a_body(plane: Plane) -> None:
    answer = plane.ask("", method="HEAD")
    assert (answer.status, answer.content) == (405, b"")
    assert answer.fields["Content-Length"] == "41"


@pytest.mark.parametrize(
    ("endpoint", "name", "fields"),
    [
        ("", "Token Obtain Pair", ["username", "password"]),
        ("refresh/", "Token Refresh", ["refresh"]),
        ("verify/", "Token Verify", ["token"]),
        ("blacklist/", "Token Blacklist", ["refresh"]),
    ],
)
def test_options(plane: Plane, endpoint: str, name: str, fields: list[str]) -> None:
    answer = plane.ask(endpoint, method="OPTIONS")
    assert answer.status == 200
    assert list(answer.json) == ["name", "description", "renders", "parses", "actions"]
    assert answer.json["name"] == name
    assert list(answer.json["actions"]["POST"]) == fields
    assert answer.json["actions"]["POST"][fields[0]] == {
        "type": "string",
        "required": True,
        "read_only": False,
        "label": fields[0].capitalize(),
    }


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_without_the_slash(plane: Plane, endpoint: str) -> None:
    path = f"/api/token/{endpoint}".rstrip("/")
    assert plane.run(plane.exchange("POST", path, b"{}", JSON)).status == 400


@pytest.mark.parametrize("path", ["/", "/api/", "/api/token//", "/api/token/refresh/x", "/API/token/", "/api/tokenx"])
def test_s28_other_paths_are_404(plane: Plane, path: str) -> None:
    answer = plane.run(plane.exchange("POST", path, b"{}", JSON))
    assert (answer.status, answer.json) == (404, {"detail": "Not found.", "code": "no_route"})
    assert {key: answer.fields.get(key) for key in EVERY_ANSWER} == EVERY_ANSWER
    assert "Server" not in answer.fields


@pytest.mark.parametrize(
    ("accept", "status"),
    [("application/xml", 406), ("text/html", 400), ("", 406), ("*/*", 400), ("a/b, */*;q=0.1", 400)],
)
def test_accept(plane: Plane, accept: str, status: int) -> None:
    answer = plane.ask("", {}, JSON | {"Accept": accept})
    assert answer.status == status
    assert answer.fields["Content-Type"] == "application/json"


def test_what_is_acceptable_is_decided_before_the_method(plane: Plane) -> None:
    assert plane.ask("", None, {"Accept": "application/xml"}, method="GET").status == 406


def test_format_in_the_query(plane: Plane) -> None:
    assert plane.ask("?format=json", {}).status == 400
    answer = plane.ask("?format=xml", {})
    assert (answer.status, answer.json) == (404, {"detail": "Not found."})


@pytest.mark.parametrize(
    ("field", "echo"),
    [
        (b"Content-Type: text/plain;charset=UTF-8\r\n", "text/plain;charset=UTF-8"),
        (b"Content-Type: A/B ;  x=\xff\r\n", "A/B ;  x=\xff"),
        (b"", ""),
    ],
)
def test_415_echoes_the_field_exactly(plane: Plane, field: bytes, echo: str) -> None:
    head = b"POST /api/token/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n"
    received = plane.raw(head + field + b"\r\n{}")
    assert received.startswith(b"HTTP/1.1 415 ")
    body = json.loads(received.partition(b"\r\n\r\n")[2])
    assert body == {"detail": f'Unsupported media type "{echo}" in request.'}


def test_s49_the_body_is_bounded_by_its_length(plane: Plane) -> None:
    blanks = b" " * (MAX_BODY_BYTES - 2)
    assert plane.ask("", b"{}" + blanks).status == 400
    answer = plane.ask("", b"{}" + blanks + b" ")
    assert (answer.status, answer.json) == (413, {"detail": "The request body is larger than 65536 bytes."})
    assert answer.fields["Connection"] == "close"


def test_s49_a_length_beyond_the_bound_is_refused_unread(plane: Plane) -> None:
    head = b"POST /api/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    assert plane.raw(head % (MAX_BODY_BYTES + 1), timeout=0.2).startswith(b"HTTP/1.1 413 ")


def test_s49_a_chunked_body_is_read_and_bounded(plane: Plane) -> None:
    head = b"POST /api/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    content = json.dumps({"username": "alice", "password": "alice-pass-1"}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in content) + b"0\r\n\r\n"
    received = plane.raw(head + b"Connection: close\r\n\r\n" + chunks)
    assert received.startswith(b"HTTP/1.1 200 ")
    received = plane.raw(head + b"\r\n" + (b"1000\r\n" + b" " * 0x1000 + b"\r\n") * 17, timeout=0.2)
    assert received.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip", "x"])
def test_s49_a_packed_body_is_refused_unread(plane: Plane, coding: str) -> None:
    content = gzip.compress(b" " * 10_000_000)
    answer = plane.ask("", content, JSON | {"Content-Encoding": coding})
    assert (answer.status, answer.json) == (
        415,
        {"detail": "A request body with a Content-Encoding is not accepted here."},
    )
    assert plane.ask("", b"{}", JSON | {"Content-Encoding": "identity"}).status == 400


def test_s78_a_body_that_drips_in_is_given_up(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(body_timeout=0.1)
    head = b"POST /api/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    received = plane.raw(head + b"{", timeout=0.5)
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"body_timeout"' in received
    assert b"Connection: close" in received


@pytest.mark.parametrize("chunk", [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}x\r\n0\r\n\r\n", b"-2\r\n{}\r\n"])
def test_s84_a_broken_chunk_ends_the_connection(make_plane: Callable[..., Plane], chunk: bytes) -> None:
    """At once where it comes with the head; amid a body aiohttp does not tell the reader, so the deadline ends it."""
    plane = make_plane(body_timeout=0.1)
    head = (
        b"POST /api/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert plane.raw(head + chunk, timeout=0.3).split(b" ")[1] == b"400"
    assert plane.raw(head, chunk, timeout=0.3).split(b" ")[1] == b"408"


def test_s84_a_client_that_leaves_amid_its_body_is_no_error(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /api/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    plane.raw(head + b"{", timeout=0.05)
    assert plane.ask("", {}).status == 400
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_s17_expectations(plane: Plane) -> None:
    head = b"POST /api/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    received = plane.raw(head + b"Connection: close\r\nExpect: 100-Continue\r\n\r\n", b"{}")
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 ")
    received = plane.raw(head + b"Expect: wonders\r\n\r\n{}")
    assert received.startswith(b"HTTP/1.1 417 ")
    assert b'"code":"expectation_failed"' in received
    assert b"Server:" not in received


def test_a_connection_is_kept(plane: Plane) -> None:
    request = b"POST /api/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    last = request.replace(b"Host: a\r\n", b"Host: a\r\nConnection: close\r\n")
    assert plane.raw(request * 3 + last).count(b"HTTP/1.1 400 ") == 4


def test_scheme_and_realm_of_the_challenge(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(scheme="JWT", realm="intranet")
    assert plane.ask("refresh/", {"refresh": "x"}).challenge == 'JWT realm="intranet"'


def test_s84_what_nobody_foresaw_is_500_without_a_word(
    make_plane: Callable[..., Plane], caplog: pytest.LogCaptureFixture
) -> None:
    plane = make_plane()
    plane.clock.now = "no number"  # type: ignore[assignment]
    answer = plane.ask("", {"username": "alice", "password": "alice-pass-1"})
    assert (answer.status, answer.json["code"]) == (500, "internal_error")
    assert list(answer.json) == ["detail", "code"]
    assert b"number" not in answer.content
    assert "Server" not in answer.fields
    assert {key: answer.fields.get(key) for key in EVERY_ANSWER} == EVERY_ANSWER
    [record] = [record for record in caplog.records if record.exc_info]
    assert record.name == "gateway.endpoints"
    caplog.clear()


FIELDS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.lists(st.text())
OBJECTS = st.dictionaries(st.sampled_from(["username", "password", "refresh", "token", "x"]), FIELDS)
BODIES = OBJECTS.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=100)
TYPES = st.sampled_from(
    ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain", "*/*"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(ENDPOINTS), BODIES, TYPES)
def test_s84_no_body_makes_anything_but_a_documented_refusal(
    plane: Plane, endpoint: str, content: bytes, content_type: str
) -> None:
    answer = plane.ask(endpoint, content, {"Content-Type": content_type})
    assert answer.status in (400, 401, 415)
    assert isinstance(answer.json, dict)
