"""A response head, cut out whole → everything that later steps ask of it."""

from dataclasses import dataclass, field
from typing import Final

from gateway.errors import Reason, Refused
from gateway.http.fields import ResponseFieldUses, Use, connection_options, without_nominated
from gateway.http.heads import HTTP10, HTTP11, HeadParser, MalformedHeadError, Version, known_version
from gateway.http.lines import LineMemo

_PROBE_STATUS_LINE: Final = b"HTTP/1.1 200 OK"


@dataclass(frozen=True, slots=True)
class StatusLine:
    """`line` is the status line to send on: always HTTP/1.1, with the upstream's reason phrase."""

    status: int
    line: bytes
    version: Version


@dataclass(slots=True)
class Response:
    """A response head. `passed` are the field lines that go on to the client, without line ends."""

    status: int
    line: bytes
    version: Version = HTTP11
    passed: list[bytes] = field(default_factory=list)
    content_length: bytes | None = None
    transfer_encoding: bytes | None = None
    should_close: bool = False


_FieldLine = tuple[Use, bytes]
"""Use and value; the line itself is the key."""


class ResponseReader:
    """Reads response heads, stricter than aiohttp's client: a backend that is unclear must not confuse two clients."""

    __slots__ = ("_fields", "_parser", "_status_lines", "_uses")

    def __init__(self, *, uses: ResponseFieldUses, max_head_bytes: int) -> None:
        self._uses = uses
        self._parser = HeadParser.for_responses(max_line_bytes=max_head_bytes)
        self._status_lines: LineMemo[StatusLine] = LineMemo()
        self._fields: LineMemo[_FieldLine] = LineMemo()

    def read(self, head: bytes) -> Response:
        """`head` ends with the empty line. Raises `Refused(UPSTREAM_BROKEN)`."""
        lines = head.split(b"\r\n")
        del lines[-2:]
        known = self._status_lines.young.get(lines[0])
        if known is None:
            known = self._status_lines.recall(lines[0]) or self._learn_status_line(lines[0])
        response = Response(known.status, known.line, known.version)
        passed = response.passed
        fields = self._fields
        connection: bytes | None = None
        young = fields.young
        for line in lines[1:]:
            entry = young.get(line)
            if entry is None:
                entry = fields.recall(line) or self._learn_fields(lines, line)
            use, value = entry
            if use is Use.PASS:
                passed.append(line)
            elif use is Use.CONTENT_LENGTH:
                response.content_length = _only(response.content_length, value)
            elif use is Use.TRANSFER_ENCODING:
                response.transfer_encoding = _only(response.transfer_encoding, value)
            elif use is Use.CONNECTION:
                connection = value if connection is None else b"%b,%b" % (connection, value)
        if connection is not None or known.version is HTTP10:
            _apply_connection(response, connection or b"")
        return response

    def _learn_status_line(self, line: bytes) -> StatusLine:
        try:
            message = self._parser.parse([line])
            version = known_version(message)
        except MalformedHeadError:
            raise Refused(Reason.UPSTREAM_BROKEN) from None
        if message.code < 100:
            raise Refused(Reason.UPSTREAM_BROKEN)
        reason = message.reason.encode("utf-8", "surrogateescape")
        known = StatusLine(message.code, b"HTTP/1.1 %d %b" % (message.code, reason), version)
        self._status_lines.learn(line, known)
        return known

    def _learn_fields(self, lines: list[bytes], line: bytes) -> _FieldLine:
        """Parse every line of this head that is not known yet; gives the entry of `line`, one of them."""
        young = self._fields.young
        unknown = [other for other in lines[1:] if other not in young]
        entries: dict[bytes, _FieldLine] = {}
        if any(other[:1] in (b" ", b"\t") for other in unknown):
            # aiohttp's response parser is lenient and would unfold it.
            raise Refused(Reason.UPSTREAM_BROKEN)
        try:
            message = self._parser.parse([_PROBE_STATUS_LINE, *unknown])
        except MalformedHeadError:
            raise Refused(Reason.UPSTREAM_BROKEN) from None
        for other, (name, value) in zip(unknown, message.raw_headers, strict=True):
            entries[other] = (self._uses.use_of(name), value)
            self._fields.learn(other, entries[other])
        return entries[line]


def _only(earlier: bytes | None, value: bytes) -> bytes:
    if earlier is not None:
        raise Refused(Reason.UPSTREAM_BROKEN)
    return value


def _apply_connection(response: Response, connection: bytes) -> None:
    try:
        options = connection_options(connection)
    except ValueError:
        raise Refused(Reason.UPSTREAM_BROKEN) from None
    response.should_close = b"close" in options or (response.version is HTTP10 and b"keep-alive" not in options)
    response.passed = without_nominated(response.passed, options)
