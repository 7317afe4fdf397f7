"""The grammar of a head: start line and field lines of HTTP/1.0 and 1.1, strict (RFC 9112 §3, §4, §5; RFC 9110 §5).

A head is cut into lines once, and control characters are looked for in all of it at once; after that a line can hold
neither CR nor LF nor NUL, and what is left of the grammar is a token before the first colon. Names repeat from message
to message, values do not, so what is remembered is a name and its use (`http.fields`), never a line.

Why not aiohttp's C parsers (measured on 3.14.5, in one process): a head of twelve fields cost them 8 to 10 µs, most of
it for objects that a proxy throws away (a multidict, a URL), this cutting costs 3 µs whatever the values are; their
last trailer of a chunked message becomes the first field of the next one; the response parser is lenient about blanks
before a colon and folded lines. The tests hold this grammar against theirs: what is taken here reads the same there.
"""

import re
from functools import lru_cache
from typing import Final

from gateway.errors import GatewayError

Version = tuple[int, int]

HTTP10: Final[Version] = (1, 0)
HTTP11: Final[Version] = (1, 1)
_VERSIONS: Final = {"1.0": HTTP10, "1.1": HTTP11}

# What no line may hold (RFC 9110 §5.5): everything below blank but the tab, and DEL. 0x80 and above pass (obs-text).
_CONTROL: Final = bytes(byte for byte in range(0x20) if byte != 0x09) + b"\x7f"

# RFC 9112 §3, §4: single blanks, nothing else, between the parts. Methods are upper case: `get` is not `GET`
# (RFC 9110 §9.1), and a backend that takes it for that would obey another rule than the one that was decided by.
_REQUEST_LINE: Final = re.compile(r"([A-Z][A-Z_-]{0,31}) ([!-~]+) HTTP/([1-9]\.[0-9])")
_STATUS_LINE: Final = re.compile(rb"HTTP/([1-9]\.[0-9]) ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*))?")

_MAX_KEPT_LINE_BYTES: Final = 1024


class MalformedHeadError(GatewayError):
    """The lines are no head of HTTP/1.0 or 1.1."""


class UnsupportedVersionError(MalformedHeadError):
    """A well-formed start line of another version of HTTP."""


def head_lines(head: bytes) -> list[bytes]:
    """Start line and field lines, without line ends, of a `head` that ends with its empty line.

    Raises `MalformedHeadError` for a control character in one, a bare CR or LF included.
    """
    lines = head.split(b"\r\n")
    del lines[-2:]
    if len(head.translate(None, _CONTROL)) != len(head) - 2 * len(lines) - 2:
        raise MalformedHeadError("A control character stands in a head.")
    return lines


def parse_request_line(line: bytes) -> tuple[str, str, Version]:
    """Method, target as sent, version. Raises `MalformedHeadError`, or its kind for another version."""
    return _remembered_request_line(line) if len(line) <= _MAX_KEPT_LINE_BYTES else _request_line(line)


def _request_line(line: bytes) -> tuple[str, str, Version]:
    match = _REQUEST_LINE.fullmatch(line.decode("latin-1"))
    if match is None:
        raise MalformedHeadError("A request line is malformed.")
    method, target, version = match.groups()
    return method, target, _known_version(version)


# Start lines repeat, and are strangers' input: at most 512 × 2.3 KiB are kept, usually 50 KiB. A miss costs 0.4 µs.
# Long ones, of up to `limits.max_head_bytes`, took 30 MiB.
_remembered_request_line: Final = lru_cache(maxsize=512)(_request_line)


# Backends have a dozen; one that sends its longest heads can make 4 MiB of it.
@lru_cache(maxsize=32)
def parse_status_line(line: bytes) -> tuple[int, bytes, Version]:
    """Status, the line to send on (always HTTP/1.1, with the upstream's phrase), version.

    Raises `MalformedHeadError`, or its kind for another version.
    """
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise MalformedHeadError("A status line is malformed.")
    version, status, phrase = match.groups()
    return int(status), b"HTTP/1.1 %b %b" % (status, phrase or b""), _known_version(version.decode())


def _known_version(text: str) -> Version:
    version = _VERSIONS.get(text)
    if version is None:
        raise UnsupportedVersionError("Neither HTTP/1.0 nor HTTP/1.1.")
    return version
