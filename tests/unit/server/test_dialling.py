"""Connections to upstreams: over a socket pair into the gateway's own application, over TCP to everybody else."""

import asyncio
import socket

import pytest
from aiohttp import web

from gateway.server.dialling import application_connector, tcp_connector


class Client(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.received = b""
        self.news = asyncio.Event()
        self.is_connected = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_connected = False
        self.news.set()

    async def until(self, end: bytes) -> bytes:
        """What came, up to `end`."""
        while end not in self.received and self.is_connected:
            self.news.clear()
            await self.news.wait()
        taken, self.received = self.received, b""
        return taken


async def greet(request: web.Request) -> web.Response:
    return web.Response(text=f"{request.path} for {request.headers['X-Who']} over {request.transport is not None}\n")


async def running_application() -> web.AppRunner:
    application = web.Application()
    application.router.add_get("/{name}", greet)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    return runner


async def test_the_application_answers_over_a_socket_pair_and_the_connection_stays() -> None:
    runner = await running_application()
    client = Client()
    await application_connector(runner)(lambda: client)
    for name in (b"/a", b"/b"):
        client.transport.write(b"GET " + name + b" HTTP/1.1\r\nHost: x\r\nX-Who: alice\r\n\r\n")
        answer = await client.until(b"True\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(name + b" for alice over True\n")
    assert client.transport.get_extra_info("socket").family == socket.AF_UNIX
    client.transport.close()
    await runner.cleanup()


async def test_each_connection_is_its_own() -> None:
    runner = await running_application()
    connect = application_connector(runner)
    clients = [Client(), Client()]
    for client in clients:
        await connect(lambda client=client: client)  # type: ignore[misc]
    for number, client in enumerate(clients):
        client.transport.write(b"GET /a HTTP/1.1\r\nHost: x\r\nX-Who: %d\r\n\r\n" % number)
    for number, client in enumerate(clients):
        assert b"for %d over" % number in await client.until(b"True\n")
        client.transport.close()
    await runner.cleanup()


async def test_an_application_that_does_not_run_refuses_as_a_closed_port_would() -> None:
    runner = web.AppRunner(web.Application())
    with pytest.raises(ConnectionRefusedError):
        await application_connector(runner)(Client)


async def test_tcp_connects_to_a_server_by_name() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with socket.socket() as unused:  # bound and never listening, so nobody else gets the port
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()
        await check_greeting([("127.0.0.1", port)])
        await check_greeting([("localhost", port)])
        await check_greeting([closed, closed, ("127.0.0.1", port)])
        with pytest.raises(OSError):
            await tcp_connector([closed, closed])(Client)
    server.close()
    await server.wait_closed()


async def check_greeting(servers: list[tuple[str, int]]) -> None:
    client = Client()
    await tcp_connector(servers)(lambda: client)
    client.transport.write(b"hello\n")
    assert await client.until(b"hello\n") == b"hello\n"
    client.transport.close()
