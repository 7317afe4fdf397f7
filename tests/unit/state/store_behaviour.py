"""What every state store must do, whatever keeps it.

A test module of an engine inherits from `StoreBehaviour` and defines the fixture `open_store`: a factory that gives a
new handle, as another process would have it, on the one storage of the test.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.interfaces import StateStore
from gateway.types import Revocation, RevokedKind

OpenStore = Callable[[], Awaitable[StateStore]]
"""`await open_store()`: ready for use; the fixture closes it."""

TOKEN, SESSION = RevokedKind.TOKEN, RevokedKind.SESSION


def revocation(revoked_id: str, expires_at: int = 1000, kind: RevokedKind = TOKEN) -> Revocation:
    return Revocation(kind=kind, id=revoked_id, expires_at=expires_at)


class StoreBehaviour:
    # Revoking

    async def test_what_is_revoked_is_revoked_for_every_handle(self, open_store: OpenStore) -> None:
        one, other = await open_store(), await open_store()
        assert not await other.is_revoked(TOKEN, "a")
        assert await one.revoke(revocation("a"))
        assert await one.is_revoked(TOKEN, "a")
        assert await other.is_revoked(TOKEN, "a")
        assert not await other.is_revoked(TOKEN, "A")

    async def test_tokens_and_sessions_are_two_things(self, open_store: OpenStore) -> None:
        store = await open_store()
        assert await store.revoke(revocation("a", kind=TOKEN))
        assert not await store.is_revoked(SESSION, "a")
        assert await store.revoke(revocation("a", kind=SESSION))
        assert await store.is_revoked(SESSION, "a")

    async def test_only_the_first_revocation_is_told_so(self, open_store: OpenStore) -> None:
        one, other = await open_store(), await open_store()
        assert await one.revoke(revocation("a"))
        assert not await other.revoke(revocation("a"))
        assert not await one.revoke(revocation("a", expires_at=2000))

    async def test_s55_of_many_who_spend_one_token_at_once_one_succeeds(self, open_store: OpenStore) -> None:
        handles = [await open_store() for _ in range(4)]
        spending = [handle.revoke(revocation("a")) for _ in range(5) for handle in handles]
        assert sorted(await asyncio.gather(*spending)) == [False] * 19 + [True]

    @pytest.mark.parametrize(
        "revoked_id", ["", "'; DROP TABLE revocations; --", "a\0b", "é", "e\u0301", "\ud800", "😀", "x" * 8192]
    )
    async def test_an_id_may_be_any_text_that_json_can_hold(self, open_store: OpenStore, revoked_id: str) -> None:
        store = await open_store()
        assert not await store.is_revoked(TOKEN, revoked_id)
        assert await store.revoke(revocation(revoked_id))
        assert await store.is_revoked(TOKEN, revoked_id)
        assert (await store.revocations_since(0)).revocations == (revocation(revoked_id),)
        assert not await store.is_revoked(TOKEN, revoked_id + "\0")

    # The feed

    async def test_the_feed_of_a_new_store_is_empty(self, open_store: OpenStore) -> None:
        assert (await (await open_store()).revocations_since(0)).revocations == ()

    async def test_the_feed_gives_what_others_recorded_in_their_order(self, open_store: OpenStore) -> None:
        reader, writer = await open_store(), await open_store()
        expected = [revocation("b", 1001), revocation("a", 1002, SESSION), revocation("c", 1003)]
        for each in expected:
            await writer.revoke(each)
        first = await reader.revocations_since(0)
        assert first.revocations == tuple(expected)

        nothing = await reader.revocations_since(first.position)
        assert (nothing.position, nothing.revocations) == (first.position, ())

        await writer.revoke(revocation("d"))
        await writer.revoke(revocation("a", 1002, SESSION))  # known
        news = await reader.revocations_since(first.position)
        assert news.revocations == (revocation("d"),)
        assert news.position > first.position

    async def test_a_longer_revocation_replaces_the_shorter_and_is_told_again(self, open_store: OpenStore) -> None:
        store = await open_store()
        await store.revoke(revocation("a", 1000))
        position = (await store.revocations_since(0)).position
        assert not await store.revoke(revocation("a", 500))
        assert not await store.revoke(revocation("a", 1000))
        assert (await store.revocations_since(position)).revocations == ()
        assert not await store.revoke(revocation("a", 2000))
        assert (await store.revocations_since(position)).revocations == (revocation("a", 2000),)
        assert (await store.revocations_since(0)).revocations == (revocation("a", 2000),)
        await store.purge(1999)
        assert await store.is_revoked(TOKEN, "a")

    @pytest.mark.parametrize("position", [-1, 10**6, 2**62])
    async def test_a_position_that_was_never_given_gives_all(self, open_store: OpenStore, position: int) -> None:
        store = await open_store()
        await store.revoke(revocation("a"))
        news = await store.revocations_since(position)
        assert news.revocations == (revocation("a"),)
        assert (await store.revocations_since(news.position)).revocations == ()

    # Forgetting

    async def test_s58_what_has_expired_is_forgotten_and_nothing_else(self, open_store: OpenStore) -> None:
        store, reader = await open_store(), await open_store()
        for expires_at in (999, 1000, 1001):
            for kind in RevokedKind:
                await store.revoke(revocation(f"until {expires_at}", expires_at, kind))
        await store.purge(1000)
        for kind in RevokedKind:
            assert not await reader.is_revoked(kind, "until 999")
            assert not await reader.is_revoked(kind, "until 1000")
            assert await reader.is_revoked(kind, "until 1001")
        assert {each.id for each in (await reader.revocations_since(0)).revocations} == {"until 1001"}
        await store.purge(1000)

    async def test_the_feed_goes_on_after_a_purge_that_emptied_it(self, open_store: OpenStore) -> None:
        store, reader = await open_store(), await open_store()
        await store.revoke(revocation("a", 1000))
        position = (await reader.revocations_since(0)).position
        await store.purge(1000)
        quiet = await reader.revocations_since(position)
        assert (quiet.position, quiet.revocations) == (position, ())
        await store.revoke(revocation("b", 2000))
        assert (await reader.revocations_since(position)).revocations == (revocation("b", 2000),)
