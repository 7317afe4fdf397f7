"""How connections to upstreams are opened: over TCP, or to the gateway's own application over a socket pair."""

import asyncio
import socket

from aiohttp import web

from gateway.endpoints.connection import Connection
from gateway.proxy.upstream_pool import Connector, ProtocolFactory


def tcp_connector(host: str, port: int) -> Connector:
    """Connects to `host`, a name or an address; the name is resolved anew each time."""

    async def connect(factory: ProtocolFactory) -> object:
        return await asyncio.get_running_loop().create_connection(factory, host, port)

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
