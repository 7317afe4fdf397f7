"""Active checks: what is asked, and what counts as a good answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.proxy.health_checks import CheckSettings, HealthChecks
from gateway.proxy.upstream_pool import UpstreamPool
from tests.unit.proxy.upstream_servers import Backend, reader, running


@contextlib.asynccontextmanager
async def checked() -> AsyncIterator[tuple[UpstreamPool, Backend]]:
    """One failed check takes out, one good check brings back; there is one every 5 ms."""
    async with running(1) as (pool, (backend,)):
        settings = CheckSettings(path=b"/health", interval=0.005, timeout=0.1)
        task = asyncio.create_task(HealthChecks(pool=pool, settings=settings, reader=reader()).run())
        yield pool, backend
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(pool: UpstreamPool, *, is_up: bool) -> None:
    while pool.servers[0].health.is_up is not is_up:
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 199 No\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
@pytest.mark.parametrize("good", [b"200 OK", b"204 No Content", b"302 Found", b"399 Odd"])
async def test_answers_decide(bad: bytes | None, good: bytes) -> None:
    async with checked() as (pool, backend):
        backend.answer = bad
        await until(pool, is_up=False)
        backend.answer = b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % good
        await until(pool, is_up=True)


async def test_the_head_of_a_good_answer_is_enough() -> None:
    async with checked() as (pool, backend):
        backend.answer = None
        await until(pool, is_up=False)
        backend.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
        await until(pool, is_up=True)


async def test_a_server_that_nobody_can_reach_is_down() -> None:
    async with checked() as (pool, backend):
        await backend.stop()
        await until(pool, is_up=False)
        await backend.start()
        await until(pool, is_up=True)


async def test_connections_of_checks_are_closed_and_none_of_the_pools() -> None:
    async with checked() as (pool, backend):
        while backend.requests < 5:
            await asyncio.sleep(0.005)
        assert backend.open <= 1
        assert pool.servers[0].busy == 0
        assert pool.take() is None
