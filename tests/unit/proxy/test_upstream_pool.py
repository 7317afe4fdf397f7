"""Who gets a request, who waits, who is left alone: decisions of a pool before real sockets."""

import asyncio
import logging
from collections import Counter

import pytest

from gateway.errors import Reason, Refused
from gateway.proxy.balancer import least_connections
from gateway.proxy.upstream_connection import UpstreamConnection
from gateway.proxy.upstream_pool import UpstreamPool
from gateway.proxy.upstream_server import UpstreamServer
from tests.unit.proxy.upstream_servers import OK, REQUEST, Asker, Backend, ask, begin, limits, running


def server_of(connection: UpstreamConnection) -> UpstreamServer:
    assert isinstance(connection.owner, UpstreamServer)
    return connection.owner


class Overtaker(Asker):
    """Tries to take a connection in the moment in which its own becomes idle, before anybody who waits can run."""

    def __init__(self, pool: UpstreamPool) -> None:
        super().__init__()
        self._pool = pool
        self.taken: UpstreamConnection | None = None

    def on_response_end(self) -> None:
        self.taken = self._pool.take()
        super().on_response_end()


async def exchange(pool: UpstreamPool) -> int | Reason:
    """One request, as the data plane sends it."""
    return await ask(pool.take() or await pool.open())


async def refusal_of(pool: UpstreamPool, *failed: UpstreamServer) -> Reason:
    with pytest.raises(Refused) as refused:
        await pool.open(failed or None)
    return refused.value.reason


async def until_down(pool: UpstreamPool, backend: Backend) -> None:
    await backend.stop()
    while all(server.health.is_up for server in pool.servers):
        await exchange(pool)


# Taking and opening.


async def test_an_idle_connection_is_taken_and_given_back() -> None:
    async with running(1) as (pool, (backend,)):
        assert pool.take() is None
        first = await pool.open()
        assert repr(first) == "<UpstreamConnection idle>"
        assert await ask(first) == 200
        assert pool.take() is first
        assert pool.take() is None
        assert await ask(first) == 200
        assert (backend.requests, backend.open) == (2, 1)


async def test_round_robin_is_the_same_for_taken_and_opened_connections() -> None:
    async with running(3) as (pool, backends):
        for _ in range(9):
            assert await exchange(pool) == 200
        assert [backend.requests for backend in backends] == [3, 3, 3]
        assert [backend.open for backend in backends] == [1, 1, 1]


async def test_the_least_busy_server_is_chosen() -> None:
    async with running(2, balance=least_connections) as (pool, backends):
        held = [await pool.open() for _ in range(4)]
        assert Counter(server_of(connection).label for connection in held) == {
            server.label: 2 for server in pool.servers
        }
        for connection in held[::2]:
            assert await ask(connection) == 200
        assert {server_of(await pool.open()) for _ in range(1)} == {server_of(held[0])}
        assert backends[0].requests + backends[1].requests == 2


async def test_a_closed_pool_keeps_nothing() -> None:
    async with running(1) as (pool, (backend,)):
        busy = await pool.open()
        pool.close()
        assert await ask(busy) == 200
        assert pool.take() is None
        assert not busy.is_available
        assert backend.requests == 1


# Servers that fail.


async def test_a_server_that_refuses_is_left_at_once_and_said_so_once(caplog: pytest.LogCaptureFixture) -> None:
    async with running(2) as (pool, (dead, well)):
        await dead.stop()
        for _ in range(6):
            assert await exchange(pool) == 200
        assert well.requests == 6
        assert [record.getMessage() for record in caplog.records] == [
            f"upstream_down name=app server=http://127.0.0.1:{dead.port} reason=upstream_unreachable"
        ]
        assert repr(pool).startswith("<UpstreamPool app live=1 waiting=0")


async def test_after_its_pause_one_request_tries_it_and_an_answer_brings_it_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    async with running(2, pause=0.01) as (pool, (back, well)):
        await until_down(pool, back)
        await back.start()
        suspect = pool.servers[0]
        while not suspect.is_on_trial:
            await asyncio.sleep(0.005)
        # One tries it; as long as it has not answered, the others do not.
        trial = await pool.open()
        while server_of(trial) is not suspect:
            trial = await pool.open()
        assert suspect.is_being_tried
        assert {server_of(await pool.open()) for _ in range(4)} == {pool.servers[1]}
        assert await ask(trial) == 200
        assert suspect.health.is_up
        assert {server_of(await pool.open()) for _ in range(2)} == set(pool.servers)
        assert [record.getMessage().split()[0] for record in caplog.records] == ["upstream_down", "upstream_up"]
        assert well.requests


