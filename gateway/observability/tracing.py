"""Which requests are recorded as spans, and under which ids: decided at the start, told when everything is over.

The ids are made here and not by OpenTelemetry's tracer: a request that is not recorded costs a few random bits, one
that is costs nothing more before its end. What a stranger marks as sampled is not recorded for that alone, or anybody
could make the collector pay for all of his requests.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

_SAMPLED: Final = 1
_SPAN_BITS: Final = 64
_TRACE_BITS: Final = 128


@dataclass(slots=True)
class Trace:
    """A request in its trace. `traceparent` is what the upstream gets; the client's span is its parent there."""

    trace_id: int
    parent_id: int | None
    server_span_id: int
    client_span_id: int
    is_sampled: bool
    traceparent: bytes


@dataclass(slots=True, kw_only=True)
class Call:
    """The last request to an upstream: `server` is its base URL, `path` what it got; seconds before the end."""

    server: str
    path: str
    began_before_end: float
    status: int | None
    error: str | None


@dataclass(slots=True, kw_only=True)
class Served:
    """What is told of an exchange, by the time at which it has ended. `duration` is in seconds."""

    method: str
    path: str
    scheme: str
    protocol: str
    route: str | None
    host: str | None
    client: str
    user_agent: str | None
    status: int
    reason: str | None
    is_failure: bool
    request_id: str
    duration: float
    call: Call | None


class SpanSink(Protocol):
    """Takes what has been recorded, at once and without waiting."""

    def record(self, trace: Trace, served: Served) -> None: ...


class Tracing:
    """`one_in`: of traces that begin here one in so many is recorded; `draw` gives that many random bits."""

    __slots__ = ("_draw", "_follows_all", "_one_in", "sink")

    def __init__(
        self,
        sink: SpanSink,
        *,
        one_in: int,
        follows_all: bool,
        draw: Callable[[int], int] = random.getrandbits,
    ) -> None:
        self.sink = sink
        self._one_in = one_in
        self._follows_all = follows_all
        self._draw = draw

    def begin(self, traceparent: bytes | None, *, is_trusted: bool) -> Trace | None:
        """None where the request goes on in its trace as it came: whoever began it does not record it."""
        draw = self._draw
        is_sampled = draw(32) % self._one_in == 0
        if traceparent is None:
            trace_id, parent_id = draw(_TRACE_BITS) | 1, None
        else:
            if not int(traceparent[53:55], 16) & _SAMPLED:
                return None
            is_sampled = is_sampled or is_trusted or self._follows_all
            trace_id, parent_id = int(traceparent[3:35], 16), int(traceparent[36:52], 16)
        # Nothing is zero (Trace Context §2.2.2).
        server_span_id, client_span_id = draw(_SPAN_BITS) | 1, draw(_SPAN_BITS) | 1
        sent = b"00-%032x-%016x-%02x" % (trace_id, client_span_id, is_sampled)
        return Trace(trace_id, parent_id, server_span_id, client_span_id, is_sampled, sent)
