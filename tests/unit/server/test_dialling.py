"""Connections to upstreams: over a socket pair into the gateway's own application, over TCP to everybody else."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.proxy.upstream_server import Connector
from gateway.server.dialling import Resolver, application_connector, tcp_connector, unix_connector
from tests.integration.scripted_upstream import never_accepting_port


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


@contextlib.asynccontextmanager
async def echo_server() -> AsyncIterator[int]:
    """Gives back the first line; yields its port."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def greet_over(connect: Connector) -> None:
    client = Client()
    await connect(lambda: client)
    client.transport.write(b"hello\n")
    assert await client.until(b"hello\n") == b"hello\n"
    client.transport.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_tcp_connects_to_a_server_by_name_and_by_address(host: str) -> None:
    async with echo_server() as port:
        await greet_over(tcp_connector(host, port))


async def test_a_closed_port_and_an_unknown_name_are_os_errors() -> None:
    with socket.socket() as unused:  # bound and never listening, so nobody else gets the port
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(OSError):
            await tcp_connector(*unused.getsockname())(Client)
    with pytest.raises(OSError, match="cannot be resolved"):
        await tcp_connector("nowhere.invalid", 80)(Client)


async def test_a_unix_socket_is_connected_to(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    path = str(tmp_path / "app.sock")
    async with await asyncio.start_unix_server(echo, path):
        await greet_over(unix_connector(path))
    with pytest.raises(OSError):
        await unix_connector(str(tmp_path / "none.sock"))(Client)


class Names(asyncio.SelectorEventLoop):
    """A loop that resolves names as the test says and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[tuple[str, int]] | OSError = []
        self.lookups = 0

    async def getaddrinfo(self, host, port, **_):  # type: ignore[no-untyped-def,override]
        self.lookups += 1
        await asyncio.sleep(0.01)
        if isinstance(self.addresses, OSError):
            raise self.addresses
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in self.addresses]


def run(scenario: Callable[[Names], Awaitable[None]]) -> None:
    loop = Names()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(scenario(loop))  # type: ignore[arg-type]


def test_all_addresses_of_a_name_are_tried() -> None:
    async def scenario(loop: Names) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            async with echo_server() as port:
                loop.addresses = [unused.getsockname(), ("127.0.0.1", port)]
                await greet_over(tcp_connector("app", port))

    run(scenario)


def test_an_address_that_does_not_answer_is_not_waited_for() -> None:
    async def scenario(loop: Names) -> None:
        with never_accepting_port() as full:
            async with echo_server() as port:
                loop.addresses = [("127.0.0.1", full), ("127.0.0.1", port)]
                await asyncio.wait_for(greet_over(tcp_connector("app", port)), 2)

    run(scenario)


def test_a_name_is_resolved_for_each_connection() -> None:
    async def scenario(loop: Names) -> None:
        connect = tcp_connector("app", 1)
        async with echo_server() as first, echo_server() as second:
            for port in (first, second, first):
                loop.addresses = [("127.0.0.1", port)]
                await greet_over(connect)
        assert loop.lookups == 3

    run(scenario)


def test_connections_at_the_same_time_share_a_lookup() -> None:
    async def scenario(loop: Names) -> None:
        async with echo_server() as port:
            loop.addresses = [("127.0.0.1", port)]
            connect = tcp_connector("app", port)
            await asyncio.gather(*(greet_over(connect) for _ in range(10)))
        assert loop.lookups == 1

    run(scenario)


def test_a_caller_that_gives_up_does_not_end_the_lookup_of_the_others() -> None:
    async def scenario(loop: Names) -> None:
        async with echo_server() as port:
            loop.addresses = [("127.0.0.1", port)]
            connect = tcp_connector("app", port)
            impatient = loop.create_task(greet_over(connect))
            patient = loop.create_task(greet_over(connect))
            await asyncio.sleep(0)
            impatient.cancel()
            await patient
            assert impatient.cancelled()
        assert loop.lookups == 1

    run(scenario)


@pytest.mark.parametrize("failure", [OSError("no resolver"), []])
def test_the_last_known_addresses_serve_while_names_cannot_be_resolved(failure: OSError | list[Any]) -> None:
    async def scenario(loop: Names) -> None:
        connect = tcp_connector("app", 1)
        loop.addresses = failure
        with pytest.raises(OSError, match="app cannot be resolved"):
            await connect(Client)
        async with echo_server() as port:
            loop.addresses = [("127.0.0.1", port)]
            await greet_over(connect)
            loop.addresses = failure
            await greet_over(connect)
        assert loop.lookups == 3

    run(scenario)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_needs_no_lookup(host: str) -> None:
    async def scenario(loop: Names) -> None:
        (found,) = await Resolver(host, 80).addresses()
        assert found[4][:2] == (host, 80)
        assert loop.lookups == 0

    run(scenario)
