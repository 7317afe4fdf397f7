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
from typing import Final, Protocol, TextIO

from gateway.errors import Reason
from gateway.http.forwarding import Origin
from gateway.http.requests import Request
from gateway.http.trace_context import trace_id
from gateway.observability.log_lines import shown_path
from gateway.observability.log_output import Render
from gateway.types import Principal

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


class Named(Protocol):
    @property
    def name(self) -> str: ...


class Labelled(Protocol):
    @property
    def label(self) -> str: ...


class EndedExchange(Protocol):
    """What is told of a request. Times are of the loop; `answered_at` None is without an answer from `server`."""

    @property
    def origin(self) -> Origin: ...

    @property
    def request(self) -> Request: ...

    @property
    def plan(self) -> Named | None: ...

    @property
    def status(self) -> int: ...

    @property
    def reason(self) -> Reason | None: ...

    @property
    def principal(self) -> Principal | None: ...

    @property
    def server(self) -> Labelled | None: ...

    @property
    def request_id(self) -> bytes: ...

    @property
    def traceparent(self) -> bytes | None: ...

    @property
    def bytes_sent(self) -> int: ...

    @property
    def started_at(self) -> float: ...

    @property
    def sent_at(self) -> float: ...

    @property
    def answered_at(self) -> float | None: ...


class EndedTunnel(Protocol):
    """What is told of a WebSocket besides."""

    @property
    def bytes_received(self) -> int: ...

    @property
    def close_code(self) -> int: ...


def _rarely_told(exchange: EndedExchange, tunnel: EndedTunnel | None) -> str:
    told = "" if exchange.traceparent is None else f',"trace_id":"{trace_id(exchange.traceparent)}"'
    if tunnel is not None:
        told += f',"bytes_received":{tunnel.bytes_received},"close_code":{tunnel.close_code}'
    return told if exchange.reason is None else f'{told},"reason":"{exchange.reason.value}"'


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

    def write(self, exchange: EndedExchange, now: float, tunnel: EndedTunnel | None = None) -> None:
        """Record one exchange, which has ended at `now`, loop time. The query of its target is left out."""
        time_of_day = self._clock()
        second = int(time_of_day)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        request, plan, server, principal = exchange.request, exchange.plan, exchange.server, exchange.principal
        answered_at = exchange.answered_at
        is_usual = exchange.reason is None and exchange.traceparent is None and tunnel is None
        self._lines.append(
            _LINE
            % (
                self._second_text,
                (time_of_day - second) * 1000,
                quote(exchange.origin.address),
                quote(request.method),
                _quoted_path(request.target[:_MAX_PATH]),
                "null" if plan is None else quote(plan.name),
                exchange.status,
                exchange.bytes_sent,
                (now - exchange.started_at) * 1000,
                "null" if server is None else quote(server.label),
                "null" if answered_at is None else "%.1f" % ((answered_at - exchange.sent_at) * 1000),
                "null" if principal is None else quote(principal.user_id),
                exchange.request_id.decode(),
                "" if is_usual else _rarely_told(exchange, tunnel),
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
