"""Lines of a head → methods, targets, statuses and fields: the one module that knows aiohttp's C parsers.

Two reasons why the parsers see heads only, and not each one.

Bodies are cut by `http.bodies`: on aiohttp 3.14.5 the last trailer of a chunked message shows up as the first field of
the *next* message on that parser, which on a pooled upstream connection would be another client's answer. A parser that
is fed exactly one head at a time, and told that no body follows, has no such memory, so one serves a whole process.

Lines that were parsed before are not parsed again (`http.lines`): a line means the same in each head, once obs-fold is
refused (RFC 9112 §5.2), so a head of known lines needs no parser. The unknown lines of a head are parsed behind a start
line that is known to be good. What concerns several lines at once (a field that may come only once, a length beside a
coding) is decided by the readers, so that the memo cannot change an answer.
"""

import re
from typing import Any, Final, cast

from aiohttp import http as aiohttp_http
from aiohttp.http import HttpRequestParser, HttpResponseParser

from gateway.errors import GatewayError

RawFields = tuple[tuple[bytes, bytes], ...]
"""Fields in order of arrival: (name as sent, value without surrounding white space)."""

Version = tuple[int, int]

HTTP10: Final[Version] = (1, 0)
HTTP11: Final[Version] = (1, 1)
_VERSIONS: Final = {HTTP10: HTTP10, HTTP11: HTTP11}

# What no line may hold (RFC 9110 §5.5); the response parser of aiohttp is lenient about some of these.
_CONTROL: Final = bytes(byte for byte in range(0x20) if byte != 0x09) + b"\x7f"


_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class MalformedHeadError(GatewayError):
    """The lines are no head of HTTP/1.0 or 1.1."""


class UnsupportedVersionError(MalformedHeadError):
    """A well-formed request line of another version of HTTP."""


class _NoFlowControl:
    """Stands where aiohttp's parsers expect a protocol to pause; without bodies there is nothing to pause."""

    def pause_reading(self) -> None: ...

    def resume_reading(self, resume_parser: bool = True) -> None: ...


def require_c_parsers() -> None:
    """Refuse to run on aiohttp's pure-Python parsers: they let four more smuggling forms pass (checklist 19)."""
    if aiohttp_http.HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise GatewayError(
            "aiohttp runs on its pure-Python HTTP parser, which accepts requests that can be read in two ways. "
            "Install an aiohttp wheel with its C extensions and unset AIOHTTP_NO_EXTENSIONS."
        )


class HeadParser:
    """One of aiohttp's two head parsers. The caller bounds what it feeds; `max_line_bytes` must be no smaller."""

    __slots__ = ("_kind", "_max_line_bytes", "_parser")

    def __init__(self, kind: type[HttpRequestParser] | type[HttpResponseParser], *, max_line_bytes: int) -> None:
        self._kind = kind
        self._max_line_bytes = max_line_bytes
        self._parser = self._new_parser()

    @classmethod
    def for_requests(cls, *, max_line_bytes: int) -> "HeadParser":
        return cls(HttpRequestParser, max_line_bytes=max_line_bytes)

    @classmethod
    def for_responses(cls, *, max_line_bytes: int) -> "HeadParser":
        return cls(HttpResponseParser, max_line_bytes=max_line_bytes)

    def _new_parser(self) -> Any:
        return self._kind(
            cast(Any, _NoFlowControl()),
            cast(Any, None),
            2**16,
            max_line_size=self._max_line_bytes,
            max_field_size=self._max_line_bytes,
            max_headers=2**16,
            auto_decompress=False,
            response_with_body=False,
        )

    def parse(self, lines: list[bytes]) -> Any:
        """The message of a start line and field lines (without line ends). Raises `MalformedHeadError`.

        Exactly one field for each line: a bare CR or LF inside a line, or a fold, makes more or fewer.
        """
        head = b"\r\n".join(lines)
        if len(head.translate(None, _CONTROL)) != len(head) - 2 * (len(lines) - 1):
            raise MalformedHeadError("A control character stands in a head.")
        try:
            messages, upgraded, _ = self._parser.feed_data(head + b"\r\n\r\n")
        except Exception:
            # aiohttp documents BadHttpMessage and its kin; hostile targets have brought ValueError from yarl as well.
            self._parser = self._new_parser()
            raise MalformedHeadError("The C parser refused a head.") from None
        if len(messages) != 1:
            self._parser = self._new_parser()
            raise MalformedHeadError("A head did not end where it should.")
        message = messages[0][0]
        if upgraded or message.should_close:
            # Both leave the C parser in a state from which it takes no further message.
            self._parser = self._new_parser()
        if len(message.raw_headers) != len(lines) - 1:
            raise MalformedHeadError("A line of a head is not one field.")
        # The lenient response parser takes `Content-Length : 2` for a field with a blank in its name (RFC 9112 §5.1).
        if not all(_TOKEN.fullmatch(name) for name, _ in message.raw_headers):
            raise MalformedHeadError("A field name is not a token.")
        return message


def known_version(message: Any) -> Version:
    """The version as one of our constants. Raises `UnsupportedVersionError`, or `MalformedHeadError` for HTTP/0.9."""
    version = _VERSIONS.get(tuple(message.version))
    if version is None:
        error = UnsupportedVersionError if message.version[0] > 0 else MalformedHeadError
        raise error("Neither HTTP/1.0 nor HTTP/1.1.")
    return version
