"""Request target → the one canonical form that routes match and that the upstream gets (RFC 9112 §3.2, RFC 3986 §6.2).

Where readings of a target may differ (dot segments resolved or not, `%2F` decoded or not, `;` cut or not, slashes
merged or not, escapes decoded twice) the request is refused instead of guessed at.
"""

import re
from dataclasses import dataclass
from typing import Final

from gateway.errors import Reason, Refused

# A path that has only one reading: whole segments of characters that nobody decodes, none of them `.` or `..`, none of
# them empty but the last. RFC 3986 §3.3 pchar without pct-encoded and without `;`.
_PLAIN: Final = re.compile(r"((?:/(?!\.\.?(?:[/?]|\Z))[A-Za-z0-9_~!$&'()*+,=:@.\-]+)*/?)(\?[!-\"$-~]*)?")

_ABSOLUTE: Final = re.compile(r"https?://([^/?#\\@]+)(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)
_HEX_PAIR: Final = re.compile(r"[0-9A-Fa-f]{2}")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

# Raw characters that cut, join or end a path somewhere: `;` parameters, `\` as slash, `#` as fragment.
_REFUSED_RAW: Final = frozenset(";\\#")
# The same behind an escape, with `/` and NUL; controls are refused by number below.
_REFUSED_ESCAPED: Final = frozenset("/\\;")
# Not in RFC 3986's grammar, yet sent by browsers (WHATWG URL leaves them) and by old clients: escaped, never refused.
_ESCAPED_FOR_CLIENT: Final = frozenset('"<>[]^`{|}')


@dataclass(slots=True)
class Target:
    """`path` is canonical and starts with `/`; `query` is empty or starts with `?` and is as the client sent it.

    `authority` is what an absolute-form target named, else None.
    """

    path: str
    query: str
    authority: str | None = None

    @property
    def encoded(self) -> bytes:
        """Path and query as they go on to the upstream."""
        return (self.path + self.query).encode()


def parse_target(raw: str) -> Target:
    """Raises `Refused(BAD_TARGET)` for anything with more than one reading. `raw` is as parsed: ASCII, not empty."""
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
    return Target(_canonical_path(path), mark + query, authority)


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
    segments = path.split("/")
    # Decided on the decoded text: `/%2e%2e/` is a dot segment for every backend that decodes.
    if "" in segments[1:-1] or "." in segments or ".." in segments:
        raise Refused(Reason.BAD_TARGET)
    return path


def _canonical_escape(raw: str, position: int) -> str:
    pair = raw[position + 1 : position + 3]
    if not _HEX_PAIR.fullmatch(pair):
        raise Refused(Reason.BAD_TARGET)
    char = chr(int(pair, 16))
    if char in _UNRESERVED:
        return char
    # An escaped percent sign before two hex digits is an escape to whoever decodes twice.
    doubled = char == "%" and _HEX_PAIR.match(raw, position + 3)
    if char < " " or char == "\x7f" or char in _REFUSED_ESCAPED or doubled:
        raise Refused(Reason.BAD_TARGET)
    return f"%{pair.upper()}"
