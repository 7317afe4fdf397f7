"""Attempts in the embedded store: what every store does, and how much of them a file may hold."""

import sqlite3
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.interfaces import MAX_ATTEMPT_COUNTS
from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from tests.unit.state.attempt_behaviour import LATER, NOW, AttemptBehaviour, digest, limit, take
from tests.unit.state.store_behaviour import OpenStore


class TestSqliteAttempts(AttemptBehaviour):
    pass


async def test_look_ups_use_an_index_whatever_the_number_of_counts(path: Path, open_store: OpenStore) -> None:
    await open_store()
    statements: list[str] = []
    file = SqliteFile.open(path)
    store = SqliteStateStore(file)
    await file.read(lambda connection: connection.set_trace_callback(statements.append))
    await take(store, limit("a"))
    await store.settle_attempt(forget=[digest("a")], give_back=[digest("b")])
    await store.remember_address(digest("n"), digest("a"), expires_at=1)
    await store.knows_address(digest("n"), digest("a"), now=0.0)
    await store.purge_attempts(1)
    await file.close()
    connection = sqlite3.connect(path)
    looked_up = [text for text in statements if text.strip().startswith(("SELECT", "DELETE", "UPDATE"))]
    assert len(looked_up) == 9
    for statement in looked_up:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert [step for step in plan if step.startswith("SCAN")] == [], statement
    connection.close()


async def test_what_has_been_counted_outlives_the_process(open_store: OpenStore) -> None:
    store = await open_store()
    await take(store, limit("a"))
    await store.remember_address(digest("n"), digest("a"), expires_at=1000)
    await store.close()
    restarted = await open_store()
    assert await take(restarted, limit("a")) == 1.0
    assert await restarted.knows_address(digest("n"), digest("a"), now=0.0)


async def test_a_store_that_is_down_is_unavailable_in_every_method(path: Path, open_store: OpenStore) -> None:
    store = await open_store()
    path.rename(path.with_suffix(".away"))
    path.write_bytes(b"garbage" * 1000)
    for use in (
        take(store, limit("a")),
        store.settle_attempt(forget=[digest("a")], give_back=[]),
        store.remember_address(digest("n"), digest("a"), expires_at=1),
        store.knows_address(digest("n"), digest("a"), now=0.0),
    ):
        with pytest.raises(StoreUnavailable):
            await use


@pytest.mark.parametrize("now", [0, int(NOW)])
async def test_s83_a_purge_leaves_no_more_counts_than_there_may_be(path: Path, open_store: OpenStore, now: int) -> None:
    store = await open_store()
    shell = sqlite3.connect(path)
    with shell:
        shell.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO attempts "
            "SELECT CAST(printf('%032x', i * 7919) AS BLOB), 1, 0, ? + i / 100000.0 FROM n",
            (MAX_ATTEMPT_COUNTS + 2500, NOW),
        )
    await take(store, limit("a"), forget_at=LATER)
    await store.purge(now)
    assert shell.execute("SELECT count(*) FROM attempts").fetchone() == (MAX_ATTEMPT_COUNTS,)
    shell.close()
    assert await take(store, limit("a")) == 1.0  # what lasts longest stays
