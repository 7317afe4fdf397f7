"""Users in PostgreSQL behind PgBouncer, which gives each transaction to another server process."""

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.postgres.database import PostgresDatabase
from gateway.users.names import LoginAttribute
from gateway.users.postgres import PostgresUserDirectory
from tests.pgbouncer import PGBOUNCER, pooled_url
from tests.unit.users.directory_behaviour import DirectoryBehaviour, OpenDirectory

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="no pgbouncer here")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with pooled_url() as url:
        yield url


@pytest.fixture
async def open_directory(url: str, request: pytest.FixtureRequest) -> AsyncIterator[OpenDirectory]:
    opened = []
    schema = f"gateway_{abs(hash(request.node.nodeid))}"

    async def open_one(login_attribute: LoginAttribute = "username") -> PostgresUserDirectory:
        database = PostgresDatabase(url, schema=schema, max_connections=4, timeout=20)
        directory = PostgresUserDirectory(database, login_attribute=login_attribute)
        opened.append(directory)
        await directory.prepare()
        return directory

    yield open_one
    for directory in opened:
        await directory.close()


class TestPooledUserDirectory(DirectoryBehaviour):
    pass
