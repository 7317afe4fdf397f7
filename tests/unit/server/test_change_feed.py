"""What others changed in the file reaches this process's memory; while the file is away, what is known goes on counting."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.auth.keys import generate_key
from gateway.auth.revocation import RevocationList
from gateway.errors import StoreUnavailable
from gateway.interfaces import NewRevocations
from gateway.observability.audit import AuditLog
from gateway.observability.audit_events import AuditEvent
from gateway.proxy.admission import Admission
from gateway.proxy.long_exchanges import LongExchanges
from gateway.server import change_feed
from gateway.server.audit_relay import AuditRelay
from gateway.server.change_feed import ChangeFeed
from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from gateway.types import Principal, Revocation, RevokedKind, TokenReference
from gateway.users.sqlite import SqliteUserDirectory
from tests.unit.auth.verifiers import keyring_of, verifier_of
from tests.unit.metering import new_meters
from tests.unit.proxy.admissions import rules_with

NOW = 1_800_000_000


class Store(SqliteStateStore):
    """A store that can go away, and that says when it was asked."""

    is_away = False
    has_defect = False
    asked = 0

    async def revocations_since(self, position: int) -> NewRevocations:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("The file is busy.")
        if self.has_defect:
            raise LookupError("a defect")
        return await super().revocations_since(position)


def token(token_id: str | None, session_id: str | None) -> TokenReference:
    return TokenReference(token_id=token_id, session_id=session_id, user_id=None, issued_at=NOW)


def admission(directory: SqliteUserDirectory, revocations: RevocationList) -> Admission:
    return Admission(
        rules=rules_with(verifier_of(keyring_of(generate_key("HS256")))),
        revocations=revocations,
        directory=directory,
        max_tokens=100,
    )


class World:
    """This process's memory and feed, and what another process does to the file."""

    def __init__(self, path: Path) -> None:
        self.now = NOW
        self.path = path
        self.directory = SqliteUserDirectory(SqliteFile.open(path), login_attribute="username")
        self.store = Store(SqliteFile.open(path))
        self.revocations = RevocationList()
        self.admission = admission(self.directory, self.revocations)
        self.known_users = self.admission.known_users
        self.long_exchanges = LongExchanges(
            revocations=self.revocations,
            directory=self.directory,
            clock=lambda: NOW,
            loop=asyncio.get_running_loop(),
        )
        self.feed = ChangeFeed(
            directory=self.directory,
            store=self.store,
            admission=self.admission,
            revocations=self.revocations,
            long_exchanges=self.long_exchanges,
            clock=lambda: self.now,
            max_staleness=60,
            relay=AuditRelay(outbox=self.store, audit=AuditLog(clock=lambda: NOW, meter=new_meters().auth())),
        )
        self.other_directory = SqliteUserDirectory(SqliteFile.open(path), login_attribute="username")
        self.other_store = SqliteStateStore(SqliteFile.open(path))

    async def prepare(self) -> None:
        for each in (self.directory, self.store):
            await each.prepare()
        self.ids = {
            name: (await self.directory.add(username=name, email="", roles=(), password_hash="x")).id
            for name in ("alice", "bob")
        }

    async def close(self) -> None:
        for each in (self.directory, self.store, self.other_directory, self.other_store):
            await each.close()

    def know(self, name: str) -> None:
        known = Principal(
            user_id=self.ids[name],
            token_id="t",
            session_id=None,
            issued_at=0,
            expires_at=0.0,
            roles=frozenset(),
            identity=b"",
        )
        self.known_users.put(name.encode(), known, epoch=self.known_users.epoch)

    def knows(self, name: str) -> bool:
        return self.known_users.get(name.encode()) is not None

    async def revoke(self, revoked_id: str, expires_at: int = NOW + 100) -> None:
        await self.other_store.revoke(Revocation(kind=RevokedKind.TOKEN, id=revoked_id, expires_at=expires_at))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "gateway.sqlite3")
    await world.prepare()
    yield world
    await world.close()


async def test_the_first_look_forgets_everybody_and_learns_what_is_revoked(world: World) -> None:
    await world.revoke("t1")
    world.know("alice")
    await world.feed.catch_up()
    assert not world.knows("alice")
    assert world.revocations.is_revoked(token("t1", None))


async def test_a_changed_user_is_forgotten_and_nobody_else(world: World) -> None:
    await world.feed.catch_up()
    world.know("alice")
    world.know("bob")
    await world.feed.catch_up()
    assert (world.knows("alice"), world.knows("bob")) == (True, True)

    await world.other_directory.set_active("alice", is_active=False)
    await world.feed.catch_up()
    assert (world.knows("alice"), world.knows("bob")) == (False, True)


async def test_s57_revocations_of_another_process_count_here(world: World) -> None:
    await world.feed.catch_up()
    await world.revoke("t1")
    await world.other_store.revoke(Revocation(kind=RevokedKind.SESSION, id="s1", expires_at=NOW + 100))
    assert not world.revocations.is_revoked(token("t1", "s1"))
    await world.feed.catch_up()
    assert world.revocations.is_revoked(token("t1", None))
    assert world.revocations.is_revoked(token(None, "s1"))
    assert len(world.revocations) == 2


