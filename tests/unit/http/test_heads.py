"""The grammar of a head: what is taken, and that nothing else is."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.heads import (
    HTTP10,
    HTTP11,
    MalformedHeadError,
    UnsupportedVersionError,
    head_lines,
    parse_request_line,
    parse_status_line,
)


def test_a_head_is_its_lines() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-A:  b\t\r\nX-B: \xff\r\n\r\n"
    assert head_lines(head) == [b"GET / HTTP/1.1", b"Host: a", b"X-A:  b\t", b"X-B: \xff"]
    assert head_lines(b"GET / HTTP/1.0\r\n\r\n") == [b"GET / HTTP/1.0"]


@pytest.mark.parametrize("byte", [byte for byte in (*range(0x20), 0x7F) if byte != 0x09])
@pytest.mark.parametrize(
    "place", [b"GET /%b HTTP/1.1\r\nHost: a", b"GET / HTTP/1.1\r\nX%b: a", b"GET / HTTP/1.1\r\nX: a%bb"]
)
def test_s12_no_control_character_stands_in_a_line(place: bytes, byte: int) -> None:
    with pytest.raises(MalformedHeadError):
        head_lines(place % bytes([byte]) + b"\r\n\r\n")


@pytest.mark.parametrize("byte", [0x09, 0x20, 0x7E, 0x80, 0xFF])
def test_other_bytes_may_stand_in_a_value(byte: int) -> None:
    line = b"X: a%bb" % bytes([byte])
    assert head_lines(b"GET / HTTP/1.1\r\n%b\r\n\r\n" % line)[1] == line


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40))
def test_s84_any_bytes_are_lines_or_malformed(text: bytes) -> None:
    try:
        lines = head_lines(text + b"\r\n\r\n")
    except MalformedHeadError:
        return
    assert b"\r\n".join(lines) == text
    assert not set(b"\r\n\x00") & {byte for line in lines for byte in line}


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b"GET /a?b HTTP/1.1", ("GET", "/a?b", HTTP11)),
        (b"POST * HTTP/1.0", ("POST", "*", HTTP10)),
        (b"M-SEARCH http://a.example/ HTTP/1.1", ("M-SEARCH", "http://a.example/", HTTP11)),
        (b"RPC_IN_DATA /%00 HTTP/1.1", ("RPC_IN_DATA", "/%00", HTTP11)),
    ],
)
def test_what_is_read_of_a_request_line(line: bytes, read: tuple[object, ...]) -> None:
    assert parse_request_line(line) == read
    assert parse_request_line(line)[2] is read[2]  # versions are compared by identity


BAD_REQUEST_LINES = {
    "no version": b"GET /",
    "other protocol": b"GET / FTP/1.1",
    "version 1": b"GET / HTTP/1",
    "version 1.10": b"GET / HTTP/1.10",
    "version 0.9": b"GET / HTTP/0.9",
    "lower-case protocol": b"GET / http/1.1",
    "lower-case method": b"get / HTTP/1.1",
    "long method": b"A" * 33 + b" / HTTP/1.1",
    "method that begins with a dash": b"-GET / HTTP/1.1",
    "empty": b"",
    "only a method": b"GET",
    "method in brackets": b"[GET] / HTTP/1.1",
    "two blanks": b"GET  / HTTP/1.1",
    "two blanks behind": b"GET /  HTTP/1.1",
    "tab": b"GET\t/ HTTP/1.1",
    "blank first": b" GET / HTTP/1.1",
    "blank last": b"GET / HTTP/1.1 ",
    "target with a blank": b"GET /a b HTTP/1.1",
    "target over 127": b"GET /\xe9 HTTP/1.1",
    "no target": b"GET HTTP/1.1",
    "a response": b"HTTP/1.1 200 OK",
}


@pytest.mark.parametrize("line", BAD_REQUEST_LINES.values(), ids=BAD_REQUEST_LINES.keys())
def test_s12_bad_request_lines_are_refused(line: bytes) -> None:
    for _ in range(2):
        with pytest.raises(MalformedHeadError) as caught:
            parse_request_line(line)
        assert caught.type is MalformedHeadError


@pytest.mark.parametrize("version", [b"2.0", b"1.2", b"3.7", b"9.9"])
def test_other_versions_are_told_apart_from_garbage(version: bytes) -> None:
    with pytest.raises(UnsupportedVersionError):
        parse_request_line(b"GET / HTTP/" + version)
    with pytest.raises(UnsupportedVersionError):
        parse_status_line(b"HTTP/%b 200 OK" % version)


def test_what_is_read_of_a_status_line() -> None:
    assert parse_status_line(b"HTTP/1.0 404 Not here") == (404, b"HTTP/1.1 404 Not here", HTTP10)
    assert parse_status_line(b"HTTP/1.1 204") == (204, b"HTTP/1.1 204 ", HTTP11)


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1",
        b"HTTP/1.1 2",
        b"HTTP/1.1 2x0 OK",
        b"HTTP/1.1 20000 OK",
        b"HTTP/1.1 099 x",
        b"HTTP/1.1  200 OK",
        b"GET / HTTP/1.1",
        b"200 OK",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1\t200 OK",
        b"HTTP/0.9 200 OK",
        b"",
    ],
)
def test_s73_bad_status_lines_are_refused(line: bytes) -> None:
    for _ in range(2):
        with pytest.raises(MalformedHeadError):
            parse_status_line(line)


def test_s83_long_request_lines_are_not_remembered() -> None:
    tracemalloc.start()
    try:
        for number in range(600):
            assert parse_request_line(b"GET /%b%d HTTP/1.1" % (b"x" * 30_000, number))[0] == "GET"
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2 * 1024**2
