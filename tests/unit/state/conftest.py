"""Stores in real servers, for the modules that ask for them."""

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.postgres.database import PostgresDatabase
from gateway.state.postgres import PostgresStateStore
from gateway.state.redis import RedisStateStore
from tests.postgres_server import PostgresServer
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


_numbers = itertools.count()


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def schema() -> str:
    """A test's own."""
    return f"gateway_{next(_numbers)}"


@pytest.fixture
async def open_postgres_store(postgres_server: PostgresServer, schema: str) -> AsyncIterator[OpenStore]:
    opened = []

    async def open_one() -> PostgresStateStore:
        database = PostgresDatabase(postgres_server.url(), schema=schema, max_connections=2, timeout=20)
        store = PostgresStateStore(database)
        opened.append(store)
        await store.prepare()
        return store

    yield open_one
    for store in opened:
        await store.close()
