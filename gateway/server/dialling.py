"""How connections to upstreams are opened: over TCP, or to the gateway's own application over a socket pair."""

import asyncio
import contextlib
import socket
from collections.abc import Sequence

from aiohttp import web

from gateway.endpoints.connection import Connection
from gateway.proxy.upstream_pool import Connector, ProtocolFactory


def tcp_connector(servers: Sequence[tuple[str, int]]) -> Connector:
    """Connects to the first of `servers` (name or address, port) that can be reached; names are resolved each time."""

    async def connect(factory: ProtocolFactory) -> object:
        loop = asyncio.get_running_loop()
        for host, port in servers[:-1]:
            with contextlib.suppress(OSError):
                return await loop.create_connection(factory, host, port)
        host, port = servers[-1]
        return await loop.create_connection(factory, host, port)

    return connect


def application_connector(runner: web.AppRunner) -> Connector:
    """Connects to an application inside this process: one end to its server, the other to the caller.

    The application is one more upstream to the data plane, so there is no second way to write a response.
    """

    async def connect(factory: ProtocolFactory) -> object:
        loop = asyncio.get_running_loop()
        server = runner.server
        if server is None:
            raise ConnectionRefusedError("The gateway's own application is not running.")
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        await loop.connect_accepted_socket(lambda: Connection(server), theirs)
        return await loop.create_unix_connection(factory, sock=ours)

    return connect
