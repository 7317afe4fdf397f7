"""PostgreSQL: what every store does, and what only a server can suffer."""

import asyncio
import itertools
import random
import time

import pytest

from gateway.errors import StoreUnavailable
from gateway.postgres.database import PostgresDatabase
from gateway.state.postgres import PostgresStateStore
from tests.postgres_server import PostgresServer
from tests.unit.state.outbox_behaviour import OutboxBehaviour
from tests.unit.state.store_behaviour import (
    EVERYTHING,
    SESSION,
    OpenStore,
    StoreBehaviour,
    is_revoked,
    price_ratio,
    revocation,
    rotated,
    session,
)


@pytest.fixture
def server(postgres_server: PostgresServer) -> PostgresServer:
    return postgres_server


@pytest.fixture
def open_store(open_postgres_store: OpenStore) -> OpenStore:
    return open_postgres_store


class TestPostgresStateStore(StoreBehaviour):
    pass


class TestPostgresOutbox(OutboxBehaviour):
    pass


async def test_an_id_that_no_index_could_hold_is_a_key_all_the_same(open_store: OpenStore) -> None:
    store = await open_store()
    # Random, so that nothing of it can be packed away: an entry of an index has 2.7 KB.
    one, other = (random.Random(seed).randbytes(4000).hex() for seed in (1, 2))
    for revoked_id in (one, other, one + "x"):
        assert not await is_revoked(store, SESSION, revoked_id)
        assert await store.revoke(revocation(revoked_id, kind=SESSION))
        assert not await store.revoke(revocation(revoked_id, kind=SESSION))
    assert [each.id for each in (await store.revocations_since(0)).revocations] == [one, other, one + "x"]
    opened = session(one, other, token_id=other, parent_id=one)
    assert await store.open_session(opened)
    assert await store.replace_session(opened, rotated(opened, "t1"))
    assert list(await store.sessions(user_id=other, after="", limit=9)) == [rotated(opened, "t1")]


async def test_s55_of_a_thousand_who_rotate_a_session_at_once_one_succeeds(open_store: OpenStore) -> None:
    handles = [await open_store() for _ in range(4)]
    await handles[0].open_session(session())
    successors = [rotated(session(), f"t{number}") for number in range(1, 1001)]
    won = await asyncio.gather(*(handles[n % 4].replace_session(session(), new) for n, new in enumerate(successors)))
    assert sorted(won) == [False] * 999 + [True]
    assert await handles[0].find_session("s") == successors[won.index(True)]


async def test_the_feed_never_tells_a_later_revocation_before_an_earlier_one(open_store: OpenStore) -> None:
    reader, *writers = [await open_store() for _ in range(5)]
    writing = asyncio.gather(*(writers[n % 4].revoke(revocation(f"{n}")) for n in range(200)))
    heard: list[str] = []
    position = 0
    while len(heard) < 200:
        news = await reader.revocations_since(position)
        position = news.position
        heard += [each.id for each in news.revocations]
    await writing
    assert len(set(heard)) == 200
    assert heard == [each.id for each in (await reader.revocations_since(0)).revocations]


async def test_a_feed_of_several_pages_is_told_whole(
    server: PostgresServer, schema: str, open_store: OpenStore
) -> None:
    store = await open_store()
    await server.run(
        f"INSERT INTO {schema}.revocations SELECT n, 'token', n::text::bytea, NULL, 1000, 0 FROM generate_series(1, 20001) n",
        f"UPDATE {schema}.revocation_feed SET last = 20001",
    )
    news = await store.revocations_since(0)
    assert [each.id for each in news.revocations] == [str(n) for n in range(1, 20002)]
    assert (await store.revocations_since(news.position)).revocations == ()


async def test_s58_nothing_acknowledged_is_lost_when_the_server_is_killed_and_the_store_recovers_by_itself(
    server: PostgresServer, open_store: OpenStore
) -> None:
    store = await open_store()
    acknowledged: list[str] = []
    ids = (f"r{number}" for number in itertools.count())

    async def write(until: asyncio.Event) -> None:
        while not until.is_set():
            revoked_id = next(ids)
            try:
                await store.revoke(revocation(revoked_id))
            except StoreUnavailable:
                await asyncio.sleep(0.01)
            else:
                acknowledged.append(revoked_id)

    position = 0
    for _ in range(2):
        enough, before = asyncio.Event(), len(acknowledged)
        writers = [asyncio.create_task(write(enough)) for _ in range(4)]
        while len(acknowledged) < before + 50:
            await asyncio.sleep(0)
        await asyncio.to_thread(server.kill)
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await store.find_session("s")
        await asyncio.to_thread(server.start)
        before = len(acknowledged)
        while len(acknowledged) < before + 50:
            await asyncio.sleep(0)
        enough.set()
        await asyncio.gather(*writers)
        known = position
        news = await store.revocations_since(known)
        position = news.position
        # Another start of the server is another epoch, so all is told anew.
        assert news.begins_anew
        assert set(acknowledged) <= {each.id for each in news.revocations}
    assert (await store.revocations_since(position)).revocations == ()


