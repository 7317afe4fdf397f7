"""A request head, cut out whole → everything that later steps ask of it."""

from dataclasses import dataclass, field
from typing import Final

from gateway.errors import Reason, Refused
from gateway.http.fields import RequestFieldUses, Use, connection_options, without_nominated
from gateway.http.heads import (
    HTTP10,
    HTTP11,
    HeadParser,
    MalformedHeadError,
    RawFields,
    UnsupportedVersionError,
    Version,
    known_version,
)
from gateway.http.lines import LineMemo

# A head that is good without the line in question: a request line, or one field line, is parsed in its place.
_PROBE_REQUEST_LINE: Final = b"GET / HTTP/1.1"
_PROBE_HOST: Final = b"Host: probe"


@dataclass(frozen=True, slots=True)
class RequestLine:
    """Method, target as sent, version."""

    method: str
    target: str
    version: Version


@dataclass(slots=True)
class Request:
    """A request head. `passed` are the field lines that go on to the upstream, without line ends.

    The values are as sent; None where the field did not come. `should_close` is what the client wants of the
    connection (RFC 9112 §9.3).
    """

    method: str
    target: str
    version: Version
    passed: list[bytes] = field(default_factory=list)
    host: bytes | None = None
    content_length: bytes | None = None
    transfer_encoding: bytes | None = None
    expect: bytes | None = None
    origin: bytes | None = None
    request_id: bytes | None = None
    tokens: list[bytes] | None = None
    method_overrides: list[bytes] | None = None
    is_preflight: bool = False
    should_close: bool = False


UNREAD: Final = Request("", "", HTTP11, should_close=True)
"""Stands for a head that could not be read, so that its refusal is an exchange like any other."""

_FieldLine = tuple[Use, bytes, bytes]
"""Use, name in lower case, value; the line itself is the key."""


class RequestReader:
    """Reads request heads. `max_fields` bounds the number of fields."""

    __slots__ = ("_fields", "_max_fields", "_parser", "_request_lines", "_uses")

    def __init__(self, *, uses: RequestFieldUses, max_head_bytes: int, max_fields: int) -> None:
        self._uses = uses
        self._max_fields = max_fields
        self._parser = HeadParser.for_requests(max_line_bytes=max_head_bytes)
        self._request_lines: LineMemo[RequestLine] = LineMemo()
        self._fields: LineMemo[_FieldLine] = LineMemo()

    def read(self, head: bytes) -> Request:
        """`head` ends with the empty line.

        Raises `Refused`: BAD_REQUEST, HEAD_TOO_LARGE for too many fields, HTTP_VERSION_NOT_SUPPORTED; BAD_HOST,
        BAD_FRAMING and EXPECTATION_FAILED for such a field that comes twice.
        """
        lines = head.split(b"\r\n")
        del lines[-2:]
        if len(lines) > self._max_fields + 1:
            raise Refused(Reason.HEAD_TOO_LARGE)
        request_lines, fields = self._request_lines, self._fields
        known = request_lines.young.get(lines[0])
        if known is None:
            known = request_lines.recall(lines[0]) or self._learn_request_line(lines[0])
        request = Request(known.method, known.target, known.version)
        passed = request.passed
        connection: bytes | None = None
        young = fields.young
        for line in lines[1:]:
            entry = young.get(line)
            if entry is None:
                entry = fields.recall(line) or self._learn_fields(lines, line)
            use = entry[0]
            if use is Use.PASS:
                passed.append(line)
            elif use is Use.CONNECTION:
                connection = entry[2] if connection is None else b"%b,%b" % (connection, entry[2])
            elif use is not Use.DROP:
                _take(request, entry, line)
        if connection is not None or known.version is HTTP10:
            _apply_connection(request, connection or b"")
        return request

    def _learn_request_line(self, line: bytes) -> RequestLine:
        try:
            message = self._parser.parse([line, _PROBE_HOST])
            known = RequestLine(message.method, message.path, known_version(message))
        except UnsupportedVersionError:
            raise Refused(Reason.HTTP_VERSION_NOT_SUPPORTED) from None
        except MalformedHeadError:
            raise Refused(Reason.BAD_REQUEST) from None
        # The C parser takes several blanks between the parts; others would see an empty target (RFC 9112 §3).
        if line.count(b" ") != 2:
            raise Refused(Reason.BAD_REQUEST)
        self._request_lines.learn(line, known)
        return known

    def _learn_fields(self, lines: list[bytes], line: bytes) -> _FieldLine:
        """Parse every line of this head that is not known yet; gives the entry of `line`, one of them."""
        young = self._fields.young
        unknown = [other for other in lines[1:] if other not in young]
        entries: dict[bytes, _FieldLine] = {}
        # The parser counts Hosts and wants one. Ours are counted by `_take` and their grammar is `rewriting`'s.
        parsed = [other for other in unknown if other[:5].lower() != b"host:"]
        try:
            raw_fields: RawFields = self._parser.parse([_PROBE_REQUEST_LINE, _PROBE_HOST, *parsed]).raw_headers[1:]
        except MalformedHeadError:
            raise Refused(Reason.BAD_REQUEST) from None
        for other, (name, value) in zip(parsed, raw_fields, strict=True):
            entries[other] = (self._uses.use_of(name), name.lower(), value)
        for other in unknown:
            if other not in entries:
                entries[other] = (Use.HOST, b"host", other[5:].strip(b" \t"))
            self._fields.learn(other, entries[other])
        return entries[line]


def _take(request: Request, entry: _FieldLine, line: bytes) -> None:
    """A field that is more than passed or dropped."""
    use, name, value = entry
    match use:
        case Use.TOKEN:
            request.tokens = [value] if request.tokens is None else [*request.tokens, value]
        case Use.HOST:
            request.host = _only(request.host, value, Reason.BAD_HOST)
        case Use.PASS_ONCE:
            _pass_once(request.passed, name, line)
        case Use.CONTENT_LENGTH:
            request.content_length = _only(request.content_length, value, Reason.BAD_FRAMING)
        case Use.TRANSFER_ENCODING:
            request.transfer_encoding = _only(request.transfer_encoding, value, Reason.BAD_FRAMING)
        case Use.EXPECT:
            request.expect = _only(request.expect, value, Reason.EXPECTATION_FAILED)
        case Use.ORIGIN:
            request.origin = _only(request.origin, value, Reason.BAD_REQUEST)
            request.passed.append(line)
        case Use.PREFLIGHT:
            request.is_preflight = True
            request.passed.append(line)
        case Use.REQUEST_ID:
            # Two are none: which of them a log line means could not be told.
            request.request_id = value if request.request_id is None else b""
        case _:
            request.method_overrides = [*(request.method_overrides or ()), line]


def _only(earlier: bytes | None, value: bytes, reason: Reason) -> bytes:
    if earlier is not None:
        raise Refused(reason)
    return value


def _pass_once(passed: list[bytes], name: bytes, line: bytes) -> None:
    size = len(name)
    for other in passed:
        if other[size : size + 1] == b":" and other[:size].lower() == name:
            raise Refused(Reason.BAD_REQUEST)
    passed.append(line)


def _apply_connection(request: Request, connection: bytes) -> None:
    try:
        options = connection_options(connection)
    except ValueError:
        raise Refused(Reason.BAD_REQUEST) from None
    # RFC 9112 §9.3: 1.1 stays unless told to close, 1.0 closes unless told to stay.
    request.should_close = b"close" in options or (request.version is HTTP10 and b"keep-alive" not in options)
    request.passed = without_nominated(request.passed, options)