async def test_a_trial_that_nobody_hears_of_again_is_followed_by_another() -> None:
    async with running(2, pause=0.01) as (pool, (silent, _)):
        await until_down(pool, silent)
        await silent.start()
        suspect = pool.servers[0]
        for _ in range(2):
            while not suspect.is_on_trial:
                await asyncio.sleep(0.005)
            trial = await pool.open()
            while server_of(trial) is not suspect:
                trial = await pool.open()
            trial.close()  # the client has gone


async def test_a_trial_that_fails_makes_the_pause_longer_and_stragglers_do_not() -> None:
    async with running(2, pause=0.01) as (pool, (dead, _)):
        await until_down(pool, dead)
        suspect = pool.servers[0]
        pool.on_failure(suspect, Reason.UPSTREAM_BROKEN)
        pool.on_failure(suspect, Reason.UPSTREAM_BROKEN)
        assert suspect.health.failures == 1
        while suspect.health.failures < 3:
            await exchange(pool)
            await asyncio.sleep(0.005)
        assert suspect.health.pause == 0.04


async def test_when_nobody_is_live_all_are_tried_and_the_first_answer_ends_it() -> None:
    async with running(2) as (pool, backends):
        for backend in backends:
            await backend.stop()
        assert await refusal_of(pool) is Reason.UPSTREAM_UNREACHABLE
        assert [server.health.failures for server in pool.servers] == [1, 1]
        assert await refusal_of(pool) is Reason.UPSTREAM_UNREACHABLE
        assert [server.health.failures for server in pool.servers] == [1, 1]
        await backends[1].start()
        assert await exchange(pool) == 200
        assert [server.health.is_up for server in pool.servers] == [False, True]


async def test_connections_of_a_server_that_failed_are_not_kept() -> None:
    async with running(1) as (pool, (backend,)):
        early, late = await pool.open(), await pool.open()
        assert await ask(early) == 200
        server = pool.servers[0]
        pool.on_failure(server, Reason.UPSTREAM_TIMEOUT)
        assert not early.is_available
        assert await ask(late) == 200
        # The answer shows that it lives: from here on they are kept again.
        assert server.health.is_up
        assert pool.take() is late
        assert backend.requests == 2


@pytest.mark.parametrize("is_pooled", [False, True])
async def test_only_what_speaks_of_the_server_counts_as_its_failure(is_pooled: bool) -> None:
    async with running(1) as (pool, (backend,)):
        server = pool.servers[0]
        connection, other = await pool.open(), await pool.open()
        if is_pooled:
            assert await ask(connection) == 200
        backend.answer = None
        begin(connection)
        now = asyncio.get_running_loop().time()
        server.on_request_failed(connection, Reason.UPSTREAM_BROKEN, since=now)
        assert server.health.is_up is is_pooled
        server.on_request_failed(connection, Reason.UPSTREAM_TIMEOUT, since=now)
        assert not server.health.is_up
        backend.answer = OK
        assert await ask(other) == 200
        assert server.health.is_up
        # Somebody has been answered since that request came.
        server.on_request_failed(connection, Reason.UPSTREAM_TIMEOUT, since=now)
        assert server.health.is_up


# A second try.


async def test_s77_a_second_try_is_on_a_new_connection_and_not_at_the_same_server() -> None:
    async with running(2) as (pool, _):
        for _ in range(4):
            assert await exchange(pool) == 200
        first, second = pool.servers
        for _ in range(3):
            connection = await pool.open([first])
            assert server_of(connection) is second
            assert not connection.was_pooled
        assert {server_of(await pool.open(())) for _ in range(2)} == {first, second}
        assert await refusal_of(pool, first, second) is Reason.UPSTREAM_UNREACHABLE


async def test_s77_tries_end_after_three_servers() -> None:
    async with running(4) as (pool, _):
        servers = pool.servers
        assert pool.may_try_again(())
        assert pool.may_try_again(servers[:2])
        assert not pool.may_try_again(servers[:3])
    async with running(1) as (pool, _):
        assert pool.may_try_again(())
        assert not pool.may_try_again(pool.servers)


async def test_a_second_try_replaces_an_idle_connection_where_no_more_are_allowed() -> None:
    async with running(1, connections=limits(max_open=1)) as (pool, _):
        kept = await pool.open()
        assert await ask(kept) == 200
        fresh = await pool.open(())
        assert (kept.is_available, fresh.is_available, fresh.was_pooled) == (False, True, False)


