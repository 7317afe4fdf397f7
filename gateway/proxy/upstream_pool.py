"""Idle connections to one upstream, and how new ones are opened."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.errors import Reason, Refused
from gateway.http.responses import ResponseReader
from gateway.proxy.upstream_connection import UpstreamConnection

ProtocolFactory = Callable[[], asyncio.BaseProtocol]
Connector = Callable[[ProtocolFactory], Awaitable[object]]
"""Opens a transport for the protocol that the factory makes; raises OSError."""

_SWEEP_SECONDS: Final = 1.0


class UpstreamPool:
    """Keep-alive connections to one upstream.

    The most recently used connection is taken first, so that the others grow old and are closed. Nothing is scanned per
    request; a sweep once a second looks only at those that are due. `host` is the Host field for routes that send the
    upstream's own; `response_timeout` in seconds is how long the upstream may be silent.
    """

    def __init__(
        self,
        *,
        name: str,
        host: bytes,
        connect: Connector,
        reader: ResponseReader,
        connect_timeout: float,
        response_timeout: float,
        idle_timeout: float,
        max_idle_connections: int,
    ) -> None:
        self.name = name
        self.host = host
        self.response_timeout = response_timeout
        self._connect = connect
        self._reader = reader
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._max_idle_connections = max_idle_connections
        self._idle: deque[UpstreamConnection] = deque()
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        # Kept: asking for the running loop costs a system call (getpid), here once for each response.
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return f"<UpstreamPool {self.name} idle={len(self._idle)}{' closed' if self._is_closed else ''}>"

    def take(self) -> UpstreamConnection | None:
        """An idle connection that is still open, or None."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.is_available:
                return connection
        return None

    async def open(self) -> UpstreamConnection:
        """A new connection. Raises `Refused(UPSTREAM_UNREACHABLE)`, also when `connect_timeout` has passed."""
        connection = UpstreamConnection(name=self.name, on_idle=self._give_back, reader=self._reader)
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._connect(lambda: connection)
        except (OSError, TimeoutError):
            connection.close()
            raise Refused(Reason.UPSTREAM_UNREACHABLE) from None
        except asyncio.CancelledError:
            connection.close()
            raise
        return connection

    def _give_back(self, connection: UpstreamConnection) -> None:
        """Keep a connection whose exchange has ended cleanly; the oldest gives way when there are too many."""
        if self._is_closed:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if len(self._idle) > self._max_idle_connections:
            self._idle.popleft().close()
        if self._sweep_timer is None:
            self._sweep_timer = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for too long; the oldest stand on the left."""
        self._sweep_timer = None
        due = self._loop.time() - self._idle_timeout
        idle = self._idle
        while idle and (idle[0].idle_since <= due or not idle[0].is_available):
            idle.popleft().close()
        if idle:
            self._sweep_timer = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def close(self) -> None:
        """Close what is idle now and whatever comes back later."""
        self._is_closed = True
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None
        while self._idle:
            self._idle.pop().close()
