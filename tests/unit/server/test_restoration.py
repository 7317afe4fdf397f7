"""What a store has lost it gets back from whoever knows it, once, and the log says so."""

import asyncio
import dataclasses
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from gateway.auth.revocation import RevocationList
from gateway.errors import StoreUnavailable
from gateway.server.restoration import Restoration
from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from gateway.types import Revocation, RevokedKind

NOW = 1_800_000_000
KNOWN = (
    Revocation(kind=RevokedKind.TOKEN, id="t", expires_at=NOW + 1),
    Revocation(kind=RevokedKind.SESSION, id="s", expires_at=NOW + 2),
    Revocation(kind=RevokedKind.USER, id="7", expires_at=NOW + 3, up_to=NOW - 5),
    Revocation(kind=RevokedKind.EVERYTHING, id="", expires_at=NOW + 4, up_to=NOW - 9),
)


class World:
    """A store and what one process remembers of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = SqliteStateStore(SqliteFile.open(path))
        self.revocations = RevocationList()
        self.restoration = Restoration(store=self.store, revocations=self.revocations, clock=lambda: NOW)

    async def revoke(self, revocation: Revocation) -> None:
        await self.store.revoke(revocation)
        self.revocations.add(revocation)

    async def recorded(self) -> tuple[Revocation, ...]:
        return (await self.store.revocations_since(0)).revocations

    async def compare(self) -> None:
        self.restoration.compare(await self.recorded())

    def lose(self, kind: str = "%") -> None:
        connection = sqlite3.connect(self.path)
        connection.execute("DELETE FROM revocations WHERE kind LIKE ?", (kind,))
        connection.commit()
        connection.close()


MakeWorld = Callable[[], Awaitable[World]]


@pytest.fixture
async def make_world(tmp_path: Path) -> AsyncIterator[MakeWorld]:
    """Each call gives another process on the same store."""
    worlds: list[World] = []

    async def make() -> World:
        world = World(tmp_path / "gateway.sqlite3")
        worlds.append(world)
        await world.store.prepare()
        return world

    yield make
    for world in worlds:
        await world.store.close()


async def test_nothing_is_due_where_the_store_has_all(make_world: MakeWorld, caplog: pytest.LogCaptureFixture) -> None:
    world = await make_world()
    for each in KNOWN:
        await world.revoke(each)
    await world.compare()
    assert not world.restoration.is_due
    assert caplog.records == []


@pytest.mark.parametrize("lost", range(4))
async def test_s58_what_was_lost_is_given_back_and_nothing_else(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture, lost: int
) -> None:
    world = await make_world()
    for each in KNOWN:
        await world.revoke(each)
    world.lose(KNOWN[lost].kind.value)
    assert KNOWN[lost] not in await world.recorded()
    await world.compare()
    assert world.restoration.is_due
    await world.restoration.step()
    assert not world.restoration.is_due
    assert set(await world.recorded()) == set(KNOWN)
    assert world.restoration.total == 1
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("store_lost_data revocations_given_back=1 detail=")


async def test_s58_one_that_the_store_has_for_less_long_or_less_far_is_lost_too(make_world: MakeWorld) -> None:
    world = await make_world()
    longer, later = dataclasses.replace(KNOWN[1], expires_at=NOW + 50), dataclasses.replace(KNOWN[2], up_to=NOW)
    for each in (KNOWN[1], KNOWN[2]):
        await world.store.revoke(each)
    for each in (longer, later):
        world.revocations.add(each)
    await world.compare()
    await world.restoration.step()
    assert set(await world.recorded()) == {longer, later}


async def test_what_has_expired_is_not_given_back(make_world: MakeWorld) -> None:
    world = await make_world()
    world.revocations.add(dataclasses.replace(KNOWN[0], expires_at=NOW))
    await world.compare()
    assert not world.restoration.is_due


async def test_of_several_who_know_it_one_is_thanked(make_world: MakeWorld, caplog: pytest.LogCaptureFixture) -> None:
    one, other = await make_world(), await make_world()
    for each in KNOWN:
        await one.revoke(each)
        await other.revoke(each)
    one.lose()
    for world in (one, other):
        await world.compare()
    await asyncio.gather(one.restoration.step(), other.restoration.step())
    assert set(await one.recorded()) == set(KNOWN)
    assert one.restoration.total + other.restoration.total == len(KNOWN)
    assert 1 <= len(caplog.records) <= 2


async def test_many_are_given_back_in_steps_and_told_once(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = await make_world()
    known = {Revocation(kind=RevokedKind.TOKEN, id=str(number), expires_at=NOW + 9) for number in range(250)}
    for each in known:
        world.revocations.add(each)
    await world.compare()
    steps = 0
    while world.restoration.is_due:
        await world.restoration.step()
        steps += 1
    assert steps > 1
    assert set(await world.recorded()) == known
    assert [record.getMessage()[:45] for record in caplog.records] == ["store_lost_data revocations_given_back=250 de"]


async def test_a_store_that_goes_away_meanwhile_gets_the_rest_later(make_world: MakeWorld) -> None:
    world = await make_world()
    world.revocations.add(KNOWN[0])
    await world.compare()
    await world.store.close()
    with pytest.raises(StoreUnavailable):
        await world.restoration.step()
    assert world.restoration.is_due
