"""Where probes ask: aiohttp's own server on sockets of its own, bounded.

aiohttp bounds neither connections nor the time that a head may take. Both are simple here, where a connection is one
request that is answered at once: all of it must be over within some seconds, and above the most connections the oldest
makes room, so a probe gets through however many others open connections and say nothing.
"""

import asyncio
from collections.abc import Sequence
from socket import socket
from typing import Final, cast

from aiohttp import web

from gateway.endpoints.connection import Connection
from gateway.server.sockets import stop_listening

MAX_CONNECTIONS: Final = 64
_CONNECTION_SECONDS: Final = 10.0
_CLOSING_SECONDS: Final = 1.0


class AdminListener:
    """Serves `application` on bound sockets from `start` to `close`, and owns them."""

    def __init__(
        self,
        *,
        sockets: Sequence[socket],
        application: web.Application,
        connection_timeout: float = _CONNECTION_SECONDS,
    ) -> None:
        self._sockets = tuple(sockets)
        self._runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=_CLOSING_SECONDS)
        self._connection_timeout = connection_timeout
        self._connections: dict[_BoundedConnection, None] = {}  # a set that knows who came first
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        await self._runner.setup()
        loop, server = asyncio.get_running_loop(), cast("web.Server", self._runner.server)  # there is one since `setup`

        def new_connection() -> _BoundedConnection:
            return _BoundedConnection(server, self._connections, self._connection_timeout)

        for sock in self._sockets:
            self._servers.append(await loop.create_server(new_connection, sock=sock))

    async def close(self) -> None:
        """Nobody is answered any more, nor kept waiting."""
        stop_listening(self._sockets)
        for server in self._servers:
            server.close()
        await self._runner.cleanup()


class _BoundedConnection(Connection):
    """`connections` are all that are open, this one included as long as it is."""

    __slots__ = ("_connections", "_end", "_timeout")

    def __init__(self, server: web.Server, connections: "dict[_BoundedConnection, None]", timeout: float) -> None:
        super().__init__(server)
        self._connections = connections
        self._timeout = timeout
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._connections) >= MAX_CONNECTIONS:
            next(iter(self._connections)).abort()
        self._connections[self] = None
        self._end = asyncio.get_running_loop().call_later(self._timeout, self.abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def abort(self) -> None:
        self._forget()
        if self.transport is not None:
            self.transport.abort()

    def _forget(self) -> None:
        self._connections.pop(self, None)
        if self._end is not None:
            self._end.cancel()
