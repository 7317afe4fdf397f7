"""The outbox in the embedded store: what every store does, and that a full one costs no more than an empty one."""

import sqlite3
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from tests.unit.state.outbox_behaviour import OutboxBehaviour
from tests.unit.state.store_behaviour import OpenStore


class TestSqliteOutbox(OutboxBehaviour):
    pass


async def test_look_ups_use_an_index_whatever_the_number_of_events(
    path: Path, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.state.sqlite_outbox.MAX_WAITING_EVENTS", 1)
    await open_store()
    statements: list[str] = []
    file = SqliteFile.open(path)
    store = SqliteStateStore(file)
    await file.read(lambda connection: connection.set_trace_callback(statements.append))
    for name in "ab":
        await store.put_event(name, "text", wait=0)
    await store.settle_events(await store.take_events(limit=10, lease=1))
    await store.withdraw_event("a")
    await file.close()
    connection = sqlite3.connect(path)
    looked_up = [text for text in statements if text.strip().startswith(("SELECT", "DELETE", "UPDATE"))]
    assert len(looked_up) == 11
    for statement in looked_up:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        scans = [step for step in plan if step.startswith("SCAN") and "USING" not in step]
        assert scans in ([], ["SCAN CONSTANT ROW"]), statement
        assert not [step for step in plan if "TEMP B-TREE" in step], statement
    connection.close()


async def test_who_finds_nothing_waits_for_no_writer(path: Path, open_store: OpenStore) -> None:
    store = await open_store()
    shell = sqlite3.connect(path, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    assert list(await store.take_events(limit=10, lease=1)) == []
    shell.execute("ROLLBACK")
    shell.close()


async def test_a_store_that_is_down_is_unavailable_in_every_method(path: Path, open_store: OpenStore) -> None:
    store = await open_store()
    path.rename(path.with_suffix(".away"))
    for use in (
        store.put_event("a", "text", wait=0),
        store.withdraw_event("a"),
        store.take_events(limit=1, lease=1),
        store.settle_events([]),
    ):
        with pytest.raises(StoreUnavailable):
            await use
