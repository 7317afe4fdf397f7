"""PostgreSQL behind PgBouncer, which gives each transaction to another server process.

Debian's package `pgbouncer` is enough; without it these tests are skipped.
"""

import time
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.postgres.database import PostgresDatabase
from gateway.state.postgres import PostgresStateStore
from tests.pgbouncer import PGBOUNCER, pooled_url
from tests.unit.state.attempt_behaviour import AttemptBehaviour
from tests.unit.state.outbox_behaviour import OutboxBehaviour
from tests.unit.state.store_behaviour import OpenStore, StoreBehaviour, opening, revocation

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="no pgbouncer here")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with pooled_url() as url:
        yield url


@pytest.fixture
async def open_store(url: str, request: pytest.FixtureRequest) -> AsyncIterator[OpenStore]:
    schema = f"gateway_{abs(hash(request.node.nodeid))}"

    def make() -> PostgresStateStore:
        return PostgresStateStore(PostgresDatabase(url, schema=schema, max_connections=4, timeout=20))

    async with opening(make) as open_one:
        yield open_one


class TestPooledStateStore(StoreBehaviour):
    pass


class TestPooledAttempts(AttemptBehaviour):
    pass


class TestPooledOutbox(OutboxBehaviour):
    pass


async def test_nothing_is_listened_for_where_nothing_would_be_heard(open_store: OpenStore) -> None:
    store = await open_store()
    for _ in range(2):
        began = time.monotonic()
        await store.wait_for_revocations(20)
        assert time.monotonic() - began < 10
    assert await store.revoke(revocation("a"))
