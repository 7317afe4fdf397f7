"""How connections to upstreams are opened: over TCP, TLS or a Unix socket, or to the gateway's own application."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from typing import Final

import aiohappyeyeballs
from aiohttp import web

from gateway.endpoints.connection import Connection
from gateway.proxy.upstream_server import Connector, ProtocolFactory
from gateway.tasks import spawn

# RFC 8305 §5: how long an address has for itself before the next one is tried beside it.
_NEXT_ADDRESS_SECONDS: Final = 0.25

Addresses = Sequence[aiohappyeyeballs.AddrInfoType]


class Resolver:
    """The addresses of one server, looked up anew for each connection.

    Connections that are opened at the same time share one look-up, so a resolver that hangs holds one thread for each
    server. While names cannot be resolved, the last known addresses go on being used.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._known: Addresses = ()
        self._lookup: asyncio.Task[None] | None = None
        self._is_literal = _is_address(host)
        if self._is_literal:
            self._known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)

    async def addresses(self) -> Addresses:
        """Never empty. Raises `OSError` for a name that has never been resolved."""
        if not self._is_literal:
            if self._lookup is None:
                self._lookup = spawn(self._look_up(), name="resolve")
            await asyncio.shield(self._lookup)
            if not self._known:
                raise OSError(f"{self._host} cannot be resolved")
        return self._known

    async def _look_up(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError:
            return
        else:
            self._known = found or self._known
        finally:
            self._lookup = None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def tcp_connector(host: str, port: int, *, tls: ssl.SSLContext | None = None, server_name: str = "") -> Connector:
    """Connects to `host`, a name or an address: to all of its addresses, until one answers.

    With `tls`, the certificate must be `server_name`'s, which is also what SNI asks for.
    """
    resolver = Resolver(host, port)

    async def connect(factory: ProtocolFactory) -> object:
        addresses = await resolver.addresses()
        try:
            sock = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1
            )
        except RuntimeError as error:  # uvloop's, where asyncio has an OSError
            raise OSError(str(error)) from error
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_connection(
                factory, sock=sock, ssl=tls, server_hostname=None if tls is None else server_name
            )
        except BaseException:
            sock.close()
            raise

    return connect


def unix_connector(path: str) -> Connector:
    """Connects to a Unix socket."""

    async def connect(factory: ProtocolFactory) -> object:
        return await asyncio.get_running_loop().create_unix_connection(factory, path)

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