# The queue.


async def test_s81_waiters_are_served_in_their_order_and_nobody_overtakes_them() -> None:
    async with running(1, connections=limits(max_open=1)) as (pool, _):
        served: list[int] = []

        async def wait(number: int) -> None:
            connection = await pool.open()
            served.append(number)
            assert await ask(connection) == 200

        busy = await pool.open()
        tasks = []
        for number in range(3):
            tasks.append(asyncio.create_task(wait(number)))
            await asyncio.sleep(0)
        overtaker = Overtaker(pool)
        busy.begin(overtaker, REQUEST)
        assert await overtaker.outcome == 200
        assert overtaker.taken is None
        await asyncio.gather(*tasks)
        assert served == [0, 1, 2]
        assert pool.take() is busy


async def test_s81_the_queue_is_bounded_in_length_and_time() -> None:
    async with running(1, connections=limits(max_open=1, max_queued=1, queue_timeout=0.05)) as (pool, _):
        await pool.open()
        waiting = asyncio.create_task(refusal_of(pool))
        await asyncio.sleep(0)
        assert await refusal_of(pool) is Reason.UPSTREAM_BUSY
        assert not waiting.done()
        assert await waiting is Reason.UPSTREAM_BUSY
        assert not pool.has_waiters


async def test_s81_a_waiter_that_leaves_hands_its_place_on() -> None:
    async with running(1, connections=limits(max_open=1)) as (pool, _):
        busy = await pool.open()
        leaving, staying = asyncio.create_task(pool.open()), asyncio.create_task(pool.open())
        await asyncio.sleep(0)
        busy.close()  # wakes the first,
        leaving.cancel()  # which does not live to see it
        connection = await staying
        assert connection.is_available
        assert leaving.cancelled()


async def test_a_connection_that_ends_makes_room_as_one_that_is_idle_does() -> None:
    async with running(1, connections=limits(max_open=1)) as (pool, (backend,)):
        busy = await pool.open()
        asker = begin(busy)
        backend.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        waiting = asyncio.create_task(pool.open())
        assert await asker.outcome == 200
        assert server_of(await waiting).busy == 1


async def test_waiters_are_told_when_their_server_goes_and_when_another_comes() -> None:
    async with running(2, connections=limits(max_open=1)) as (pool, _):
        first, second = pool.servers
        pool.on_check(second, passed=False)
        await pool.open()
        waiting = asyncio.create_task(pool.open())
        await asyncio.sleep(0)
        assert pool.has_waiters
        pool.on_check(second, passed=True)
        assert server_of(await waiting) is second
        refused = asyncio.create_task(refusal_of(pool))
        await asyncio.sleep(0)
        for server in (first, second):
            pool.on_check(server, passed=False)
        assert await refused is Reason.UPSTREAM_UNREACHABLE


# Checks.


async def test_a_server_that_is_checked_out_gets_nothing_though_nobody_else_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    async with running(1) as (pool, (backend,)):
        server = pool.servers[0]
        busy = await pool.open()
        pool.on_check(server, passed=False)
        pool.on_check(server, passed=False)
        assert pool.take() is None
        assert await refusal_of(pool) is Reason.UPSTREAM_UNREACHABLE
        assert not pool.may_try_again(())
        # What is in flight ends well, which brings nothing back.
        assert await ask(busy) == 200
        assert not server.health.is_up
        pool.on_check(server, passed=True)
        pool.on_check(server, passed=True)
        assert await exchange(pool) == 200
        assert [record.getMessage() for record in caplog.records] == [
            f"upstream_down name=app server={server.label} reason=health_check",
            f"upstream_up name=app server={server.label}",
        ]
        assert backend.requests == 2


async def test_a_server_that_failed_and_is_checked_out_comes_back_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with running(2, pause=0.01) as (pool, (dead, _)):
        await until_down(pool, dead)
        suspect = pool.servers[0]
        pool.on_check(suspect, passed=False)
        await asyncio.sleep(0.03)  # its pause is over, and no trial comes of it
        assert not suspect.is_on_trial
        await dead.start()
        pool.on_check(suspect, passed=True)
        assert {server_of(await pool.open()) for _ in range(2)} == set(pool.servers)
        assert [record.getMessage().split()[0] for record in caplog.records] == ["upstream_down", "upstream_up"]
