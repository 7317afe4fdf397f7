"""The gateway's grammar of a head, held against aiohttp's C parsers (llhttp): a second opinion from another family.

What the gateway takes, llhttp takes too and reads the same; where llhttp takes more (blanks before a colon, folds, bare
line feeds in its lenient response mode), the gateway refuses. Fields that mean something to a parser (framing, Host)
are left out here: `test_request_boundaries` has them.
"""

from typing import Any

import pytest
from aiohttp.http import HttpRequestParser, HttpResponseParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.http.fields import RequestFieldUses, ResponseFieldUses, Use
from gateway.http.requests import RequestReader
from gateway.http.responses import ResponseReader
from gateway.http.targets import parse_target

_VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12).map(str.encode)
_BYTES = st.binary(max_size=12)
_NAMES = st.sampled_from([b"X-A", b"x_b", b"Accept", b"Cookie", b"!#$%&'*+-.^_`|~", b"0"]) | _VISIBLE | _BYTES
_SEPARATORS = st.sampled_from([b":", b": ", b":\t", b":  ", b" :", b"", b"\t: ", b"::"])
_VALUES = st.sampled_from([b"", b"a", b"a b", b"\ta\t", b"caf\xc3\xa9", b"\xff", b"a\x00", b"a\rb", b"a\nb"]) | _BYTES
_FIELDS = st.lists(st.builds(lambda *parts: b"".join(parts), _NAMES, _SEPARATORS, _VALUES), max_size=5)
_METHODS = st.sampled_from([b"GET", b"POST", b"PROPFIND", b"M-SEARCH", b"get", b"G T", b"G\x00T", b"GET:", b""])
_BLANKS = st.sampled_from([b" ", b"  ", b"\t", b"", b"\x0b"])
_TARGETS = st.sampled_from([b"/", b"/a?b", b"/a b", b"*", b"/\x00", b"/a#b", b"http://a.example/x"]) | _VISIBLE.map(
    lambda text: b"/" + text
)
_VERSIONS = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.1 ", b"http/1.1", b"HTTP/1.01", b"HTTP/0.9", b"HTTP"])
_STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.0 404 Not Found", b"HTTP/1.1 99 X", b"HTTP/1.1  200 OK", b"200 OK"]
) | st.builds(b"HTTP/1.1 %d %b".__mod__, st.tuples(st.integers(100, 999), _BYTES))

Reading = tuple[Any, ...]


class _Nobody:
    """Where aiohttp's parsers want a protocol to pause."""

    def pause_reading(self) -> None: ...

    def resume_reading(self, resume_parser: bool = True) -> None: ...


def llhttp(kind: Any, head: bytes) -> tuple[Any, tuple[tuple[bytes, bytes], ...]] | None:
    """The message and the fields that llhttp reads, or None where it refuses."""
    parser = kind(_Nobody(), None, 2**16, max_line_size=2**16, max_field_size=2**16, response_with_body=False)
    try:
        messages, _, rest = parser.feed_data(head)
    except Exception:
        return None
    if len(messages) != 1 or rest:
        return None
    return messages[0][0], tuple(messages[0][0].raw_headers)


def fields_of(lines: list[bytes]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name, value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines))


class _EverythingPasses(RequestFieldUses):
    """So that `passed` shows each field line that the grammar took, whatever its name means."""

    def __init__(self) -> None:
        super().__init__(token_field="Authorization", managed=())

    def use_of(self, name: bytes) -> Use:
        return Use.PASS


def is_meaningful(fields: list[bytes]) -> bool:
    names = {field.partition(b":")[0].strip().lower() for field in fields}
    return bool(names & {b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"user-agent"})


def cut_elsewhere(fields: list[bytes]) -> bool:
    """Whether the lines together are not the lines that were put together: an empty one, or a CR LF made of two."""
    return any(not field or b"\r\n" in field or field[-1:] == b"\r" or field[:1] == b"\n" for field in fields)


def is_refused_or_in_doubt(target: str) -> bool:
    """What the grammar of a head leaves to `http.targets`: `*`, `G T/`, `#` and `//`."""
    try:
        return parse_target(target).doubt is not None
    except Refused:
        return True


@settings(max_examples=1500, deadline=None)
@given(_METHODS, _BLANKS, _TARGETS, _BLANKS, _VERSIONS, _FIELDS)
@example(b"GET", b" ", b"/", b" ", b"HTTP/1.1", [b"X-A: a", b"Accept:\t b "])
@example(b"G T", b"", b"/", b" ", b"HTTP/1.1", [])
def test_s12_what_is_taken_of_a_request_head_llhttp_reads_the_same(
    method: bytes, one: bytes, target: bytes, two: bytes, version: bytes, fields: list[bytes]
) -> None:
    if cut_elsewhere(fields) or is_meaningful(fields):
        return
    head = b"\r\n".join([method + one + target + two + version, b"X-Z: z", *fields, b"", b""])
    try:
        request = RequestReader(uses=_EverythingPasses(), max_fields=20).read(head)
    except Refused:
        return
    # llhttp wants a Host of a 1.1 request; here it stands behind the fields that were generated.
    opinion = llhttp(HttpRequestParser, head[:-2] + b"Host: a\r\n\r\n")
    if opinion is None and is_refused_or_in_doubt(request.target):
        return
    assert opinion is not None, head
    message, raw_fields = opinion
    assert (message.method, message.path, tuple(message.version)) == (request.method, request.target, request.version)
    assert raw_fields[:-1] == fields_of(request.passed)


@settings(max_examples=1500, deadline=None)
@given(_STATUS_LINES, _FIELDS)
@example(b"HTTP/1.1 200 OK", [b"X-A: a", b"Accept:\t b "])
def test_s73_what_is_taken_of_a_response_head_llhttp_reads_the_same(status_line: bytes, fields: list[bytes]) -> None:
    if cut_elsewhere([status_line, *fields]) or is_meaningful(fields):
        return
    head = b"\r\n".join([status_line, *fields, b"Content-Length: 0", b"", b""])
    try:
        response = ResponseReader(uses=ResponseFieldUses()).read(head)
    except Refused:
        return
    opinion = llhttp(HttpResponseParser, head)
    assert opinion is not None, head
    message, raw_fields = opinion
    assert (message.code, tuple(message.version)) == (response.status, response.version)
    dropped = {b"te", b"trailer", b"keep-alive", b"x-request-id", b"proxy-connection", b"proxy-authenticate"}
    kept = tuple(item for item in raw_fields[:-1] if item[0].lower() not in dropped)
    assert kept == fields_of(response.passed)


@pytest.mark.parametrize("line", [b"X-A : a", b" X-A: a", b"X-A: a\r\n b", b"X A: a", b"X-A\t: a", b": a", b"X-A"])
def test_s73_what_llhttp_forgives_in_a_response_is_refused(line: bytes) -> None:
    with pytest.raises(Refused):
        ResponseReader(uses=ResponseFieldUses()).read(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % line)
