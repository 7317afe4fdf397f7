"""The contract with aiohttp's C parsers, which this project stands on: what they take, refuse and leave behind."""

import os
import subprocess
import sys

import pytest
from aiohttp import http as aiohttp_http
from aiohttp.http import HttpRequestParser, HttpResponseParser
from aiohttp.http_parser import HttpRequestParserPy
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.http.heads import (
    HTTP10,
    HTTP11,
    HeadParser,
    MalformedHeadError,
    UnsupportedVersionError,
    known_version,
    require_c_parsers,
)

REQUESTS = HeadParser.for_requests(max_line_bytes=8192)
RESPONSES = HeadParser.for_responses(max_line_bytes=8192)
GET = [b"GET /a?b HTTP/1.1", b"Host: a"]
OK = [b"HTTP/1.1 200 OK"]


def test_s19_the_parsers_are_aiohttps_c_parsers() -> None:
    require_c_parsers()
    assert HttpRequestParser.__module__ == HttpResponseParser.__module__ == "aiohttp._http_parser"


def test_s19_the_pure_python_parser_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiohttp_http, "HttpRequestParser", HttpRequestParserPy)
    with pytest.raises(GatewayError, match="pure-Python HTTP parser"):
        require_c_parsers()


def test_s19_the_program_does_not_start_without_the_c_parsers() -> None:
    started = subprocess.run(
        [sys.executable, "-m", "gateway", "demo"],
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert started.returncode == 1
    assert "unset AIOHTTP_NO_EXTENSIONS" in started.stderr
    assert "Traceback" not in started.stderr


def test_a_request_is_read_as_it_was_sent() -> None:
    message = REQUESTS.parse([*GET, b"X-A:  b\t", b"x_A: ", b"X-B: \xff"])
    assert (message.method, message.path, known_version(message)) == ("GET", "/a?b", HTTP11)
    assert message.raw_headers == ((b"Host", b"a"), (b"X-A", b"b"), (b"x_A", b""), (b"X-B", b"\xff"))


def test_a_response_is_read_as_it_was_sent() -> None:
    message = RESPONSES.parse([b"HTTP/1.0 404 Not here", b"Set-Cookie: a=b", b"set-cookie: c"])
    assert (message.code, message.reason, known_version(message)) == (404, "Not here", HTTP10)
    assert message.raw_headers == ((b"Set-Cookie", b"a=b"), (b"set-cookie", b"c"))


BAD_LINES = {
    "bare cr": b"X: a\rb",
    "bare lf": b"X: a\nY: b",
    "two lines": b"X: a\r\nY: b",
    "nul": b"X: \x00",
    "control": b"X: \x01",
    "del": b"X: \x7f",
    "vertical tab": b"X: \x0b",
    "no colon": b"X",
    "empty": b"",
    "no name": b": a",
    "blank before the colon": b"X : a",
    "tab before the colon": b"X\t: a",
    "blank in the name": b"X Y: a",
    "fold": b" folded: a",
    "tab fold": b"\tfolded: a",
    "name over 127": b"\xe9: a",
    "name in quotes": b'"X": a',
    "name with brackets": b"X[]: a",
}


# aiohttp's parser of responses unfolds; `responses` looks for folds itself, see its test.
FOLDS = ("fold", "tab fold")


@pytest.mark.parametrize("name", BAD_LINES)
def test_s12_a_request_line_that_is_not_exactly_one_field_is_refused(name: str) -> None:
    check_refused(REQUESTS, GET, BAD_LINES[name])


@pytest.mark.parametrize("name", [name for name in BAD_LINES if name not in FOLDS])
def test_s73_a_response_line_that_is_not_exactly_one_field_is_refused(name: str) -> None:
    check_refused(RESPONSES, OK, BAD_LINES[name])


def check_refused(parser: HeadParser, start: list[bytes], line: bytes) -> None:
    for lines in ([*start, line], [*start, b"X-A: a", line], [*start, line, b"X-A: a"]):
        with pytest.raises(MalformedHeadError):
            parser.parse(lines)
        assert len(parser.parse(start).raw_headers) == len(start) - 1


BAD_START_LINES = {
    "no version": b"GET /",
    "other protocol": b"GET / FTP/1.1",
    "version 1": b"GET / HTTP/1",
    "version 1.10": b"GET / HTTP/1.10",
    "lower case": b"GET / http/1.1",
    "empty": b"",
    "only a method": b"GET",
    "method with a control": b"G\x01T / HTTP/1.1",
    "method in brackets": b"[GET] / HTTP/1.1",
    "target with nul": b"GET /\x00 HTTP/1.1",
    "target with tab": b"GET /\tx HTTP/1.1",
    "a response": b"HTTP/1.1 200 OK",
}


@pytest.mark.parametrize("line", BAD_START_LINES.values(), ids=BAD_START_LINES.keys())
def test_s12_bad_request_lines_are_refused_and_leave_no_trace(line: bytes) -> None:
    with pytest.raises(MalformedHeadError):
        known_version(REQUESTS.parse([line, b"Host: a"]))
    assert REQUESTS.parse(GET).path == "/a?b"


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1", b"HTTP/1.1 2", b"HTTP/1.1 2x0 OK", b"HTTP/1.1 20000 OK", b"GET / HTTP/1.1", b"200 OK"]
)
def test_s73_bad_status_lines_are_refused_and_leave_no_trace(line: bytes) -> None:
    with pytest.raises(MalformedHeadError):
        RESPONSES.parse([line])
    assert RESPONSES.parse(OK).code == 200


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"GET / HTTP/2.0", UnsupportedVersionError),
        (b"GET / HTTP/0.9", MalformedHeadError),
        # The C parser refuses these itself.
        (b"GET / HTTP/1.2", MalformedHeadError),
        (b"GET / HTTP/3.7", MalformedHeadError),
    ],
)
def test_other_versions_are_told_apart_from_garbage(line: bytes, error: type[MalformedHeadError]) -> None:
    with pytest.raises(MalformedHeadError) as caught:
        known_version(REQUESTS.parse([line, b"Host: a"]))
    assert caught.type is error


