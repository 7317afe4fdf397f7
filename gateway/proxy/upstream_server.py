"""One server of an upstream: its connections, idle and busy, and how new ones are opened.

All connections are in one set, the idle ones also in `_idle`, so what the balancer asks (how many are busy, is there
room) is the difference of two lengths and no request has to be counted.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.errors import Reason
from gateway.http.responses import ResponseReader
from gateway.proxy.server_health import HealthRules, ServerHealth
from gateway.proxy.upstream_connection import UpstreamConnection

ProtocolFactory = Callable[[], asyncio.BaseProtocol]
Connector = Callable[[ProtocolFactory], Awaitable[object]]
"""Opens a transport for the protocol that the factory makes; raises OSError."""

_SWEEP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """`label` is the server in the operator's words, for the log; `host` its Host field."""

    label: str
    host: bytes
    connect: Connector


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Of each server, but for the queue, which is the upstream's. Seconds; `max_open` None is without bound."""

    max_open: int | None
    max_idle: int
    idle_timeout: float
    connect_timeout: float
    max_queued: int
    queue_timeout: float


class ServerObserver(Protocol):
    """The pool that the server belongs to."""

    @property
    def has_waiters(self) -> bool: ...

    def on_room(self) -> None:
        """A connection became idle or ended, and somebody waits for one."""

    def on_answer(self, server: "UpstreamServer") -> None:
        """A suspect server has begun to answer a request."""

    def on_failure(self, server: "UpstreamServer", reason: Reason) -> None:
        """A request failed in a way that speaks of the server."""


class UpstreamServer:
    """`last_answer_at` is loop time. `is_suspect`: it failed and has not answered since, so nothing is kept idle.

    `is_on_trial`: its pause is over, the next request may try it; `is_being_tried`: one does.
    """

    def __init__(
        self,
        address: ServerAddress,
        *,
        limits: ConnectionLimits,
        rules: HealthRules,
        reader: ResponseReader,
        observer: ServerObserver,
    ) -> None:
        self.label = address.label
        self.host = address.host
        self.connect = address.connect
        self.health = ServerHealth(rules)
        self.last_answer_at = float("-inf")
        self.is_suspect = False
        self.is_on_trial = False
        self.is_being_tried = False
        self.trial_timer: asyncio.TimerHandle | None = None
        self._limits = limits
        self._max_open = limits.max_open
        self._reader = reader
        self._observer = observer
        self._connections: set[UpstreamConnection] = set()
        # In the order in which they became idle: a dict, for one that ends is taken out of the middle.
        self._idle: dict[UpstreamConnection, None] = {}
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        # Kept: asking for the running loop costs a system call (getpid), here once for each response.
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return f"<UpstreamServer {self.label} busy={self.busy} idle={len(self._idle)} {self.health!r}>"

    @property
    def busy(self) -> int:
        return len(self._connections) - len(self._idle)

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def has_room(self) -> bool:
        return self._max_open is None or bool(self._idle) or len(self._connections) < self._max_open

    def take(self) -> UpstreamConnection | None:
        """The idle connection that was used last, so that the others grow old and are closed."""
        idle = self._idle
        while idle:
            connection, _ = idle.popitem()
            if connection.is_available:
                return connection
            connection.close()
        return None

    async def open(self) -> UpstreamConnection:
        """A new connection, in the place of an idle one where there is no other. Raises `OSError`, `TimeoutError`."""
        if self._max_open is not None and len(self._connections) >= self._max_open and self._idle:
            self._close_oldest()
        connection = UpstreamConnection(owner=self, reader=self._reader)
        self._connections.add(connection)
        try:
            async with asyncio.timeout(self._limits.connect_timeout):
                await self.connect(lambda: connection)
        except BaseException:
            connection.close()
            self.on_closed(connection)
            raise
        return connection

    def suspect(self) -> None:
        """It failed: connections that are idle now, or become so, may be as dead as the one that showed it."""
        self.is_suspect = True
        self._close_idle()

    def trust(self) -> None:
        self.is_suspect = self.is_on_trial = self.is_being_tried = False
        self.cancel_trial()

    def cancel_trial(self) -> None:
        if self.trial_timer is not None:
            self.trial_timer.cancel()
            self.trial_timer = None

    # What its connections tell

    def on_idle(self, connection: UpstreamConnection) -> None:
        """Keep a connection whose exchange has ended cleanly; the oldest gives way when there are too many."""
        connection.idle_since = self.last_answer_at = self._loop.time()
        if self._is_closed or self.is_suspect:
            connection.close()
            return
        self._idle[connection] = None
        if len(self._idle) > self._limits.max_idle:
            self._close_oldest()
        if self._sweep_timer is None:
            self._sweep_timer = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        if self._observer.has_waiters:
            self._observer.on_room()

    def on_answer(self) -> None:
        """The head of an answer came from a suspect."""
        self._observer.on_answer(self)

    def on_request_failed(self, connection: UpstreamConnection, reason: Reason, since: float) -> None:
        """A request that came at `since` (loop time) got no answer.

        That speaks of the server only if nobody else had an answer in the meantime: one request that is slow, or that
        kills a worker of the backend, must not take the server from all others. Nor does a kept connection that ends
        say anything: the backend may have closed it in good order.
        """
        was_stale = connection.was_pooled and not connection.has_answered and reason is Reason.UPSTREAM_BROKEN
        if not was_stale and self.last_answer_at < since:
            self._observer.on_failure(self, reason)

    def on_closed(self, connection: UpstreamConnection) -> None:
        """A connection is no more; whoever says so twice is heard once."""
        self._connections.discard(connection)
        self._idle.pop(connection, None)
        if self._observer.has_waiters:
            self._observer.on_room()

    # Idle connections

    def _close_oldest(self) -> None:
        next(iter(self._idle)).close()

    def _close_idle(self) -> None:
        for connection in tuple(self._idle):
            connection.close()

    def _sweep(self) -> None:
        """Close what has been idle for too long; the oldest stand first."""
        self._sweep_timer = None
        due = self._loop.time() - self._limits.idle_timeout
        for connection in tuple(self._idle):
            if connection.idle_since > due:
                break
            connection.close()
        if self._idle:
            self._sweep_timer = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def close(self) -> None:
        """Close what is idle now and whatever comes back later."""
        self._is_closed = True
        self.cancel_trial()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
        self._close_idle()
