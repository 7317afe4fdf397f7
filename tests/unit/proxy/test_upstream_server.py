"""The connections of one server."""

import asyncio
import contextlib

import pytest

from gateway.errors import Reason
from gateway.proxy.server_health import HealthRules
from gateway.proxy.upstream_server import ConnectionLimits, ServerAddress, UpstreamServer
from tests.integration.scripted_upstream import never_accepting_port
from tests.unit.proxy.upstream_servers import Backend, address, ask, limits, reader


class Observer:
    """What the server tells its pool."""

    def __init__(self) -> None:
        self.has_waiters = False
        self.told: list[str] = []

    def on_room(self) -> None:
        self.told.append("room")

    def on_answer(self, server: UpstreamServer) -> None:
        self.told.append("answer")

    def on_failure(self, server: UpstreamServer, reason: Reason) -> None:
        self.told.append(reason.value)


def server_at(where: ServerAddress, observer: Observer, connections: ConnectionLimits) -> UpstreamServer:
    rules = HealthRules(falls=1, rises=1, pause=1.0, max_pause=1.0)
    return UpstreamServer(where, limits=connections, rules=rules, reader=reader(), observer=observer)


@contextlib.asynccontextmanager
async def running(connections: ConnectionLimits):  # type: ignore[no-untyped-def]
    backend, observer = Backend(), Observer()
    await backend.start()
    server = server_at(address(backend.port), observer, connections)
    yield server, backend, observer
    server.close()
    await backend.stop()


async def test_busy_and_room_follow_from_the_connections() -> None:
    async with running(limits(max_open=2)) as (server, _, _):
        assert (server.busy, server.has_room) == (0, True)
        first = await server.open()
        assert (server.busy, server.has_room) == (1, True)
        second = await server.open()
        assert (server.busy, server.has_room) == (2, False)
        assert await ask(first) == 200
        assert (server.busy, server.has_room) == (1, True)
        assert repr(server).startswith(f"<UpstreamServer {server.label} busy=1 idle=1 ")
        second.close()
        second.close()
        assert (server.busy, server.has_room) == (0, True)


async def test_the_last_used_is_taken_and_the_oldest_gives_way() -> None:
    async with running(limits(max_idle=2)) as (server, _, _):
        connections = [await server.open() for _ in range(3)]
        for connection in connections:
            assert await ask(connection) == 200
        assert [connection.is_available for connection in connections] == [False, True, True]
        assert server.take() is connections[2]
        assert server.take() is connections[1]
        assert server.take() is None


async def test_nothing_is_kept_where_nothing_may_be() -> None:
    async with running(limits(max_idle=0)) as (server, _, _):
        connection = await server.open()
        assert await ask(connection) == 200
        assert server.take() is None
        assert not connection.is_available


async def test_a_connection_that_ends_while_idle_is_not_taken() -> None:
    async with running(limits()) as (server, backend, _):
        connections = [await server.open() for _ in range(2)]
        for connection in connections:
            assert await ask(connection) == 200
        await backend.stop()
        while any(connection.is_available for connection in connections):
            await asyncio.sleep(0)
        assert server.take() is None
        assert server.busy == 0
        await backend.start()


async def test_connections_are_closed_when_they_have_been_idle_for_too_long() -> None:
    async with running(limits(idle_timeout=0.01)) as (server, backend, _):
        connection = await server.open()
        assert await ask(connection) == 200
        while connection.is_available:
            await asyncio.sleep(0.05)
        assert server.take() is None
        while backend.open:
            await asyncio.sleep(0)


async def test_younger_connections_outlive_the_sweep() -> None:
    async with running(limits(idle_timeout=60)) as (server, _, _):
        old, young = await server.open(), await server.open()
        for connection in (old, young):
            assert await ask(connection) == 200
        old.idle_since -= 60
        while old.is_available:
            await asyncio.sleep(0.05)
        assert server.take() is young


async def test_a_connection_that_cannot_be_opened_is_not_counted() -> None:
    backend, observer = Backend(), Observer()
    await backend.start()
    await backend.stop()
    server = server_at(address(backend.port), observer, limits(max_open=1))
    with pytest.raises(OSError):
        await server.open()
    assert (server.busy, server.has_room) == (0, True)
    with never_accepting_port() as full:
        server = server_at(address(full), observer, limits(max_open=1, connect_timeout=0.05))
        with pytest.raises(TimeoutError):
            await server.open()
        assert server.busy == 0
        opening = asyncio.create_task(server.open())
        await asyncio.sleep(0)
        assert (server.busy, server.has_room) == (1, False)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert server.busy == 0


async def test_who_waits_is_told_of_room() -> None:
    async with running(limits()) as (server, _, observer):
        first, second = await server.open(), await server.open()
        assert await ask(first) == 200
        assert observer.told == []
        observer.has_waiters = True
        assert await ask(first) == 200
        second.close()
        assert observer.told == ["room", "room"]


async def test_a_suspect_tells_of_its_answer_and_keeps_nothing() -> None:
    async with running(limits()) as (server, _, observer):
        idle, busy = await server.open(), await server.open()
        assert await ask(idle) == 200
        server.suspect()
        assert not idle.is_available
        assert await ask(busy) == 200
        assert observer.told == ["answer"]
        assert not busy.is_available
        server.trust()
        assert not server.is_suspect
