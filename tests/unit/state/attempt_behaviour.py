"""What every store must do about attempts to present a password; for the same test modules as `store_behaviour`."""

import asyncio

from gateway.interfaces import KNOWN_ADDRESSES, AttemptStore
from gateway.types import AttemptLimit, Blocked
from tests.unit.state.store_behaviour import OpenStore

WAITS = (1.0, 2.0, 4.0, 8.0)
NOW = 1_800_000_000.25
LATER = NOW + 3600


def digest(letter: str) -> bytes:
    return letter.encode() * 32


def limit(letter: str, free: int = 0) -> AttemptLimit:
    return AttemptLimit(id=digest(letter), free=free, waits=WAITS)


async def take(store: AttemptStore, *limits: AttemptLimit, now: float = NOW, forget_at: float = LATER) -> float | None:
    """How many seconds the attempt has to wait, None when it was taken."""
    blocked = await store.take_attempt(limits, now=now, forget_at=forget_at)
    return None if blocked is None else blocked.until - now


class AttemptBehaviour:
    async def test_s52_failures_are_free_at_first_then_each_doubles_the_wait_up_to_a_bound(
        self, open_store: OpenStore
    ) -> None:
        store, now = await open_store(), NOW
        for _ in range(3):
            assert await take(store, limit("a", free=2), now=now) is None
        for wait in (1.0, 2.0, 4.0, 8.0, 8.0):
            assert await take(store, limit("a", free=2), now=now) == wait
            assert await take(store, limit("a", free=2), now=now + wait - 0.25) == 0.25
            now += wait
            assert await take(store, limit("a", free=2), now=now) is None

    async def test_s52_what_one_handle_counts_all_have_counted(self, open_store: OpenStore) -> None:
        one, other = await open_store(), await open_store()
        assert await take(one, limit("a")) is None
        assert await other.take_attempt([limit("a")], now=NOW, forget_at=LATER) == Blocked(
            id=digest("a"), until=NOW + 1
        )
        assert await take(other, limit("b")) is None

    async def test_s52_of_many_attempts_at_once_no_more_are_taken_than_are_free(self, open_store: OpenStore) -> None:
        handles = [await open_store() for _ in range(4)]
        attempts = [take(handle, limit("a", free=4), limit("b", free=9)) for _ in range(10) for handle in handles]
        assert sorted(await asyncio.gather(*attempts), key=str) == [1.0] * 35 + [None] * 5

    async def test_an_attempt_that_has_to_wait_for_one_id_is_counted_of_none(self, open_store: OpenStore) -> None:
        store = await open_store()
        assert await take(store, limit("a")) is None
        for _ in range(5):
            assert await take(store, limit("a"), limit("b")) == 1.0
            assert await take(store, limit("b", free=1), limit("a")) == 1.0
        assert await take(store, limit("b", free=1), now=NOW + 0.5) is None
        assert await take(store, limit("b", free=1), now=NOW + 0.5) is None
        assert await take(store, limit("a"), now=NOW + 1) is None
        assert await take(store, limit("a"), now=NOW + 1) == 2.0

    async def test_of_several_waits_the_longest_counts(self, open_store: OpenStore) -> None:
        store = await open_store()
        await take(store, limit("a"))
        await take(store, limit("b"), now=NOW + 0.5)
        for limits in ([limit("a"), limit("b")], [limit("b"), limit("a")]):
            blocked = await store.take_attempt([*limits, limit("c")], now=NOW + 0.75, forget_at=LATER)
            assert blocked == Blocked(id=digest("b"), until=NOW + 1.5)

    async def test_s53_failures_are_forgotten_purged_or_not(self, open_store: OpenStore) -> None:
        store = await open_store()
        for _ in range(3):
            await take(store, limit("a", free=2), forget_at=NOW + 10)
        assert await take(store, limit("a", free=2), now=NOW + 9) is None
        await store.settle_attempt(forget=[digest("a")], give_back=[])
        for _ in range(3):
            await take(store, limit("a", free=2), forget_at=NOW + 10)
        for _ in range(3):
            assert await take(store, limit("a", free=2), now=NOW + 10, forget_at=NOW + 20) is None
        assert await take(store, limit("a", free=2), now=NOW + 10) == 1.0
        await store.purge(int(NOW) + 30)
        for _ in range(3):
            assert await take(store, limit("a", free=2), now=NOW + 30) is None

    async def test_a_purge_leaves_what_still_counts(self, open_store: OpenStore) -> None:
        store = await open_store()
        await take(store, limit("a"))
        await store.remember_address(digest("a"), digest("b"), expires_at=int(NOW) + 11)
        await store.purge(int(NOW) + 10)
        assert await take(store, limit("a")) == 1.0
        assert await store.knows_address(digest("a"), digest("b"), now=NOW)

    async def test_what_is_given_back_was_never_taken(self, open_store: OpenStore) -> None:
        store, other = await open_store(), await open_store()
        for _ in range(2):
            for _ in range(3):
                assert await take(store, limit("a", free=2), limit("b", free=2)) is None
            assert await take(store, limit("a", free=2)) == 1.0
            await other.settle_attempt(forget=[], give_back=[digest("a"), digest("b")])
            assert await take(store, limit("a", free=2), limit("b", free=2)) is None
            assert await take(store, limit("a", free=2)) == 1.0
            await other.settle_attempt(forget=[digest("b")], give_back=[digest("a")] * 3)

    async def test_giving_back_never_makes_more_free_than_there_were(self, open_store: OpenStore) -> None:
        store = await open_store()
        await take(store, limit("a", free=1))
        for _ in range(5):
            await store.settle_attempt(forget=[digest("c")], give_back=[digest("a"), digest("b")])
        for _ in range(2):
            assert await take(store, limit("a", free=1)) is None
        assert await take(store, limit("a", free=1)) == 1.0
        assert await take(store, limit("b")) is None
        assert await take(store, limit("b")) == 1.0

    async def test_s53_addresses_are_remembered_name_by_name_until_they_expire(self, open_store: OpenStore) -> None:
        one, other = await open_store(), await open_store()
        await one.remember_address(digest("n"), digest("a"), expires_at=1000)
        assert await other.knows_address(digest("n"), digest("a"), now=999.5)
        assert not await other.knows_address(digest("n"), digest("a"), now=1000.0)
        assert not await other.knows_address(digest("n"), digest("b"), now=999.5)
        assert not await other.knows_address(digest("m"), digest("a"), now=999.5)
        assert not await other.knows_address(digest("a"), digest("n"), now=999.5)
        await one.remember_address(digest("n"), digest("a"), expires_at=2000)
        await one.remember_address(digest("n"), digest("a"), expires_at=1500)
        assert await other.knows_address(digest("n"), digest("a"), now=1999.0)
        await one.purge(2000)
        assert not await other.knows_address(digest("n"), digest("a"), now=1.0)

    async def test_s83_of_the_addresses_of_a_name_the_latest_are_kept(self, open_store: OpenStore) -> None:
        store = await open_store()
        addresses = [bytes([number]) * 32 for number in range(KNOWN_ADDRESSES + 2)]
        await store.remember_address(digest("m"), addresses[0], expires_at=1)
        for number, address in enumerate(addresses):
            await store.remember_address(digest("n"), address, expires_at=1000 + number)
        assert [await store.knows_address(digest("n"), each, now=0.0) for each in addresses] == [
            number >= 2 for number in range(KNOWN_ADDRESSES + 2)
        ]
        assert await store.knows_address(digest("m"), addresses[0], now=0.0)
