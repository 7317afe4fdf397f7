"""Stores in real servers, for the modules that ask for them."""

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.state.redis import RedisStateStore
from tests.redis_servers import BINARIES, LocalServer, running
from tests.unit.state.store_behaviour import OpenStore


@pytest.fixture(scope="module", params=sorted(BINARIES))
def running_redis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with running(request.param, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(running_redis: LocalServer) -> LocalServer:
    """Empty, and a module's own."""
    running_redis.ask("FLUSHALL")
    return running_redis


@pytest.fixture
async def open_redis_store(redis_server: LocalServer) -> AsyncIterator[OpenStore]:
    opened = []

    async def open_one() -> RedisStateStore:
        store = RedisStateStore(redis_server.handle())
        opened.append(store)
        await store.prepare()
        return store

    yield open_one
    for store in opened:
        await store.close()