async def test_a_lost_listening_connection_is_made_anew_and_misses_nothing(
    server: PostgresServer, open_store: OpenStore
) -> None:
    reader, writer = await open_store(), await open_store()
    await reader.wait_for_revocations(20)  # the first one begins to listen, and says that there may be news
    for round_number in range(2):
        position = (await reader.revocations_since(0)).position
        waiting = asyncio.create_task(reader.wait_for_revocations(20))
        await asyncio.sleep(0)
        began = time.monotonic()
        await writer.revoke(revocation(f"{round_number}"))
        await waiting
        assert time.monotonic() - began < 10  # by far less than what it would have waited
        assert [each.id for each in (await reader.revocations_since(position)).revocations] == [f"{round_number}"]
        waiting = asyncio.create_task(reader.wait_for_revocations(20))
        await asyncio.sleep(0)
        await server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        await waiting
        await reader.wait_for_revocations(20)


async def test_what_is_told_while_nobody_waits_ends_the_next_wait_at_once(open_store: OpenStore) -> None:
    reader, writer = await open_store(), await open_store()
    await reader.wait_for_revocations(20)
    await writer.revoke(revocation("a"))
    began = time.monotonic()
    await reader.wait_for_revocations(20)
    assert time.monotonic() - began < 10


async def test_an_event_for_the_audit_trail_ends_a_wait_at_once(open_store: OpenStore) -> None:
    reader, command = await open_store(), await open_store()
    await reader.wait_for_revocations(20)  # begins to listen
    began = time.monotonic()
    await command.put_event("a", "text", wait=0)
    await reader.wait_for_revocations(20)
    assert time.monotonic() - began < 10


async def test_everything_ends_a_hundred_thousand_sessions_while_others_go_on(
    server: PostgresServer, schema: str, open_store: OpenStore
) -> None:
    store, other = await open_store(), await open_store()
    await server.run(_many(schema, 100_000))
    opened = session("others", rotated_at=2000)
    await other.open_session(opened)
    revoking = asyncio.create_task(store.revoke(revocation("", kind=EVERYTHING, up_to=1000)))
    rotations = 0
    while not revoking.done():
        assert await other.replace_session(opened, opened)
        await other.revoke(revocation(f"{rotations}"))
        rotations += 1
    assert await revoking
    assert rotations >= 20
    assert [each.id for each in await store.sessions(user_id=None, after="", limit=9)] == ["others"]


async def test_a_purge_of_many_lets_others_in_between(
    server: PostgresServer, schema: str, open_store: OpenStore
) -> None:
    store, other = await open_store(), await open_store()
    await server.run(_many(schema, 50_000))
    purging = [asyncio.create_task(each.purge(9999)) for each in (store, other)]
    looks = 0
    while not all(each.done() for each in purging):
        await other.find_session("s")
        looks += 1
    await asyncio.gather(*purging)
    assert looks >= 10
    assert not await store.sessions(user_id=None, after="", limit=1)


def _many(schema: str, number: int) -> str:
    return (
        f"INSERT INTO {schema}.sessions SELECT md5(n::text)::bytea, NULL, (n % 5000)::text::bytea, NULL, 't', NULL, "
        f"1, 1, 1, 9999, '', '' FROM generate_series(1, {number}) n"
    )


async def test_a_session_costs_the_same_beside_many_others(
    server: PostgresServer, schema: str, open_store: OpenStore
) -> None:
    beside = await open_store()
    alone = PostgresStateStore(PostgresDatabase(server.url(), schema="alone", max_connections=2, timeout=20))
    await alone.prepare()
    await server.run(_many(schema, 200_000), "CHECKPOINT")
    assert await price_ratio(beside, alone) < 3
    await alone.close()
    await server.run(f"DROP SCHEMA {schema} CASCADE", "DROP SCHEMA alone CASCADE")


async def test_a_newer_gateways_schema_is_refused(server: PostgresServer, schema: str, open_store: OpenStore) -> None:
    await open_store()
    await server.run(f"UPDATE {schema}.schema_versions SET version = 99 WHERE part = 'state'")
    with pytest.raises(
        StoreUnavailable, match=r"made by a newer gateway \(state of version 99, .*upgrade this gateway"
    ):
        await open_store()


async def test_replicas_may_start_at_once(open_store: OpenStore) -> None:
    stores = await asyncio.gather(*(open_store() for _ in range(8)))
    assert await stores[0].open_session(session())
    assert await stores[7].find_session("s") == session()
