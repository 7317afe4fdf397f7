"""Request target → the one canonical form that routes match and that the upstream gets (RFC 9112 §3.2, RFC 3986 §6.2).

Where readings of a target may differ (dot segments resolved or not, `%2F` decoded or not, `;` cut or not, slashes
merged or not, escapes decoded twice) the request is refused instead of guessed at. Some old applications cannot do
without `;`, `//` or `%2F`: these leave a `Doubt`, and the caller refuses it unless a route allows them and all readings
fall on that route.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.errors import Reason, Refused
from gateway.http.readings import other_readings
from gateway.types import Oddity

# A path that has only one reading: whole segments of characters that nobody decodes, none of them `.` or `..`, none of
# them empty but the last. RFC 3986 §3.3 pchar without pct-encoded and without `;`.
_PLAIN: Final = re.compile(r"((?:/(?!\.\.?(?:[/?]|\Z))[A-Za-z0-9_~!$&'()*+,=:@.\-]+)*/?)(\?[!-\"$-~]*)?")

_ABSOLUTE: Final = re.compile(r"https?://([^/?#\\@]+)(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)
_HEX_PAIR: Final = re.compile(r"[0-9A-Fa-f]{2}")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

# `\` is a slash and `#` the end of the path to many; nobody needs them.
_REFUSED_RAW: Final = frozenset("\\#")
# What is left of an escaped percent sign before two hex digits is an escape to whoever decodes twice.
_DOUBLE_ESCAPE: Final = re.compile(r"%25[0-9A-Fa-f]{2}")
_ODD: Final = {
    Oddity.SEMICOLON: re.compile(r";|%3B"),
    Oddity.DOUBLE_SLASH: re.compile(r"//"),
    Oddity.ENCODED_SLASH: re.compile(r"%2F"),
}
# Not in RFC 3986's grammar, yet sent by browsers (WHATWG URL leaves them) and by old clients: escaped, never refused.
_ESCAPED_FOR_CLIENT: Final = frozenset('"<>[]^`{|}')


@dataclass(frozen=True, slots=True)
class Doubt:
    """A canonical path may still be read as one of `readings`; `oddities` are why, as far as a route must allow it."""

    oddities: frozenset[Oddity]
    readings: frozenset[str]


@dataclass(slots=True)
class Target:
    """Shared by all requests with this target, so only read.

    `path` is canonical and starts with `/`; `query` is empty or starts with `?` and is as the client sent it.

    `authority` is what an absolute-form target named, else None. `doubt` is None for nearly every path there is.
    """

    path: str
    query: str
    authority: str | None = None
    doubt: Doubt | None = None

    @property
    def encoded(self) -> bytes:
        """Path and query as they go on to the upstream."""
        return (self.path + self.query).encode()


# Targets repeat, and are strangers' input: at most 512 × some 20 KiB are kept, usually 200 KiB.
@lru_cache(maxsize=512)
def parse_target(raw: str) -> Target:
    """Raises `Refused(BAD_TARGET)`; what a route may allow is left in doubt. `raw` is as parsed: ASCII, not empty."""
    plain = _PLAIN.fullmatch(raw)
    if plain is not None:
        path, query = plain.groups()
        if path:
            return Target(path, query or "")
    return _parse_unusual(raw)


def _parse_unusual(raw: str) -> Target:
    authority = None
    if not raw.startswith("/"):
        # RFC 9112 §3.2.2: a server must accept absolute-form. CONNECT's and `*` end here.
        absolute = _ABSOLUTE.fullmatch(raw)
        if absolute is None:
            raise Refused(Reason.BAD_TARGET)
        authority, raw = absolute.group(1), (absolute.group(2) or "/") + (absolute.group(3) or "")
    path, mark, query = raw.partition("?")
    if "#" in query or not (raw.isascii() and raw.isprintable()) or " " in raw:
        raise Refused(Reason.BAD_TARGET)
    path = _canonical_path(path)
    return Target(path, mark + query, authority, _doubt_about(path))


def _canonical_path(raw: str) -> str:
    """Escapes of unreserved characters decoded, other escapes in upper case, stray characters escaped."""
    out: list[str] = []
    position = 0
    while position < len(raw):
        char = raw[position]
        if char == "%":
            out.append(_canonical_escape(raw, position))
            position += 3
            continue
        if char in _REFUSED_RAW:
            raise Refused(Reason.BAD_TARGET)
        out.append(f"%{ord(char):02X}" if char in _ESCAPED_FOR_CLIENT else char)
        position += 1
    path = "".join(out)
    # Decided on the decoded text: `/%2e%2e/` is a dot segment for every backend that decodes.
    if _DOUBLE_ESCAPE.search(path) or _has_dot_segments(path):
        raise Refused(Reason.BAD_TARGET)
    return path


def _canonical_escape(raw: str, position: int) -> str:
    pair = raw[position + 1 : position + 3]
    if not _HEX_PAIR.fullmatch(pair):
        raise Refused(Reason.BAD_TARGET)
    char = chr(int(pair, 16))
    if char in _UNRESERVED:
        return char
    if char < " " or char in {"\x7f", "\\"}:
        raise Refused(Reason.BAD_TARGET)
    return f"%{pair.upper()}"


def _has_dot_segments(path: str) -> bool:
    segments = path.split("/")
    return "." in segments or ".." in segments


def _doubt_about(path: str) -> Doubt | None:
    """Raises `Refused` when a reading has dot segments: `/..;x/` and `/..%2F` hide them."""
    oddities = frozenset(oddity for oddity, pattern in _ODD.items() if pattern.search(path))
    # Any other escape (`%3A`) is harmless by itself, but a backend may decode what a rule spells out.
    if not oddities and "%" not in path:
        return None
    readings = other_readings(path)
    if any(map(_has_dot_segments, readings)):
        raise Refused(Reason.BAD_TARGET)
    return Doubt(oddities, readings)
