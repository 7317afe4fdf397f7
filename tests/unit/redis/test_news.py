"""Being told at once: a help that may fail at any time and never does harm."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.redis.server import RedisServer
from tests.redis_servers import BINARIES, LocalServer, running

LONG = 20.0  # nobody is told: a test that waits so long fails


@pytest.fixture(params=sorted(BINARIES))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalServer]:
    with running(request.param, tmp_path) as server:
        yield server


@pytest.fixture
async def handle(server: LocalServer) -> AsyncIterator[RedisServer]:
    handle = server.handle()
    yield handle
    await handle.close()


async def listening(server: LocalServer, handle: RedisServer) -> None:
    """From now on it is told."""
    await handle.wait_for_news(LONG)
    assert b"{test}:news\r\n:1" in server.ask("PUBSUB", "NUMSUB", "{test}:news")


async def test_to_have_begun_to_listen_is_news_and_then_what_is_told(server: LocalServer, handle: RedisServer) -> None:
    began = time.monotonic()
    await listening(server, handle)
    waiting = asyncio.create_task(handle.wait_for_news(LONG))
    await asyncio.sleep(0)
    server.ask("PUBLISH", "{other}:news", "1")
    server.ask("PUBLISH", "{test}:news", "1")
    await waiting
    server.ask("PUBLISH", "{test}:news", "2")  # between two waits
    await handle.wait_for_news(LONG)
    assert time.monotonic() - began < LONG


async def test_several_told_at_once_are_one(server: LocalServer, handle: RedisServer) -> None:
    await listening(server, handle)
    for _ in range(5):
        server.ask("PUBLISH", "{test}:news", "1")
    await handle.wait_for_news(LONG)
    await asyncio.gather(*(handle.wait_for_news(0.2) for _ in range(3)))


async def test_nobody_waits_for_longer_than_he_wants_without_a_server(server: LocalServer, handle: RedisServer) -> None:
    server.kill()
    for _ in range(3):
        await asyncio.wait_for(handle.wait_for_news(0.05), LONG)
    server.start()
    while b":1" not in server.ask("PUBSUB", "NUMSUB", "{test}:news"):
        await handle.wait_for_news(0.1)


async def test_a_connection_that_was_cut_is_made_anew(server: LocalServer, handle: RedisServer) -> None:
    await listening(server, handle)
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    while b":0" in server.ask("PUBSUB", "NUMSUB", "{test}:news"):
        await handle.wait_for_news(0.1)
    server.ask("PUBLISH", "{test}:news", "1")
    await handle.wait_for_news(LONG)


async def test_only_an_end_of_what_was_heard_is_an_interruption(server: LocalServer, handle: RedisServer) -> None:
    await listening(server, handle)
    assert handle.interruptions == 0
    for expected in (1, 2):
        server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        while b":0" in server.ask("PUBSUB", "NUMSUB", "{test}:news"):
            await handle.wait_for_news(0.1)
        assert handle.interruptions == expected
    server.kill()
    for _ in range(3):  # one by which it is gone, and in vain
        await handle.wait_for_news(0.05)
    assert handle.interruptions == 3


async def test_who_may_not_listen_waits_for_his_time(server: LocalServer) -> None:
    server.ask("ACL", "SETUSER", "someone", "on", ">p", "+@all", "~*", "resetchannels")
    handle = server.handle(url=f"unix://someone:p@{server.socket_path}")
    await asyncio.gather(*(asyncio.wait_for(handle.wait_for_news(0.05), LONG) for _ in range(3)))
    assert handle.interruptions == 0
    await handle.close()
