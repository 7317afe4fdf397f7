"""A request head, cut out whole → everything that later steps ask of it."""

from dataclasses import dataclass, field
from typing import Final

from gateway.errors import Reason, Refused
from gateway.http.fields import (
    CONNECTION,
    CONTENT_LENGTH,
    DROP,
    EXPECT,
    FORGERY,
    FORWARDED,
    HOST,
    ORIGIN,
    PASS,
    PASS_ONCE,
    PREFLIGHT,
    REQUEST_ID,
    TOKEN,
    TRACEPARENT,
    TRACESTATE,
    TRANSFER_ENCODING,
    UPGRADE,
    RequestFieldUses,
    Use,
    connection_options,
    without_nominated,
)
from gateway.http.heads import (
    HTTP10,
    HTTP11,
    MalformedHeadError,
    UnsupportedVersionError,
    Version,
    head_lines,
    parse_request_line,
)
from gateway.http.trace_context import accepted_traceparent


@dataclass(slots=True)
class Request:
    """A request head. `passed` are the field lines that go on to the upstream, without line ends.

    The values are as sent; None where the field did not come. `should_close` is what the client wants of the
    connection (RFC 9112 §9.3). `forwarded` are the X-Forwarded-* of a trusted proxy, None from anybody else.
    `traceparent` is a valid one, and `tracestate` the lines that came with it; None where it is none or came twice.
    `is_upgrade`: Upgrade came and Connection names it, without which it says nothing (RFC 9110 §7.8).
    `has_forgery`: a field that only the gateway may set came from a proxy that passes such fields on.
    `asked_by` is the method of a proxy's question about this request (`http.questions`), None for the request itself.
    """

    method: str
    target: str
    version: Version
    passed: list[bytes] = field(default_factory=list)
    host: bytes | None = None
    content_length: bytes | None = None
    transfer_encoding: bytes | None = None
    expect: bytes | None = None
    upgrade: bytes | None = None
    origin: bytes | None = None
    request_id: bytes | None = None
    traceparent: bytes | None = None
    tracestate: list[bytes] | None = None
    tokens: list[bytes] | None = None
    method_overrides: list[bytes] | None = None
    forwarded: list[tuple[bytes, bytes]] | None = None
    is_preflight: bool = False
    should_close: bool = False
    is_upgrade: bool = False
    has_forgery: bool = False
    asked_by: str | None = None


UNREAD: Final = Request("", "", HTTP11, should_close=True)
"""Stands for a head that could not be read, so that its refusal is an exchange like any other."""


class RequestReader:
    """Reads request heads. `max_fields` bounds the number of fields."""

    __slots__ = ("_max_fields", "_uses")

    def __init__(self, *, uses: RequestFieldUses, max_fields: int) -> None:
        self._uses = uses
        self._max_fields = max_fields

    def read(self, head: bytes) -> Request:
        """`head` ends with the empty line.

        Raises `Refused`: BAD_REQUEST, HEAD_TOO_LARGE for too many fields, HTTP_VERSION_NOT_SUPPORTED; BAD_HOST,
        BAD_FRAMING and EXPECTATION_FAILED for such a field that comes twice.
        """
        try:
            lines = head_lines(head)
            if len(lines) > self._max_fields + 1:
                raise Refused(Reason.HEAD_TOO_LARGE)
            passed: list[bytes] = []
            request = Request(*parse_request_line(lines[0]), passed)
            uses = self._uses.by_name
            connection: bytes | None = None
            singletons: list[bytes] = []
            for line in lines[1:]:
                name, value = line.split(b":", 1)  # ValueError for a line without a colon
                use = uses.get(name)
                if use is None:
                    use = self._uses.learn(name)
                if use is PASS:
                    passed.append(line)
                elif use is PASS_ONCE:
                    singletons.append(name)
                    passed.append(line)
                elif use is CONNECTION:
                    connection = value.strip(b" \t") if connection is None else b"%b,%b" % (connection, value)
                elif use is not DROP:
                    _take(request, use, value.strip(b" \t"), line)
            if len(singletons) > 1 and len({name.lower() for name in singletons}) < len(singletons):
                raise Refused(Reason.BAD_REQUEST)
        except UnsupportedVersionError:
            raise Refused(Reason.HTTP_VERSION_NOT_SUPPORTED) from None
        except (MalformedHeadError, ValueError):
            raise Refused(Reason.BAD_REQUEST) from None
        if request.traceparent is not None:
            request.traceparent = accepted_traceparent(request.traceparent)
        if connection != b"keep-alive" and (connection is not None or request.version is HTTP10):
            _apply_connection(request, connection or b"")
        return request


def _take(request: Request, use: Use, value: bytes, line: bytes) -> None:
    """A field that is more than passed or dropped. The usual two come first."""
    if use is HOST:
        if request.host is not None:
            raise Refused(Reason.BAD_HOST)
        request.host = value
    elif use is TOKEN:
        request.tokens = [value] if request.tokens is None else [*request.tokens, value]
    elif use is CONTENT_LENGTH:
        request.content_length = _only(request.content_length, value, Reason.BAD_FRAMING)
    elif use is TRANSFER_ENCODING:
        request.transfer_encoding = _only(request.transfer_encoding, value, Reason.BAD_FRAMING)
    elif use is EXPECT:
        request.expect = _only(request.expect, value, Reason.EXPECTATION_FAILED)
    elif use is UPGRADE:
        request.upgrade = value if request.upgrade is None else b"%b,%b" % (request.upgrade, value)
    elif use is ORIGIN:
        request.origin = _only(request.origin, value, Reason.BAD_REQUEST)
        request.passed.append(line)
    elif use is PREFLIGHT:
        request.is_preflight = True
        request.passed.append(line)
    else:
        _take_context(request, use, value, line)


def _take_context(request: Request, use: Use, value: bytes, line: bytes) -> None:
    """What others say about the request. Of what may come once, two are none: which is meant could not be told."""
    if use is REQUEST_ID:
        request.request_id = value if request.request_id is None else b""
    elif use is TRACEPARENT:
        request.traceparent = value if request.traceparent is None else b""
    elif use is TRACESTATE:
        request.tracestate = [*(request.tracestate or ()), line]
    elif use is FORWARDED:
        name = line.partition(b":")[0].lower()
        request.forwarded = [*(request.forwarded or ()), (name, value)]
    elif use is FORGERY:
        request.has_forgery = True
    else:
        request.method_overrides = [*(request.method_overrides or ()), line]


def _only(earlier: bytes | None, value: bytes, reason: Reason) -> bytes:
    if earlier is not None:
        raise Refused(reason)
    return value


def _apply_connection(request: Request, connection: bytes) -> None:
    try:
        options = connection_options(connection)
    except ValueError:
        raise Refused(Reason.BAD_REQUEST) from None
    # RFC 9112 §9.3: 1.1 stays unless told to close, 1.0 closes unless told to stay.
    request.should_close = b"close" in options or (request.version is HTTP10 and b"keep-alive" not in options)
    # RFC 9110 §7.8: HTTP/1.0 knows no upgrade.
    request.is_upgrade = request.upgrade is not None and b"upgrade" in options and request.version is HTTP11
    request.passed = without_nominated(request.passed, options)
