"""Being told at once: each wait ends with news, with the time that one has, or with a server that is gone."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from gateway.errors import StoreUnavailable
from gateway.postgres import notifications as module
from gateway.postgres.database import PostgresDatabase
from gateway.postgres.notifications import PostgresNotifications
from tests.pgbouncer import PGBOUNCER, pooled_url
from tests.postgres_server import PostgresServer

LONG = 20.0  # nobody is told: a test that waits for so long fails
LISTENING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"


def database_at(url: str) -> PostgresDatabase:
    return PostgresDatabase(url, schema="gateway", max_connections=2, timeout=LONG)


@pytest.fixture
async def notifications(server: PostgresServer) -> AsyncIterator[PostgresNotifications]:
    database = database_at(server.url())
    notifications = PostgresNotifications(database, "news")
    yield notifications
    await notifications.close()
    await database.close()


class Watch:
    def __init__(self) -> None:
        self._began = time.monotonic()

    def was_short(self) -> bool:
        return time.monotonic() - self._began < LONG / 2


async def test_the_first_wait_begins_to_listen_and_says_that_there_may_be_news(
    server: PostgresServer, notifications: PostgresNotifications
) -> None:
    watch = Watch()
    await notifications.wait(LONG)
    assert watch.was_short()
    assert await server.run(LISTENING) == [(1,)]


async def test_who_waits_is_told_of_its_channel_and_no_other(
    server: PostgresServer, notifications: PostgresNotifications
) -> None:
    await notifications.wait(LONG)
    waiting = asyncio.create_task(notifications.wait(LONG))
    await server.run("NOTIFY others")
    await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    watch = Watch()
    await server.run("NOTIFY news")
    await waiting
    assert watch.was_short()


async def test_what_is_told_between_two_waits_ends_the_next_one_once(
    server: PostgresServer, notifications: PostgresNotifications
) -> None:
    await notifications.wait(LONG)
    await server.run("NOTIFY news", "NOTIFY news")
    watch = Watch()
    await notifications.wait(LONG)
    assert watch.was_short()
    began = time.monotonic()
    await notifications.wait(0.3)
    assert time.monotonic() - began >= 0.29


async def test_a_connection_that_was_cut_ends_the_wait_and_the_next_one_makes_another(
    server: PostgresServer, notifications: PostgresNotifications
) -> None:
    await notifications.wait(LONG)
    watch = Watch()
    waiting = asyncio.create_task(notifications.wait(LONG))
    await asyncio.sleep(0)
    await server.run(CUT)
    await waiting
    await notifications.wait(LONG)
    assert watch.was_short()
    assert await server.run(LISTENING) == [(1,)]
    await server.run("NOTIFY news")
    await notifications.wait(LONG)
    assert watch.was_short()


async def test_a_silent_connection_is_proven_from_time_to_time_and_a_dead_one_left(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PROOF_SECONDS", 0.0)
    database = PostgresDatabase(server.url(), schema="gateway", max_connections=2, timeout=0.5)
    notifications = PostgresNotifications(database, "news")
    await notifications.wait(LONG)
    await notifications.wait(0.01)
    assert await server.run("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT 1'") == [(1,)]
    server.freeze()
    try:
        await notifications.wait(0.01)  # notices
        with pytest.raises(StoreUnavailable, match="does not answer in time"):
            await notifications.wait(LONG)
    finally:
        server.thaw()
    async with asyncio.timeout(LONG):
        while True:
            try:
                await notifications.wait(LONG)
                break
            except StoreUnavailable:
                await asyncio.sleep(0.05)
    await notifications.close()
    await database.close()


async def test_without_a_server_it_cannot_begin(server: PostgresServer) -> None:
    database = database_at("postgresql://u:p@127.0.0.1:1/d")
    notifications = PostgresNotifications(database, "news")
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await notifications.wait(LONG)
    await notifications.close()


async def test_what_is_closed_listens_no_longer(server: PostgresServer, notifications: PostgresNotifications) -> None:
    await notifications.wait(LONG)
    for _ in range(2):
        await notifications.close()
    async with asyncio.timeout(LONG):
        while await server.run(LISTENING) != [(0,)]:
            pass


@pytest.mark.skipif(PGBOUNCER is None, reason="no pgbouncer here")
async def test_behind_a_pooler_a_wait_is_short_and_nothing_is_listened_to() -> None:
    with pooled_url() as url:
        database = database_at(url)
        notifications = PostgresNotifications(database, "news")
        watch = Watch()
        for _ in range(3):
            await notifications.wait(LONG)
        assert watch.was_short()
        await notifications.close()
        await database.close()
