"""What commands have left is written by one gateway, whatever becomes of another."""

import json
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.interfaces import WaitingEvent
from gateway.observability.audit import LOGGER, AuditLog
from gateway.observability.audit_events import AuditEvent
from gateway.server import audit_relay
from gateway.server.audit_relay import AuditRelay
from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from tests.unit.metering import new_meters


class Store(SqliteStateStore):
    is_away = False

    async def settle_events(self, taken: Sequence[WaitingEvent]) -> None:
        if self.is_away:
            raise StoreUnavailable("The file is busy.")
        await super().settle_events(taken)


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    stores = Store(SqliteFile.open(tmp_path / "g.sqlite3")), Store(SqliteFile.open(tmp_path / "g.sqlite3"))
    for store in stores:
        await store.prepare()
    yield stores
    for store in stores:
        await store.close()


def relay(store: Store) -> AuditRelay:
    return AuditRelay(outbox=store, audit=AuditLog(clock=lambda: 0.0, meter=new_meters().auth()))


async def put(store: Store, name: str) -> None:
    await store.put_event(name, AuditEvent.at(0, "user_disabled", {"user": name}).to_text(), wait=0)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == LOGGER.name]


@pytest.fixture(autouse=True)
def level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def test_each_event_is_one_line_of_one_gateway(
    stores: tuple[Store, Store], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("alice", "bob"):
        await put(stores[0], name)
    for store in stores * 2:
        await relay(store).pass_on()
    assert lines(caplog) == [
        {
            "time": "1970-01-01T00:00:00.000Z",
            "event": "user_disabled",
            "user": name,
            "event_id": name,
        }
        for name in ("alice", "bob")
    ]


async def test_what_one_took_and_could_not_settle_another_writes_when_the_lease_is_over(
    stores: tuple[Store, Store], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores[0].is_away = True
    await put(stores[1], "alice")
    await relay(stores[0]).pass_on()
    await relay(stores[1]).pass_on()
    assert [line["event_id"] for line in lines(caplog)] == ["alice"]
    monkeypatch.setattr(audit_relay, "_LEASE_SECONDS", 0.0)
    await put(stores[1], "bob")
    await relay(stores[0]).pass_on()
    await relay(stores[1]).pass_on()
    await relay(stores[1]).pass_on()
    assert [line["event_id"] for line in lines(caplog)] == ["alice", "bob", "bob"]


async def test_many_are_written_a_batch_at_each_look(
    stores: tuple[Store, Store], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_relay, "_BATCH", 2)
    writing = relay(stores[0])
    for number in range(5):
        await put(stores[1], f"u{number}")
    for written in (2, 4, 5, 5):
        await writing.pass_on()
        assert [line["user"] for line in lines(caplog)] == [f"u{number}" for number in range(written)]


async def test_what_was_dropped_is_told_before_what_came_after_it(
    stores: tuple[Store, Store], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.state.sqlite_outbox.MAX_WAITING_EVENTS", 2)
    for number in range(5):
        await put(stores[1], f"u{number}")
    await relay(stores[0]).pass_on()
    assert [(line["event"], line.get("count"), line.get("user")) for line in lines(caplog)] == [
        ("audit_events_lost", 3, None),
        ("user_disabled", None, "u3"),
        ("user_disabled", None, "u4"),
    ]


async def test_s86_what_no_command_wrote_is_no_line_of_the_trail_and_holds_nothing_up(
    stores: tuple[Store, Store], caplog: pytest.LogCaptureFixture
) -> None:
    await stores[1].put_event("strange", '{"event":"login_succeeded","level":"info"}', wait=0)
    await put(stores[1], "alice")
    await relay(stores[0]).pass_on()
    await relay(stores[0]).pass_on()
    assert [line["event_id"] for line in lines(caplog)] == ["alice"]
    strange = [record.getMessage() for record in caplog.records if record.name != LOGGER.name]
    assert strange == ["audit_event_unreadable event_id=strange It says what is not for it to say."]


async def test_a_store_that_fails_is_told_once_and_hinders_nobody(
    stores: tuple[Store, Store], caplog: pytest.LogCaptureFixture
) -> None:
    writing = relay(stores[0])
    await put(stores[1], "alice")
    stores[0].is_away = True
    await writing.pass_on()
    await put(stores[1], "bob")
    await writing.pass_on()
    stores[0].is_away = False
    await writing.pass_on()
    told = [record.getMessage() for record in caplog.records if record.name != LOGGER.name]
    assert told == ["audit_relay_failed error=The file is busy.", "audit_relay_recovered"]
