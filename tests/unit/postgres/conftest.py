"""A real server for the modules that ask for it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.postgres.connection import PostgresConnection
from tests.postgres_server import PostgresServer


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
async def connection(server: PostgresServer) -> AsyncIterator[PostgresConnection]:
    connection = await PostgresConnection.open(server.url(), seconds=20)
    yield connection
    await connection.close(seconds=20)
