"""One line a request.

No token, no cookie, no query (checklist 86); what a client chose (path, method) is escaped by JSON, so one record stays
one line. Lines are collected and written a few times a second: a write per request would double its price.

Several workers write to the same standard output. What one write of at most PIPE_BUF bytes puts into a pipe stays in
one piece (POSIX, write), so no block is larger than that and none ends inside a line.
"""

import asyncio
import json
import select
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quote
from typing import Final, TextIO

from gateway.http.trace_context import trace_id
from gateway.observability.log_lines import shown_path
from gateway.observability.log_output import Render

_FLUSH_SECONDS: Final = 0.2
_MAX_PENDING_LINES: Final = 512
_MAX_PATH: Final = 512
_SHORT: Final = 64  # of each text, when the escapes of what a client chose make a line longer than a block
_MAX_BLOCK: Final = select.PIPE_BUF  # the lines are ASCII, so characters are bytes

# A template and the encoder's own quoting: a tenth of a dictionary through json.dumps, which cost more than admission.
# Without quoting: request ids and trace ids, which have their grammar (`http.rewriting`, `http.trace_context`).
_LINE: Final = (
    '{"time":"%s.%03dZ","level":"info","logger":"gateway.access","event":"request_ended","client":%s,"method":%s,'
    '"path":%s,"route":%s,"status":%d,"bytes":%d,"ms":%.1f,"upstream":%s,"upstream_ms":%s,"user_id":%s,'
    '"request_id":"%s"%s}\n'
)


@lru_cache(maxsize=512)  # strangers' input, at most 512 × 2 KiB; paths repeat
def _quoted_path(beginning: str) -> str:
    return quote(shown_path(beginning))


def _rarely_told(
    reason: str | None, traceparent: bytes | None, bytes_received: int | None, close_code: int | None
) -> str:
    told = "" if traceparent is None else f',"trace_id":"{trace_id(traceparent)}"'
    if close_code is not None:
        told += f',"bytes_received":{bytes_received or 0},"close_code":{close_code}'
    return told if reason is None else f'{told},"reason":"{reason}"'


class AccessLog:
    """Writes to `stream`; `clock` gives Unix seconds. `words` makes of a line, when it is written, what people read."""

    def __init__(
        self,
        *,
        stream: TextIO,
        clock: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
        words: Render | None = None,
    ) -> None:
        self._stream = stream
        self._words = words
        self._clock = clock
        self._loop = loop
        self._lines: list[str] = []
        self._second = -1
        self._second_text = ""
        self._timer: asyncio.TimerHandle | None = None

    def write(
        self,
        *,
        client: str,
        method: str,
        target: str,
        route: str | None,
        status: int,
        reason: str | None,
        user_id: str | None,
        upstream: str | None,
        request_id: bytes,
        traceparent: bytes | None,
        bytes_sent: int,
        duration: float,
        upstream_duration: float | None,
        bytes_received: int | None = None,
        close_code: int | None = None,
    ) -> None:
        """Record one exchange; durations in seconds, shown in milliseconds. The query of `target` is left out.

        `bytes_received` and `close_code` are told of WebSockets only.
        """
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        self._lines.append(
            _LINE
            % (
                self._second_text,
                (now - second) * 1000,
                quote(client),
                quote(method),
                _quoted_path(target[:_MAX_PATH]),
                "null" if route is None else quote(route),
                status,
                bytes_sent,
                duration * 1000,
                "null" if upstream is None else quote(upstream),
                "null" if upstream_duration is None else "%.1f" % (upstream_duration * 1000),
                "null" if user_id is None else quote(user_id),
                request_id.decode(),
                ""
                if reason is None and traceparent is None and close_code is None
                else _rarely_told(reason, traceparent, bytes_received, close_code),
            )
        )
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
        if self._words is not None:
            lines = [self._words(json.loads(line)) + "\n" for line in lines]
        try:
            for block in _blocks(lines):
                self._stream.write(block)
                self._stream.flush()
        except (OSError, ValueError):
            return


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """The lines in their order, as many together as a block may hold."""
    block: list[str] = []
    size = 0
    for whole in lines:
        line = whole if len(whole) <= _MAX_BLOCK else _shortened(whole)
        if size + len(line) > _MAX_BLOCK:
            yield "".join(block)
            block, size = [], 0
        block.append(line)
        size += len(line)
    yield "".join(block)


def _shortened(line: str) -> str:
    record = {name: text[:_SHORT] if isinstance(text, str) else text for name, text in json.loads(line).items()}
    return json.dumps(record, separators=(",", ":")) + "\n"
