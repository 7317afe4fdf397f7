"""Heads of backends: strict, and remembered names never change an answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Reason, Refused
from gateway.http.fields import MAX_CONNECTION_OPTIONS, ResponseFieldUses
from gateway.http.heads import HTTP10, HTTP11
from gateway.http.responses import Response, ResponseReader, is_event_stream


def reader() -> ResponseReader:
    return ResponseReader(uses=ResponseFieldUses())


def read(*lines: bytes, of: ResponseReader | None = None) -> Response:
    return (of or reader()).read(b"\r\n".join(lines) + b"\r\n\r\n")


def refusal(*lines: bytes, of: ResponseReader | None = None) -> Reason:
    with pytest.raises(Refused) as caught:
        read(*lines, of=of)
    return caught.value.reason


def test_what_is_read_of_an_answer() -> None:
    response = read(
        b"HTTP/1.1 201 Made it",
        b"Set-Cookie: a=b; Path=/",
        b"Content-Length: 5",
        b"Keep-Alive: timeout=5",
        b"X-Request-Id: theirs",
        b"set-cookie:c",
        b"X_Odd:\t\xff ",
    )
    assert response == Response(
        status=201,
        line=b"HTTP/1.1 201 Made it",
        version=HTTP11,
        passed=[b"Set-Cookie: a=b; Path=/", b"set-cookie:c", b"X_Odd:\t\xff "],
        content_length=b"5",
    )


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        (b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK"),
        (b"HTTP/1.0 200 OK", b"HTTP/1.1 200 OK"),
        (b"HTTP/1.1 200 ", b"HTTP/1.1 200 "),
        (b"HTTP/1.1 200", b"HTTP/1.1 200 "),
        (b"HTTP/1.1 299 Caf\xc3\xa9", b"HTTP/1.1 299 Caf\xc3\xa9"),
        (b"HTTP/1.1 299 Caf\xe9", b"HTTP/1.1 299 Caf\xe9"),
        (b"HTTP/1.1 100 Continue", b"HTTP/1.1 100 Continue"),
        (b"HTTP/1.1 999 x", b"HTTP/1.1 999 x"),
    ],
)
def test_the_status_line_is_ours_with_the_backends_phrase(line: bytes, sent: bytes) -> None:
    once = reader()
    assert read(line, of=once).line == sent
    assert read(line, of=once).line == sent


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 0 x",
        b"HTTP/1.1 OK",
        b"HTTP/2.0 200 OK",
        b"HTTP/0.9 200 OK",
        b"HTTP/1.1 200 O\x00K",
        b"HTTP/1.1 200 a\rb",
        b"ICY 200 OK",
        b"",
        b" HTTP/1.1 200 OK",
    ],
)
def test_s73_any_other_status_line_is_a_broken_answer(line: bytes) -> None:
    once = reader()
    for _ in range(2):
        assert refusal(line, of=once) is Reason.UPSTREAM_BROKEN


BROKEN = {
    "two lengths": [b"Content-Length: 5", b"Content-Length: 6"],
    "two equal lengths": [b"Content-Length: 5", b"content-length: 5"],
    "two codings": [b"Transfer-Encoding: chunked", b"transfer-encoding: chunked"],
    "fold": [b"X: a", b" b"],
    "tab fold": [b"X: a", b"\tb"],
    "first line folded": [b" X: a"],
    "nul": [b"X: \x00"],
    "bare cr": [b"X: a\rSet-Cookie: b"],
    "bare lf": [b"X: a\nSet-Cookie: b"],
    "no colon": [b"X"],
    "blank before the colon": [b"Content-Length : 5"],
    "name with a blank": [b"X Y: a"],
    "too many connection options": [b"Connection: " + b"a," * (MAX_CONNECTION_OPTIONS + 1)],
}


@pytest.mark.parametrize("lines", BROKEN.values(), ids=BROKEN.keys())
def test_s73_an_answer_with_two_readings_is_broken(lines: list[bytes]) -> None:
    once = reader()
    for version in (b"HTTP/1.1", b"HTTP/1.0"):
        for _ in range(2):
            assert refusal(version + b" 200 OK", *lines, of=once) is Reason.UPSTREAM_BROKEN
    # Each line for itself may be a good one, and a good answer is read as ever.
    assert read(b"HTTP/1.1 200 OK", b"X: a", of=once).passed == [b"X: a"]


@pytest.mark.parametrize(
    ("version", "lines", "closes"),
    [
        (b"HTTP/1.1", [], False),
        (b"HTTP/1.1", [b"Connection: keep-alive"], False),
        (b"HTTP/1.1", [b"Connection: Close"], True),
        (b"HTTP/1.1", [b"Connection: x-a, close"], True),
        (b"HTTP/1.1", [b"Connection: x-a", b"Connection: close"], True),
        (b"HTTP/1.0", [], True),
        (b"HTTP/1.0", [b"Connection: keep-alive"], False),
        (b"HTTP/1.0", [b"Connection: keep-alive, close"], True),
        (b"HTTP/1.0", [b"Connection: x"], True),
    ],
)
def test_rfc9112_9_3_when_the_connection_ends(version: bytes, lines: list[bytes], closes: bool) -> None:
    response = read(version + b" 200 OK", *lines)
    assert response.should_close is closes
    assert response.version is (HTTP10 if version == b"HTTP/1.0" else HTTP11)


def test_rfc9110_7_6_1_nominated_fields_end_here() -> None:
    lines = [b"X-Hop: 1", b"Connection: x-hop, close", b"X-Stays: 2", b"x-HOP: 3"]
    assert read(b"HTTP/1.1 200 OK", *lines).passed == [b"X-Stays: 2"]


def test_the_backends_cors_fields_are_set_apart() -> None:
    lines = (b"Access-Control-Allow-Origin: *", b"access-control-max-age: 5")
    response = read(b"HTTP/1.1 200 OK", lines[0], b"X: a", lines[1])
    assert (response.passed, response.access_control) == ([b"X: a"], lines)
    assert read(b"HTTP/1.1 200 OK", b"X: a").access_control == ()
    nominated = read(b"HTTP/1.1 200 OK", *lines, b"Connection: access-control-max-age")
    assert nominated.access_control == lines[:1]


_WARMED = reader()
_LINES = st.sampled_from(
    [
        b"X: y",
        b"X: y\rz",
        b"X: \x00",
        b" fold",
        b"no colon",
        b"Content-Length: 1",
        b"Content-Length: 2",
        b"Content-Length: +1",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Connection: close",
        b"Connection: keep-alive, x",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Set-Cookie: a",
        b"X-Request-Id: a",
    ]
)
_STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 101 x", b"HTTP/1.1 204", b"HTTP/2.0 200 OK", b"HTTP/1.1 "]
)


def outcome(of: ResponseReader, lines: list[bytes]) -> Response | Reason:
    try:
        return read(*lines, of=of)
    except Refused as refused:
        return refused.reason


@settings(max_examples=300, deadline=None)
@given(_STATUS_LINES, st.lists(_LINES | st.binary(max_size=10).filter(lambda line: b"\r\n" not in line), max_size=6))
def test_s84_no_head_raises_anything_else_and_remembered_names_change_nothing(
    first: bytes, fields: list[bytes]
) -> None:
    lines = [first, *fields]
    if any(not line or line[-1:] == b"\r" or line[:1] == b"\n" for line in lines):
        return  # such a head would have been cut elsewhere
    fresh = outcome(reader(), lines)
    assert fresh is Reason.UPSTREAM_BROKEN or isinstance(fresh, Response)
    assert outcome(_WARMED, lines) == fresh
    assert outcome(_WARMED, lines) == fresh


@pytest.mark.parametrize(
    ("lines", "is_stream"),
    [
        ([b"Content-Type: text/event-stream"], True),
        ([b"X-A: b", b"content-TYPE:\tText/Event-Stream ; charset=utf-8"], True),
        ([b"Content-Type: text/event-streams"], False),
        ([b"Content-Type: text/plain", b"Content-Type: text/event-stream"], False),
        ([b"X-Content-Type: text/event-stream"], False),
        ([], False),
    ],
)
def test_an_event_stream_is_known_by_its_content_type(lines: list[bytes], is_stream: bool) -> None:
    assert is_event_stream(read(b"HTTP/1.1 200 OK", *lines)) is is_stream
