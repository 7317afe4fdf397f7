"""One JSON line a request.

No token, no cookie, no query (checklist 86); what a client chose (path, method) is escaped by JSON, so one record stays
one line. Lines are collected and written a few times a second: a write per request would double its price.
"""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TextIO

_FLUSH_SECONDS: Final = 0.2
_MAX_PENDING_LINES: Final = 512
_MAX_PATH: Final = 512

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


class AccessLog:
    """Writes to `stream`; `clock` gives Unix seconds."""

    def __init__(self, *, stream: TextIO, clock: Callable[[], float], loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._clock = clock
        self._loop = loop
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def write(
        self,
        *,
        client: str,
        method: str,
        target: str,
        status: int,
        reason: str | None,
        user_id: str | None,
        request_id: str,
        bytes_sent: int,
        duration: float,
    ) -> None:
        """Record one exchange; `duration` in seconds, shown in milliseconds. The query of `target` is left out."""
        record: dict[str, object] = {
            "time": datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds"),
            "client": client,
            "method": method,
            "path": target.partition("?")[0][:_MAX_PATH],
            "status": status,
            "bytes": bytes_sent,
            "ms": round(duration * 1000, 1),
            "user": user_id,
            "request_id": request_id,
        }
        if reason is not None:
            record["reason"] = reason
        self._lines.append(_encode(record))
        if len(self._lines) >= _MAX_PENDING_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(_FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what is pending. A reader that went away costs the log, not the service."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return