STATES = {
    "length": [b"Content-Length: 5"],
    "chunked": [b"Transfer-Encoding: chunked"],
    "close": [b"Connection: close"],
    "upgrade": [b"Connection: Upgrade", b"Upgrade: websocket"],
    "upgrade to h2c": [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AA"],
    "expect": [b"Expect: 100-continue"],
    "gzip": [b"Content-Encoding: gzip"],
    "trailer": [b"Trailer: X-A", b"Transfer-Encoding: chunked"],
}


@pytest.mark.parametrize("name", STATES)
def test_no_head_leaves_a_state_for_the_next(name: str) -> None:
    """Nobody's body, upgrade or end of connection is remembered by a parser that serves everybody."""
    for _ in range(3):
        assert len(REQUESTS.parse([b"POST / HTTP/1.1", b"Host: a", *STATES[name]]).raw_headers) == 1 + len(STATES[name])
        assert REQUESTS.parse(GET).raw_headers == ((b"Host", b"a"),)


@pytest.mark.parametrize(
    "status", [b"101 Switching Protocols", b"100 Continue", b"204 No Content", b"304 x", b"200 OK"]
)
@pytest.mark.parametrize("name", [*STATES, "none"])
def test_no_answer_leaves_a_state_for_the_next(name: str, status: bytes) -> None:
    fields = STATES.get(name, [])
    for _ in range(3):
        assert len(RESPONSES.parse([b"HTTP/1.1 " + status, *fields]).raw_headers) == len(fields)
        assert RESPONSES.parse(OK).raw_headers == ()


def test_connect_and_its_tunnel_leave_no_state() -> None:
    assert REQUESTS.parse([b"CONNECT a:443 HTTP/1.1", b"Host: a:443"]).method == "CONNECT"
    assert REQUESTS.parse(GET).path == "/a?b"


def test_the_longest_line_is_the_callers_bound() -> None:
    parser = HeadParser.for_requests(max_line_bytes=32 * 1024)
    value = b"x" * 30_000
    assert parser.parse([b"GET /%b HTTP/1.1" % value, b"Host: a"]).path == "/" + value.decode()
    assert parser.parse([*GET, b"X: " + value]).raw_headers[1] == (b"X", value)
    assert len(parser.parse([*GET, *(b"X%d: y" % number for number in range(500))]).raw_headers) == 501


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=14) | st.text("HOST:ab \t\r\n/1.CLTE", max_size=14).map(str.encode), max_size=4))
def test_s84_no_lines_make_a_parser_raise_anything_else_or_fail_afterwards(lines: list[bytes]) -> None:
    for parser, start in ((REQUESTS, GET), (RESPONSES, OK)):
        for head in (lines or [b""], [*start, *lines]):
            try:
                message = parser.parse(head)
            except MalformedHeadError:
                continue
            assert len(message.raw_headers) == len(head) - 1
        assert len(parser.parse(start).raw_headers) == len(start) - 1
