"""Attempts in PostgreSQL: what every store does, and that those who count do not stand in each other's way."""

import asyncio

import pytest

from gateway.interfaces import MAX_ATTEMPT_COUNTS
from tests.postgres_server import PostgresServer
from tests.unit.state.attempt_behaviour import LATER, NOW, AttemptBehaviour, digest, limit, take
from tests.unit.state.store_behaviour import OpenStore


@pytest.fixture
def open_store(open_postgres_store: OpenStore) -> OpenStore:
    return open_postgres_store


class TestPostgresAttempts(AttemptBehaviour):
    pass


async def test_who_counts_the_same_in_another_order_waits_in_no_circle(open_store: OpenStore) -> None:
    handles = [await open_store() for _ in range(4)]
    names = "abcd"
    orders = [names[n % 4 :] + names[: n % 4] for n in range(80)]
    counting = [take(handles[n % 4], *(limit(name, free=1000) for name in order)) for n, order in enumerate(orders)]
    assert await asyncio.gather(*counting) == [None] * 80
    settling = [
        handle.settle_attempt(forget=[digest(order[0])], give_back=[digest(name) for name in order[1:]])
        for handle, order in zip(handles * 2, orders, strict=False)
    ]
    await asyncio.gather(*settling)


async def test_counts_do_not_wait_for_the_disk_and_what_comes_after_them_does(
    postgres_server: PostgresServer, schema: str, open_store: OpenStore
) -> None:
    store = await open_store()
    # What the function sets for itself is seen by a trigger in it.
    await postgres_server.run(
        f"CREATE TABLE {schema}.seen (setting text)",
        f"CREATE FUNCTION {schema}.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"INSERT INTO {schema}.seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$",
        f"CREATE TRIGGER see BEFORE INSERT ON {schema}.attempts FOR EACH ROW EXECUTE FUNCTION {schema}.see()",
        f"CREATE TRIGGER see BEFORE INSERT ON {schema}.known_addresses FOR EACH ROW EXECUTE FUNCTION {schema}.see()",
    )
    await take(store, limit("a"))
    await store.remember_address(digest("n"), digest("a"), expires_at=1000)
    assert await postgres_server.run(f"SELECT setting FROM {schema}.seen") == [("off",), ("on",)]


@pytest.mark.parametrize("now", [0, int(NOW)])
async def test_s83_a_purge_leaves_no_more_counts_than_there_may_be(
    postgres_server: PostgresServer, schema: str, open_store: OpenStore, now: int
) -> None:
    store = await open_store()
    await postgres_server.run(
        f"INSERT INTO {schema}.attempts SELECT int4send(n), 1, 0, {NOW} + n / 100000.0 "
        f"FROM generate_series(1, {MAX_ATTEMPT_COUNTS + 2500}) n"
    )
    await take(store, limit("a"), forget_at=LATER)
    await store.purge(now)
    assert await postgres_server.run(f"SELECT count(*) FROM {schema}.attempts") == [(MAX_ATTEMPT_COUNTS,)]
    assert await take(store, limit("a")) == 1.0  # what lasts longest stays
