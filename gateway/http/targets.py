"""Request target → the one canonical form that routes match and that the upstream gets (RFC 9112 §3.2, RFC 3986 §6.2).

Where readings of a target may differ (dot segments resolved or not, `%2F` decoded or not, `;` cut or not, slashes
merged or not, escapes decoded twice) the request is refused instead of guessed at. Some old applications cannot do
without `;`, `//` or `%2F`: these leave a `Doubt`, and the caller refuses it unless a route allows them and all readings
fall on that route.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from string import hexdigits
from typing import Final

from gateway.errors import Reason, Refused
from gateway.http.readings import other_readings
from gateway.types import Oddity

# A path that has only one reading: whole segments of characters that nobody decodes, none of them `.` or `..`, none of
# them empty but the last. RFC 3986 §3.3 pchar without pct-encoded and without `;`. Not possessive: early releases of
# Python 3.11 (3.11.2 is Debian 12's) get possessive groups wrong and take `/a/..` for plain. 8 KiB of path that is not
# plain at its end cost 0.4 ms of going back.
_PLAIN: Final = re.compile(r"((?:/(?!\.\.?(?:[/?]|\Z))[A-Za-z0-9_~!$&'()*+,=:@.\-]+)*/?)(\?[!-\"$-~]*)?")

_ABSOLUTE: Final = re.compile(r"https?://([^/?#\\@]+)(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Not in RFC 3986's grammar, yet sent by browsers (WHATWG URL leaves them) and by old clients: escaped, never refused.
_ESCAPED_FOR_CLIENT: Final = '"<>[]^`{|}'


def _canonical_forms() -> Iterator[tuple[str, str]]:
    """As sent → as it goes on: escapes of unreserved characters decoded, others in upper case, stray ones escaped.

    Left out, so refused: controls, `\\` (a slash to many), `#` (the end of the path to many), and what is no escape.
    """
    for pair in map("".join, product(hexdigits, repeat=2)):
        char = chr(int(pair, 16))
        if char in _UNRESERVED:
            yield f"%{pair}", char
        elif char >= " " and char not in "\x7f\\":
            yield f"%{pair}", f"%{pair.upper()}"
    for char in _ESCAPED_FOR_CLIENT:
        yield char, f"%{ord(char):02X}"


_CANONICAL_FORMS: Final = dict(_canonical_forms())
_NOT_PLAIN: Final = re.compile(r"%(?:[0-9A-Fa-f]{2})?|[^A-Za-z0-9_~!$&'()*+,=:@./;\-]")
# What is left of an escaped percent sign before two hex digits is an escape to whoever decodes twice.
_DOUBLE_ESCAPE: Final = re.compile(r"%25[0-9A-Fa-f]{2}")
# UTF-8 that is longer than it need be, and so none (RFC 3629 §3): old decoders of IIS and Java read `%C0%AE` as a dot.
_OVERLONG: Final = re.compile(r"%C[01]%[89AB]|%E0%[89]|%F0%8")
_DOT_SEGMENT: Final = re.compile(r"/\.\.?(?:/|\Z)")

_ODD: Final = {
    Oddity.SEMICOLON: re.compile(r";|%3B"),
    Oddity.DOUBLE_SLASH: re.compile(r"//"),
    Oddity.ENCODED_SLASH: re.compile(r"%2F"),
}


@dataclass(frozen=True, slots=True)
class Doubt:
    """The canonical `path` may still be read in other ways; `oddities` are why, as far as a route must allow it."""

    path: str
    oddities: frozenset[Oddity]

    def readings(self) -> frozenset[str]:
        """What else the path may be read as. Raises `Refused(BAD_TARGET)` for hidden dot segments: `/..;x/`, `/..%2F`.

        Asked for only where the oddities are allowed: a long path has readings that cost 0.3 ms.
        """
        readings = other_readings(self.path)
        if any(map(_DOT_SEGMENT.search, readings)):
            raise Refused(Reason.BAD_TARGET)
        return readings


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
    try:
        path = _NOT_PLAIN.sub(_canonical_form, raw)
    except KeyError:
        raise Refused(Reason.BAD_TARGET) from None
    # Decided on the decoded text: `/%2e%2e/` is a dot segment for every backend that decodes.
    if _DOUBLE_ESCAPE.search(path) or _OVERLONG.search(path) or _DOT_SEGMENT.search(path):
        raise Refused(Reason.BAD_TARGET)
    return path


def _canonical_form(match: re.Match[str]) -> str:
    return _CANONICAL_FORMS[match[0]]


def _doubt_about(path: str) -> Doubt | None:
    oddities = frozenset(oddity for oddity, pattern in _ODD.items() if pattern.search(path))
    # Any other escape (`%3A`) is harmless by itself, but a backend may decode what a rule spells out.
    return Doubt(path, oddities) if oddities or "%" in path else None
