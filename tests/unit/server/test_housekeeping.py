"""What has expired is forgotten, and a store that is away, or takes its time, ends nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.auth.revocation import RevocationList
from gateway.errors import StoreUnavailable
from gateway.server import housekeeping
from gateway.server.housekeeping import Housekeeping
from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from gateway.types import Revocation, RevokedKind, TokenReference

NOW = 1_800_000_000


class Store(SqliteStateStore):
    """A store that counts its purges, and can fail."""

    purges = 0
    failure: Exception | None = None

    async def purge(self, now: int) -> None:
        self.purges += 1
        if self.failure is not None:
            raise self.failure
        await super().purge(now)


class World:
    def __init__(self, path: Path) -> None:
        self.now = NOW
        self.store = Store(SqliteFile.open(path))
        self.revocations = RevocationList()
        self.housekeeping = Housekeeping(store=self.store, revocations=self.revocations, clock=lambda: self.now)

    async def revoke(self, token_id: str, expires_at: int) -> None:
        revocation = Revocation(kind=RevokedKind.TOKEN, id=token_id, expires_at=expires_at)
        await self.store.revoke(revocation)
        self.revocations.add(revocation)

    async def known(self, token_id: str) -> tuple[bool, bool]:
        """In the store, and in memory."""
        token = TokenReference(token_id=token_id, session_id=None, user_id=None, issued_at=NOW)
        return await self.store.is_revoked(token), self.revocations.is_revoked(token)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "gateway.sqlite3")
    await world.store.prepare()
    yield world
    await world.store.close()


@pytest.fixture
async def following(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], None]]:
    """Begins when it is called."""
    monkeypatch.setattr(housekeeping, "_PURGE_SECONDS", 0.01)
    tasks = []
    yield lambda: tasks.append(asyncio.create_task(world.housekeeping.follow()))
    for task in tasks:
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.005)


async def test_s58_what_has_expired_is_forgotten_at_once_and_later(world: World, following: Callable[[], None]) -> None:
    await world.revoke("old", NOW)
    await world.revoke("young", NOW + 1)
    following()
    await until(lambda: world.store.purges >= 2)
    assert await world.known("old") == (False, False)
    assert await world.known("young") == (True, True)
    world.now = NOW + 1
    purges = world.store.purges
    await until(lambda: world.store.purges >= purges + 2)
    assert await world.known("young") == (False, False)


async def test_there_is_time_between_purges(world: World) -> None:
    assert housekeeping._PURGE_SECONDS >= 60
    task = asyncio.create_task(world.housekeeping.follow())
    await until(lambda: world.store.purges > 0)
    for _ in range(20):
        await world.known("a")
    assert world.store.purges == 1
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("failure", [StoreUnavailable("The file is busy."), LookupError("a defect")])
async def test_a_purge_that_fails_is_told_and_tried_again(
    world: World, following: Callable[[], None], caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    await world.revoke("old", NOW)
    world.store.failure = failure
    following()
    await until(lambda: len(caplog.records) >= 2)
    is_foreseen = isinstance(failure, StoreUnavailable)
    text = "The file is busy." if is_foreseen else "unforeseen"
    assert caplog.records[0].getMessage() == f"purge_postponed error={text}"
    assert (caplog.records[0].exc_info is None) == is_foreseen
    world.store.failure = None
    purges = world.store.purges
    await until(lambda: world.store.purges >= purges + 2)
    assert await world.known("old") == (False, False)
