"""Stores in a file, and in real servers for the modules that ask for them."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.postgres.database import PostgresDatabase
from gateway.sqlite_file import SqliteFile
from gateway.state.postgres import PostgresStateStore
from gateway.state.redis import RedisStateStore
from gateway.state.sqlite import SqliteStateStore
from tests.postgres_server import PostgresServer
from tests.redis_servers import BINARIES, LocalServer, running
from tests.unit.state.store_behaviour import OpenStore, opening


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.sqlite3"


@pytest.fixture
async def open_store(path: Path) -> AsyncIterator[OpenStore]:
    """Of a file; modules about a server have a fixture of their own in the place of this."""
    async with opening(lambda: SqliteStateStore(SqliteFile.open(path))) as open_one:
        yield open_one


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
    async with opening(lambda: RedisStateStore(redis_server.handle())) as open_one:
        yield open_one


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
    def make() -> PostgresStateStore:
        return PostgresStateStore(PostgresDatabase(postgres_server.url(), schema=schema, max_connections=2, timeout=20))

    async with opening(make) as open_one:
        yield open_one
