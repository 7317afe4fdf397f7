"""Requests that must pass: raw bytes, and what the upstream gets of each."""

import dataclasses
from typing import Final

from tests.conformance.cases_requests import HEAD_END, SMUGGLED
from tests.integration.data_plane import HOST


@dataclasses.dataclass(frozen=True, kw_only=True)
class Passed:
    """What the upstream gets: its request line, some of its field lines, its payload."""

    id: str
    raw: bytes
    line: str
    body: bytes = b""
    framing: str | None = None


_CHUNKED: Final = b"Transfer-Encoding: chunked"


def _passed(name: str, head: bytes, line: str, body: bytes = b"", framing: str | None = None) -> Passed:
    return Passed(id=name, raw=head, line=line, body=body, framing=framing)


def _coded(name: str, coded: bytes, body: bytes = b"hello", field: bytes = _CHUNKED) -> Passed:
    raw = b"POST /public/x HTTP/1.1\r\n" + HOST + b"\r\n" + field + HEAD_END + coded
    return Passed(id=name, raw=raw, line=_LINE_OF_POST, body=body, framing="chunked")


_GET: Final = b"GET /public/x HTTP/1.1\r\n"
_LINE: Final = "GET /public/x HTTP/1.1"
_POST: Final = b"POST /public/x HTTP/1.1\r\n"
_LINE_OF_POST: Final = "POST /public/x HTTP/1.1"

# What is good must pass, and look the same upstream however it was cut on its way.
GOOD: Final = (
    _passed("get", _GET + HOST + HEAD_END, _LINE),
    _passed("rfc9112-2.2-empty-line-first", b"\r\n" + _GET + HOST + HEAD_END, _LINE),
    _passed("rfc9112-5-no-blank-after-colon", _GET + b"Host:api.example.org" + HEAD_END, _LINE),
    _passed("rfc9112-5-blanks-around-value", _GET + b"Host: \t api.example.org \t " + HEAD_END, _LINE),
    _passed("rfc9110-5.1-name-case", _GET + b"hOsT: api.example.org" + HEAD_END, _LINE),
    _passed("rfc9112-3.2.2-absolute", b"GET http://api.example.org/public/x HTTP/1.1\r\n" + HOST + HEAD_END, _LINE),
    _passed("rfc9112-3.2.2-https", b"GET HTTPS://API.example.org/public/x HTTP/1.1\r\n" + HOST + HEAD_END, _LINE),
    _passed("rfc9112-2.3-version-1.0", b"GET /public/x HTTP/1.0\r\n" + HOST + HEAD_END, _LINE),
    _passed("length", _POST + HOST + b"\r\nContent-Length: 5\r\n\r\nhello", _LINE_OF_POST, b"hello", "5"),
    _passed("length-zero", _POST + HOST + b"\r\nContent-Length: 0\r\n\r\n", _LINE_OF_POST, b"", "0"),
    _passed("length-zeros", _POST + HOST + b"\r\nContent-Length: 005\r\n\r\nhello", _LINE_OF_POST, b"hello", "5"),
    _passed("get-with-body", _GET + HOST + b"\r\nContent-Length: 5\r\n\r\nhello", _LINE, b"hello", "5"),
    _passed(
        "rfc9112-5-tabs-around-length",
        _POST + HOST + b"\r\nContent-Length:\t5\t \r\n\r\nhello",
        _LINE_OF_POST,
        b"hello",
        "5",
    ),
    _passed(
        "s5-length-nominated",
        _POST + HOST + b"\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\nhello",
        _LINE_OF_POST,
        b"hello",
        "5",
    ),
    _passed("s5-host-nominated", _GET + HOST + b"\r\nConnection: host" + HEAD_END, _LINE),
    _passed(
        "s1-length-in-another-spelling",
        _POST + HOST + b"\r\nContent_Length: 50\r\nContent-Length: 5\r\n\r\nhello",
        _LINE_OF_POST,
        b"hello",
        "5",
    ),
    _passed(
        "s1-coding-in-another-spelling",
        _POST + HOST + b"\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
        _LINE_OF_POST,
        b"hello",
        "5",
    ),
    _passed("s1-host-in-another-spelling", _GET + HOST + b"\r\nHost_: evil.example.org\r\nhost-: x" + HEAD_END, _LINE),
    _passed(
        "s69-upgrade-to-h2c",
        _GET
        + HOST
        + b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"
        + HEAD_END,
        _LINE,
    ),
    _passed(
        "rfc9112-3.2.2-query-with-at",
        b"GET http://api.example.org/public/x?@evil HTTP/1.1\r\n" + HOST + HEAD_END,
        "GET /public/x?@evil HTTP/1.1",
    ),
    _coded("s5-coding-nominated", b"5\r\nhello\r\n0\r\n\r\n", field=b"Connection: transfer-encoding\r\n" + _CHUNKED),
    _coded("rfc9112-5-blanks-around-coding", b"5\r\nhello\r\n0\r\n\r\n", field=b"Transfer-Encoding:\t chunked \t"),
    _coded("rfc9112-7.1-15-digits", b"000000000000005\r\nhello\r\n0\r\n\r\n"),
    _coded("rfc9112-7-coding-case", b"5\r\nhello\r\n0\r\n\r\n", field=b"transfer-encoding: Chunked"),
    _coded("rfc9112-7.1-two-chunks", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
    _coded("rfc9112-7.1-hex-case", b"A\r\nhellohello\r\na\r\nhellohello\r\n0\r\n\r\n", b"hello" * 4),
    _coded("rfc9112-7.1-leading-zeros", b"005\r\nhello\r\n000\r\n\r\n"),
    _coded("rfc9112-7.1-empty", b"0\r\n\r\n", b""),
    _coded("rfc9112-7.1.1-extension", b"5;a=b\r\nhello\r\n0;c\r\n\r\n"),
    _coded("rfc9112-7.1.1-extension-quoted", b'5;a="b;c"\r\nhello\r\n0\r\n\r\n'),
    _coded("rfc9112-7.1.1-extension-blanks", b"5 ; a = b\r\nhello\r\n0\r\n\r\n"),
    _coded("s16-trailers-dropped", b"5\r\nhello\r\n0\r\nX-User-Id: 7\r\nContent-Length: 9\r\n\r\n"),
    _coded("body-looks-like-a-request", b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED), SMUGGLED),
)

# As much as the limits allow; too long to be cut at every byte.
LARGEST: Final = (
    _passed(
        "s79-largest-target",
        b"GET /public/" + b"x" * 8184 + b" HTTP/1.1\r\n" + HOST + HEAD_END,
        f"GET /public/{'x' * 8184} HTTP/1.1",
    ),
    _passed("s79-most-fields", _GET + HOST + b"\r\nX-A: b" * 99 + HEAD_END, _LINE),
)
