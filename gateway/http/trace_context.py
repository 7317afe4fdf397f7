"""W3C Trace Context: which trace a request belongs to, as far as whoever sent it may say so.

A `traceparent` is `version-trace_id-parent_id-flags` in lower-case hex. A proxy that takes no part in a trace passes it
on as it is; one that cannot be read is dropped, and its tracestate with it (Trace Context §3.2, §3.3). None is made up
where none came: its flags would tell the backend whether to sample, in the place of its own configuration.
"""

import re
from typing import Final

# §2.2: version ff and ids of zeros only are invalid. A later version may have more behind a dash (§3.2.4).
_TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]*)?"
)
_VERSION_00_BYTES: Final = 55
_MAX_BYTES: Final = 512  # no version that is known has more than 55


def accepted_traceparent(value: bytes) -> bytes | None:
    """`value`, if it is one that may be passed on."""
    if len(value) != _VERSION_00_BYTES and (value.startswith(b"00") or len(value) > _MAX_BYTES):
        return None
    return value if _TRACEPARENT.fullmatch(value) else None


def trace_id(traceparent: bytes) -> str:
    """Of an accepted one: 32 hex digits."""
    return traceparent[3:35].decode()
