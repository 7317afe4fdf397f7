"""Media types, their parameters and charsets, read as Django and DRF read them (contract §2, §7)."""

from email.message import Message
from email.utils import collapse_rfc2231_value
from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import Final

MAX_MEDIA_TYPE_CHARS: Final = 256  # DRF's bound: a longer Content-Type is 415, a longer Accept entry is passed over

# The standard library's reading is quadratic: 400 parameters in one part head took 2.4 ms.
MAX_PARAMETERS: Final = 16

DEFAULT_CHARSET: Final = "utf_8"

# Codecs that Python has and that are refused: those from bytes to bytes, as DRF does (a packed body would be unpacked);
# those that are no charset; and two that cost 216 ms and 13 ms of the loop for a body of 64 KiB (punycode, idna).
_BYTES_CODECS: Final = frozenset(
    {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
)
_REFUSED_CHARSETS: Final = frozenset(
    {
        *_BYTES_CODECS,
        *(alias for alias, codec in aliases.items() if codec in _BYTES_CODECS),
        *("charmap", "idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"),
    }
)
# Names are looked up in this closed list before Python sees them: it remembers every name that it did not find, so
# strangers could fill the memory. `mbcs` exists on Windows only.
_CHARSETS: Final = frozenset(
    {
        *(alias for alias, codec in aliases.items() if codec != "mbcs"),
        *(codec for codec in aliases.values() if codec != "mbcs"),
        # These have no alias.
        *("cp1006", "cp720", "cp737", "cp856", "cp874", "cp875", "koi8_t", "koi8_u", "utf_8_sig"),
    }
    - _REFUSED_CHARSETS
)


def charset(name: str) -> str:
    """The codec for a charset parameter; an unknown name counts as absent and is UTF-8, as in Django.

    Raises LookupError for a name that is known and refused.
    """
    normal = normalize_encoding(name).lower()
    if normal in _REFUSED_CHARSETS:
        raise LookupError("not a charset for text")
    return normal if normal in _CHARSETS else DEFAULT_CHARSET


def parse(line: str) -> tuple[str, dict[str, str]]:
    """Split `type/subtype; name=value` into the type in lower case and its parameters.

    Quoted strings and RFC 2231 forms are undone. Raises ValueError for an RFC 2231 value in an unknown charset, and for
    more than `MAX_PARAMETERS`.
    """
    parameters = line.count(";")
    if not parameters:
        return line.strip().lower(), {}
    if parameters > MAX_PARAMETERS:
        raise ValueError("too many parameters")
    message = Message()
    message["content-type"] = line
    found = message.get_params() or [("", "")]
    return found[0][0].lower(), {name: _text(value) for name, value in found[1:] if name}


def _text(value: str | tuple[str | None, str | None, str]) -> str:
    """Undo RFC 2231: the standard library gives such a value as (charset, language, bytes read as Latin-1)."""
    if isinstance(value, tuple) and value[0] and normalize_encoding(value[0]).lower() not in _CHARSETS:
        raise ValueError("unknown charset in an RFC 2231 parameter")
    return collapse_rfc2231_value(value)


def is_covered(ours: str, theirs: str) -> bool:
    """Whether a peer's `theirs` means our media type `ours`: `*` stands for any type or subtype, as in DRF."""
    our_type, _, our_subtype = ours.partition("/")
    their_type, _, their_subtype = theirs.partition("/")
    return their_type in ("*", our_type) and their_subtype in ("*", our_subtype)
