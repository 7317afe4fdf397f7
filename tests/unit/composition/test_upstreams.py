"""Servers, pools and checks, as configured; with real sockets where they connect."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from gateway.composition.blueprint import Blueprint, draw
from gateway.composition.upstreams import Upstreams, build_checks, build_endpoints_pool, build_pool
from gateway.config.sections.upstreams import Upstream
from gateway.config.sections.users import Users
from gateway.errors import Reason, Refused
from gateway.http.fields import ResponseFieldUses
from gateway.http.responses import ResponseReader
from gateway.proxy.upstream_pool import UpstreamPool
from tests.certificates import write_pair
from tests.unit.composition.documents import config_with, document_with
from tests.unit.metering import new_meters

MakeServer = Callable[..., Awaitable[int]]
READER = ResponseReader(uses=ResponseFieldUses())


def upstream(yaml: str) -> Upstream:
    return config_with(upstreams=f"{{app: {yaml}}}").upstreams["app"]


@contextlib.contextmanager
def closing(pool: UpstreamPool) -> Iterator[UpstreamPool]:
    try:
        yield pool
    finally:
        pool.close()


def pool_of(yaml: str, tls: ssl.SSLContext | None = None) -> UpstreamPool:
    return build_pool("app", upstream(yaml), tls=tls, reader=READER, meters=new_meters())


class Backend(asyncio.Protocol):
    """Accepts, and says nothing; all of its connections end with its test."""

    def __init__(self, transports: list[asyncio.BaseTransport]) -> None:
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transports.append(transport)


@pytest.fixture
async def make_server() -> AsyncIterator[MakeServer]:
    loop = asyncio.get_running_loop()
    servers: list[asyncio.Server] = []
    transports: list[asyncio.BaseTransport] = []

    async def make(tls: ssl.SSLContext | None = None, path: Path | None = None) -> int:
        """Its port, when it has no path."""
        if path is not None:
            servers.append(await loop.create_unix_server(lambda: Backend(transports), path))
            return 0
        servers.append(await loop.create_server(lambda: Backend(transports), "127.0.0.1", 0, ssl=tls))
        port: int = servers[-1].sockets[0].getsockname()[1]
        return port

    yield make
    for server in servers:
        server.close()
    for transport in transports:
        transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(0.01)


async def test_servers_are_known_by_their_urls_and_asked_for_their_hosts() -> None:
    urls = ["http://app", "http://app:81", "http://[::1]:81", "https://app", "https://app:444", "unix:/run/app.sock"]
    with closing(pool_of(f"{{servers: {urls}}}", ssl.create_default_context())) as pool:
        assert [server.label for server in pool.servers] == urls
        assert [server.host for server in pool.servers] == [
            b"app",
            b"app:81",
            b"[::1]:81",
            b"app",
            b"app:444",
            b"localhost",
        ]
        assert pool.host == b"app"


async def test_timeouts_are_the_configured_ones() -> None:
    with closing(
        pool_of(
            "{servers: [http://a, http://b], send_timeout: 1s, response_timeout: 2s, read_timeout: 3s,"
            " connect_timeout: 4s, connections: {queue_timeout: 5s}}"
        )
    ) as pool:
        assert (pool.send_timeout, pool.response_timeout, pool.read_timeout) == (1, 2, 3)
        assert pool.opening_timeout == 5 + 2 * 4 + 1


async def test_a_connection_is_opened_over_tcp(make_server: MakeServer) -> None:
    port = await make_server()
    with closing(pool_of(f"{{servers: ['http://127.0.0.1:{port}']}}")) as pool:
        connection = await pool.open()
        assert pool.servers[0].busy == 1
        connection.close()


async def test_a_connection_is_opened_over_a_unix_socket(tmp_path: Path, make_server: MakeServer) -> None:
    await make_server(path=tmp_path / "app.sock")
    with closing(pool_of(f"{{servers: ['unix:{tmp_path}/app.sock']}}")) as pool:
        (await pool.open()).close()


@pytest.mark.parametrize(("name", "is_good"), [("null", True), ("127.0.0.1", True), ("other.example", False)])
async def test_a_tls_server_must_be_the_one_that_is_named(
    tmp_path: Path, make_server: MakeServer, name: str, is_good: bool
) -> None:
    pair = write_pair(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    port = await make_server(context)
    yaml = f"{{servers: ['https://127.0.0.1:{port}'], tls: {{server_name: {name}}}}}"
    with closing(pool_of(yaml, pair.client_context())) as pool:
        if is_good:
            (await pool.open()).close()
            return
        with pytest.raises(Refused) as refused:
            await pool.open()
        assert refused.value.reason is Reason.UPSTREAM_TLS_FAILED


async def test_connections_are_bounded_as_configured(make_server: MakeServer) -> None:
    port = await make_server()
    yaml = f"{{servers: ['http://127.0.0.1:{port}'], connections: {{max: 1, queue: 0}}}}"
    with closing(pool_of(yaml)) as pool:
        connection = await pool.open()
        with pytest.raises(Refused) as refused:
            await pool.open()
        assert refused.value.reason is Reason.UPSTREAM_BUSY
        connection.close()


@pytest.mark.parametrize(("balance", "busy"), [("round-robin", [2, 0]), ("least-connections", [1, 1])])
async def test_the_next_server_is_chosen_as_configured(make_server: MakeServer, balance: str, busy: list[int]) -> None:
    urls = [f"http://127.0.0.1:{await make_server()}" for _ in range(2)]
    with closing(pool_of(f"{{servers: {urls}, balance: {balance}}}")) as pool:
        first, second = await pool.open(), await pool.open()
        second.close()
        while pool.servers[1].busy:
            await asyncio.sleep(0)
        third = await pool.open()
        assert [server.busy for server in pool.servers] == busy
        first.close()
        third.close()


async def test_checks_are_there_where_a_path_is() -> None:
    silent, asked = upstream("{servers: [http://a]}"), upstream("{servers: [http://a], health: {path: /up}}")
    with closing(build_pool("app", asked, tls=None, reader=READER, meters=new_meters())) as pool:
        assert build_checks(pool, silent, reader=READER) is None
        assert build_checks(pool, asked, reader=READER) is not None


async def test_the_application_is_an_upstream_like_any_other() -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    try:
        with closing(build_endpoints_pool(runner, Users(sqlite="x"), reader=READER, meters=new_meters())) as pool:
            assert (pool.name, pool.host) == ("endpoints", b"gateway")
            (await pool.open()).close()
    finally:
        await runner.cleanup()


# In a reload


def blueprint(upstreams: str, routes: str = "[{path: /, upstream: app}]") -> Blueprint:
    return draw(document_with(upstreams=upstreams, routes=routes))


async def test_what_stays_goes_on_and_what_goes_ends() -> None:
    upstreams = Upstreams(reader=READER, meters=new_meters())
    both = upstreams.draw(blueprint("{app: {servers: ['http://a']}, b: {servers: ['http://b'], health: {path: /}}}"))
    assert upstreams.pools() == []
    upstreams.run(both)
    checks = both["b"].checks
    assert checks is not None
    assert both["app"].checks is None
    again = upstreams.draw(blueprint("{app: {servers: ['http://a']}, b: {servers: ['http://c'], health: {path: /}}}"))
    assert again["app"] is both["app"]
    assert again["b"].pool is not both["b"].pool
    assert again["b"].checks is None, "nothing runs before it is put in place"
    upstreams.run(again)
    assert checks.cancelling()
    assert not any(server._is_closed for server in again["app"].pool.servers)
    assert all(server._is_closed for server in both["b"].pool.servers)
    upstreams.close()
    assert upstreams.pools() == []
    assert all(server._is_closed for server in again["app"].pool.servers)