async def test_tokens_are_trusted_for_a_while_after_the_last_look(world: World) -> None:
    assert world.admission.trusted_until == float("inf")  # nothing is served before the first look
    await world.feed.catch_up()
    assert (world.admission.trusted_until, world.feed.staleness) == (NOW + 60, 0)
    world.store.is_away = True
    world.now = NOW + 30
    with pytest.raises(StoreUnavailable):
        await world.feed.catch_up()
    assert (world.admission.trusted_until, world.feed.staleness) == (NOW + 60, 30)


async def test_catching_up_says_when_it_cannot(world: World) -> None:
    world.store.is_away = True
    with pytest.raises(StoreUnavailable):
        await world.feed.catch_up()


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.005)


@pytest.fixture
async def following(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Task[None]]:
    monkeypatch.setattr(change_feed, "_POLL_SECONDS", 0.01)
    task = asyncio.create_task(world.feed.follow())
    yield task
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


async def test_following_brings_each_change_without_being_asked(world: World, following: asyncio.Task[None]) -> None:
    await until(lambda: world.store.asked > 0)
    for revoked_id in ("t1", "t2"):
        await world.revoke(revoked_id)
        await until(lambda revoked_id=revoked_id: world.revocations.is_revoked(token(revoked_id, None)))  # type: ignore[misc]


async def test_while_the_store_is_away_what_is_known_counts_and_the_log_says_so_once(
    world: World, following: asyncio.Task[None], caplog: pytest.LogCaptureFixture
) -> None:
    await world.revoke("t1")
    await until(lambda: world.revocations.is_revoked(token("t1", None)))

    world.store.is_away = True
    asked = world.store.asked
    await until(lambda: world.store.asked > asked + 5)
    assert world.revocations.is_revoked(token("t1", None))
    assert [record.getMessage() for record in caplog.records] == ["store_unavailable error=The file is busy."]

    await world.revoke("t2")
    world.store.is_away = False
    await until(lambda: world.revocations.is_revoked(token("t2", None)))
    await until(lambda: len(caplog.records) == 2)
    assert caplog.records[1].getMessage() == "store_recovered"


async def test_s57_what_nobody_foresaw_does_not_end_the_feed(
    world: World, following: asyncio.Task[None], caplog: pytest.LogCaptureFixture
) -> None:
    """Without it tokens revoked elsewhere and users disabled would pass until the next start."""
    world.store.has_defect = True
    await world.revoke("t1")
    asked = world.store.asked
    await until(lambda: world.store.asked > asked + 5)
    assert [record.getMessage() for record in caplog.records] == ["store_unavailable error=unforeseen"]
    assert caplog.records[0].exc_info is not None

    world.store.has_defect = False
    await until(lambda: world.revocations.is_revoked(token("t1", None)))


async def test_what_a_command_left_for_the_audit_trail_is_written_without_being_asked(
    world: World, following: asyncio.Task[None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for name in ("user_disabled", "user_enabled"):
        await world.other_store.put_event(name, AuditEvent.at(NOW, name, {}).to_text(), wait=0)
        await until(lambda name=name: f'"event":"{name}"' in caplog.text)  # type: ignore[misc]


async def test_s87_what_is_known_is_current_while_the_store_can_be_asked(
    world: World, following: asyncio.Task[None]
) -> None:
    assert not world.feed.is_current, "nothing has been read yet"
    await until(lambda: world.feed.is_current)
    world.store.is_away = True
    await until(lambda: not world.feed.is_current)
    world.store.is_away = False
    await until(lambda: world.feed.is_current)


async def test_s87_a_feed_that_no_longer_looks_is_not_current(world: World) -> None:
    await world.feed.catch_up()
    world.now += 5
    assert world.feed.is_current
    assert world.feed.staleness == 5
    world.now += 60
    assert not world.feed.is_current


async def test_s57_a_log_out_is_heard_of_while_nobody_can_be_asked_about_users(world: World) -> None:
    await world.feed.catch_up()
    await world.directory.close()
    await world.revoke("t1")
    world.now += 5
    with pytest.raises(StoreUnavailable, match="closed"):
        await world.feed.catch_up()
    assert world.revocations.is_revoked(token("t1", None))
    assert world.feed.staleness == 5


async def test_a_changed_user_is_forgotten_while_the_store_is_away(world: World) -> None:
    await world.feed.catch_up()
    world.know("alice")
    world.store.is_away = True
    await world.other_directory.set_active("alice", is_active=False)
    with pytest.raises(StoreUnavailable, match="busy"):
        await world.feed.catch_up()
    assert not world.knows("alice")


async def test_s58_what_the_store_has_lost_it_gets_back_and_others_hear_of_it(
    world: World, following: asyncio.Task[None], caplog: pytest.LogCaptureFixture
) -> None:
    await world.revoke("t1")
    await until(lambda: world.revocations.is_revoked(token("t1", None)))
    assert world.feed.given_back == 0
    connection = sqlite3.connect(world.path)
    connection.execute("DELETE FROM revocations")
    connection.execute("UPDATE sqlite_sequence SET seq = 0 WHERE name = 'revocations'")  # as a backup from before
    connection.commit()
    connection.close()
    await until(lambda: world.feed.given_back == 1)
    assert await world.other_store.is_revoked(token("t1", None))
    assert "store_lost_data revocations_given_back=1" in caplog.text
    asked = world.store.asked
    await until(lambda: world.store.asked > asked + 5)
    assert world.feed.given_back == 1
