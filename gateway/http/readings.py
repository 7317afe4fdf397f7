"""What back ends make of a path that has something odd in it: every other path that it may be read as.

The readers are those that peers fell over: escapes decoded before routing (`%2F`, CVE-2021-29492), path parameters cut
off each segment (servlet containers) or from the first `;` on, slashes merged (nginx), `//` at the start taken for an
authority (RFC 3986 §4.2), a decoded `?` or `#` taken for the end of the path (CVE-2021-32779). A backend may do several
of these, in any order, so the readings are closed under all of them. One that merges or decodes in some places only
reads something between the path and one of these; rules are prefixes of whole segments, so where both fall on one rule
it does, too.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

_PARAMETERS: Final = re.compile(r";[^/]*")
_SLASHES: Final = re.compile(r"/{2,}")
_AUTHORITY: Final = re.compile(r"//[^/]*")
_BEHIND_PATH: Final = re.compile(r"[?#].*")


def _decoded(path: str) -> str:
    # Latin-1 gives every byte a character of its own, so that two paths never become one.
    return unquote_to_bytes(path.encode("latin-1")).decode("latin-1")


def _without_parameters(path: str) -> str:
    return _PARAMETERS.sub("", path)


def _until_first_parameter(path: str) -> str:
    return path.partition(";")[0]


def _with_merged_slashes(path: str) -> str:
    return _SLASHES.sub("/", path)


def _without_authority(path: str) -> str:
    return _AUTHORITY.sub("", path, count=1) or "/" if path.startswith("//") else path


def _until_query(path: str) -> str:
    return _BEHIND_PATH.sub("", path)


_READERS: Final[tuple[Callable[[str], str], ...]] = (
    _decoded,
    _without_parameters,
    _until_first_parameter,
    _with_merged_slashes,
    _until_query,
)


# Paths repeat: 0.1 µs instead of 8. At most 128 × some 100 KiB are kept, usually 50 KiB.
@lru_cache(maxsize=128)
def other_readings(path: str) -> frozenset[str]:
    """All readings of a canonical `path` but itself: one or two mostly, a dozen at most."""
    found = _closure({path})
    # An authority is taken off once: closed under that too, `//a//a//a` would have as many readings as slashes.
    found |= _closure({_without_authority(reading) for reading in found})
    return frozenset(found - {path})


def _closure(paths: set[str]) -> set[str]:
    """Every reader only shortens, so there is an end."""
    found = set(paths)
    unread = list(paths)
    while unread:
        reading = unread.pop()
        for read in _READERS:
            other = read(reading)
            if other not in found:
                found.add(other)
                unread.append(other)
    return found
