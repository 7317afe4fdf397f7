"""What every state store must do, whatever keeps it.

A test module of an engine inherits from `StoreBehaviour` and defines the fixture `open_store`: a factory that gives a
new handle, as another process would have it, on the one storage of the test.
"""

import asyncio
import contextlib
import dataclasses
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.interfaces import StateStore
from gateway.types import Revocation, RevokedKind, Session, TokenReference

OpenStore = Callable[[], Awaitable[StateStore]]
"""`await open_store()`: ready for use; the fixture closes it."""


@contextlib.asynccontextmanager
async def opening(make: Callable[[], Any]) -> AsyncIterator[OpenStore]:
    """What it gives opens as many stores as a test wants; all are closed behind it."""
    opened = []

    async def open_one() -> StateStore:
        store = make()
        opened.append(store)
        await store.prepare()
        return store

    yield open_one
    for store in opened:
        await store.close()


TOKEN, SESSION, USER, EVERYTHING = RevokedKind

_STRANGE = ["", "'; DROP TABLE revocations; --", "a\0b", "é", "e\u0301", "\ud800", "😀", "x" * 8192]


def revocation(revoked_id: str, expires_at: int = 1000, kind: RevokedKind = TOKEN, up_to: int = 0) -> Revocation:
    return Revocation(kind=kind, id=revoked_id, expires_at=expires_at, up_to=up_to)


def token(
    token_id: str | None = None, session_id: str | None = None, user_id: str | None = None, issued_at: int = 2**33
) -> TokenReference:
    return TokenReference(token_id=token_id, session_id=session_id, user_id=user_id, issued_at=issued_at)


async def is_revoked(store: StateStore, kind: RevokedKind, revoked_id: str) -> bool:
    """Whether a token is that has this id or that session, or (of that user) was issued at the beginning of time."""
    tokens = {
        TOKEN: token(token_id=revoked_id),
        SESSION: token(session_id=revoked_id),
        USER: token(user_id=revoked_id, issued_at=0),
        EVERYTHING: token(issued_at=0),
    }
    return await store.is_revoked(tokens[kind])


def session(session_id: str = "s", user_id: str = "1", **changes: object) -> Session:
    opened = Session(
        id=session_id,
        user_id=user_id,
        token_id="t0",
        parent_id=None,
        rotated_at=100,
        created_at=100,
        last_used_at=100,
        expires_at=1000,
        address="192.0.2.1",
        user_agent="curl/8",
    )
    return dataclasses.replace(opened, **changes)


def rotated(opened: Session, token_id: str, now: int = 200) -> Session:
    return dataclasses.replace(
        opened,
        token_id=token_id,
        parent_id=opened.token_id,
        rotated_at=now,
        last_used_at=now,
        expires_at=now + 900,
        address="2001:db8::1",
        user_agent="Firefox é",
    )


async def price_ratio(one: StateStore, other: StateStore) -> float:
    """How much more a session costs in the one, from its log-in to its end: medians of turns about, as machines rest
    and hurry."""
    prices: tuple[list[float], list[float]] = ([], [])
    for _ in range(150):
        for store, paid in zip((one, other), prices, strict=True):
            opened = session(secrets.token_hex(16))
            began = time.perf_counter()
            await store.open_session(opened)
            await store.find_session(opened.id)
            await store.replace_session(opened, rotated(opened, "t1"))
            await store.sessions(user_id="1", after="", limit=10)
            await store.revoke(revocation(opened.id, kind=SESSION))
            paid.append(time.perf_counter() - began)
    return statistics.median(prices[0]) / statistics.median(prices[1])


class StoreBehaviour:
    # Revoking

    async def test_what_is_revoked_is_revoked_for_every_handle(self, open_store: OpenStore) -> None:
        one, other = await open_store(), await open_store()
        assert not await is_revoked(other, TOKEN, "a")
        assert await one.revoke(revocation("a"))
        assert await is_revoked(one, TOKEN, "a")
        assert await is_revoked(other, TOKEN, "a")
        assert not await is_revoked(other, TOKEN, "A")

    async def test_tokens_and_sessions_are_two_things(self, open_store: OpenStore) -> None:
        store = await open_store()
        assert await store.revoke(revocation("a", kind=TOKEN))
        assert not await is_revoked(store, SESSION, "a")
        assert await store.revoke(revocation("a", kind=SESSION))
        assert await is_revoked(store, SESSION, "a")

    async def test_only_the_first_revocation_is_told_so(self, open_store: OpenStore) -> None:
        one, other = await open_store(), await open_store()
        assert await one.revoke(revocation("a"))
        assert not await other.revoke(revocation("a"))
        assert not await one.revoke(revocation("a", expires_at=2000))

    async def test_s55_of_many_who_spend_one_token_at_once_one_succeeds(self, open_store: OpenStore) -> None:
        handles = [await open_store() for _ in range(4)]
        spending = [handle.revoke(revocation("a")) for _ in range(5) for handle in handles]
        assert sorted(await asyncio.gather(*spending)) == [False] * 19 + [True]

    @pytest.mark.parametrize("revoked_id", _STRANGE)
    async def test_an_id_may_be_any_text_that_json_can_hold(self, open_store: OpenStore, revoked_id: str) -> None:
        store = await open_store()
        assert not await is_revoked(store, TOKEN, revoked_id)
        assert await store.revoke(revocation(revoked_id))
        assert await is_revoked(store, TOKEN, revoked_id)
        assert (await store.revocations_since(0)).revocations == (revocation(revoked_id),)
        assert not await is_revoked(store, TOKEN, revoked_id + "\0")

    async def test_a_user_loses_what_was_issued_up_to_the_moment(self, open_store: OpenStore) -> None:
        one, other = await open_store(), await open_store()
        assert await one.revoke(revocation("7", kind=USER, up_to=500))
        assert await other.is_revoked(token(user_id="7", issued_at=499))
        assert await other.is_revoked(token(user_id="7", issued_at=500))
        assert not await other.is_revoked(token(user_id="7", issued_at=501))
        assert not await other.is_revoked(token(user_id="8", issued_at=499))
        assert not await other.is_revoked(token(token_id="7", session_id="7", issued_at=499))
        assert not await other.is_revoked(token(issued_at=499))

    async def test_everybody_loses_what_was_issued_up_to_the_moment(self, open_store: OpenStore) -> None:
        one, other = await open_store(), await open_store()
        assert await one.revoke(revocation("", kind=EVERYTHING, up_to=500))
        for each in (token(user_id="7", issued_at=500), token("a", "b", issued_at=0), token(issued_at=500)):
            assert await other.is_revoked(each)
        assert not await other.is_revoked(token("a", "b", "7", issued_at=501))

    async def test_a_later_moment_takes_the_place_of_an_earlier_one_never_the_other_way(
        self, open_store: OpenStore
    ) -> None:
        store = await open_store()
        await store.revoke(revocation("7", 1000, USER, up_to=500))
        position = (await store.revocations_since(0)).position
        assert not await store.revoke(revocation("7", 900, USER, up_to=400))
        assert (await store.revocations_since(position)).revocations == ()
        assert not await store.revoke(revocation("7", 900, USER, up_to=600))
        expected = (revocation("7", 1000, USER, up_to=600),)
        assert (await store.revocations_since(position)).revocations == expected
        assert (await store.revocations_since(0)).revocations == expected

    # Sessions

    async def test_a_session_is_found_by_every_handle_as_it_was_opened(self, open_store: OpenStore) -> None:
        one, other = await open_store(), await open_store()
        assert await other.find_session("s") is None
        assert await one.open_session(session())
        assert await other.find_session("s") == session()
        assert await other.find_session("S") is None

    async def test_a_session_is_opened_once(self, open_store: OpenStore) -> None:
        handles = [await open_store() for _ in range(4)]
        opening = [handle.open_session(session(token_id=f"t{n}")) for n in range(5) for handle in handles]
        assert sorted(await asyncio.gather(*opening)) == [False] * 19 + [True]
        assert not await handles[0].open_session(session(user_id="2"))
        found = await handles[0].find_session("s")
        assert found is not None
        assert found.user_id == "1"

    @pytest.mark.parametrize("text", _STRANGE)
    async def test_a_session_may_hold_any_text_that_json_can_hold(self, open_store: OpenStore, text: str) -> None:
        store = await open_store()
        opened = session(text, text, token_id=text, parent_id=text)
        assert await store.open_session(opened)
        assert await store.find_session(text) == opened
        assert await store.replace_session(opened, rotated(opened, "next"))
        assert await store.find_session(text) == rotated(opened, "next")

    async def test_s55_of_many_who_rotate_a_session_at_once_one_succeeds(self, open_store: OpenStore) -> None:
        handles = [await open_store() for _ in range(4)]
        await handles[0].open_session(session())
        successors = [rotated(session(), f"t{number}") for number in range(1, 21)]
        rotating = [handles[n % 4].replace_session(session(), new) for n, new in enumerate(successors)]
        won = await asyncio.gather(*rotating)
        assert sorted(won) == [False] * 19 + [True]
        assert await handles[0].find_session("s") == successors[won.index(True)]

    async def test_only_the_token_decides_whether_a_session_is_replaced(self, open_store: OpenStore) -> None:
        store = await open_store()
        await store.open_session(session())
        used = session(last_used_at=150)
        assert await store.replace_session(session(), used)
        assert await store.replace_session(session(), rotated(session(), "t1"))
        assert not await store.replace_session(used, used)
        assert await store.find_session("s") == rotated(session(), "t1")
        assert not await store.replace_session(session("none"), session("none"))
        assert await store.find_session("none") is None

    async def test_sessions_are_listed_by_id_page_by_page(self, open_store: OpenStore) -> None:
        store = await open_store()
        for number in range(5):
            await store.open_session(session(f"s{number}", str(number % 2)))

        async def ids(user_id: str | None, after: str, limit: int) -> list[str]:
            return [each.id for each in await store.sessions(user_id=user_id, after=after, limit=limit)]

        assert await ids(None, "", 3) == ["s0", "s1", "s2"]
        assert await ids(None, "s2", 3) == ["s3", "s4"]
        assert await ids("0", "", 10) == ["s0", "s2", "s4"]
        assert await ids("0", "s0", 1) == ["s2"]
        assert await ids("2", "", 10) == []
        assert list(await store.sessions(user_id="1", after="", limit=1)) == [session("s1", "1")]

    async def test_a_revocation_ends_the_sessions_that_it_names(self, open_store: OpenStore) -> None:
        store = await open_store()
        for number, user_id, rotated_at in ((0, "1", 100), (1, "1", 300), (2, "2", 100), (3, "2", 300), (4, "3", 400)):
            await store.open_session(session(f"s{number}", user_id, rotated_at=rotated_at))

        async def left() -> list[str]:
            return [each.id for each in await store.sessions(user_id=None, after="", limit=10)]

        await store.revoke(revocation("s0"))
        assert await left() == ["s0", "s1", "s2", "s3", "s4"]
        await store.revoke(revocation("s0", kind=SESSION))
        assert await left() == ["s1", "s2", "s3", "s4"]
        assert not await store.replace_session(session("s0"), rotated(session("s0"), "t1"))
        await store.revoke(revocation("2", kind=USER, up_to=299))
        assert await left() == ["s1", "s3", "s4"]
        await store.revoke(revocation("", kind=EVERYTHING, up_to=300))
        assert await left() == ["s4"]

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
        assert await is_revoked(store, TOKEN, "a")

    async def test_who_waits_hears_of_a_revocation_within_a_second(self, open_store: OpenStore) -> None:
        reader, writer = await open_store(), await open_store()
        await reader.wait_for_revocations(0.01)
        position = (await reader.revocations_since(0)).position
        began = time.monotonic()
        recording = asyncio.create_task(writer.revoke(revocation("a")))
        while not (news := await reader.revocations_since(position)).revocations:
            await reader.wait_for_revocations(1.0)
            assert time.monotonic() - began < 10
        await recording
        assert news.revocations == (revocation("a"),)

    async def test_nobody_waits_for_longer_than_he_wants(self, open_store: OpenStore) -> None:
        reader = await open_store()
        await asyncio.wait_for(reader.wait_for_revocations(0.05), 10)

    @pytest.mark.parametrize("position", [-1, 10**6, 2**62])
    async def test_a_position_that_was_never_given_gives_all(self, open_store: OpenStore, position: int) -> None:
        store = await open_store()
        await store.revoke(revocation("a"))
        news = await store.revocations_since(position)
        assert news.revocations == (revocation("a"),)
        assert news.begins_anew
        nothing = await store.revocations_since(news.position)
        assert (nothing.revocations, nothing.begins_anew) == ((), False)
        await store.revoke(revocation("b"))
        assert not (await store.revocations_since(news.position)).begins_anew

    # Forgetting

    async def test_s58_what_has_expired_is_forgotten_and_nothing_else(self, open_store: OpenStore) -> None:
        store, reader = await open_store(), await open_store()
        for expires_at in (999, 1000, 1001):
            for kind in (TOKEN, SESSION, USER):
                await store.revoke(revocation(f"until {expires_at}", expires_at, kind))
        await store.purge(1000)
        for kind in (TOKEN, SESSION, USER):
            assert not await is_revoked(reader, kind, "until 999")
            assert not await is_revoked(reader, kind, "until 1000")
            assert await is_revoked(reader, kind, "until 1001")
        assert {each.id for each in (await reader.revocations_since(0)).revocations} == {"until 1001"}
        await store.revoke(revocation("", 1000, EVERYTHING))
        await store.purge(1000)
        assert not await is_revoked(reader, EVERYTHING, "")

    async def test_s58_sessions_are_forgotten_when_their_last_token_has_ended(self, open_store: OpenStore) -> None:
        store = await open_store()
        for expires_at in (999, 1000, 1001):
            await store.open_session(session(f"until {expires_at}", expires_at=expires_at))
        await store.purge(1000)
        assert [each.id for each in await store.sessions(user_id=None, after="", limit=10)] == ["until 1001"]
        assert [each.id for each in await store.sessions(user_id="1", after="", limit=10)] == ["until 1001"]
        assert await store.open_session(session("until 999"))

    async def test_the_feed_goes_on_after_a_purge_that_emptied_it(self, open_store: OpenStore) -> None:
        store, reader = await open_store(), await open_store()
        await store.revoke(revocation("a", 1000))
        position = (await reader.revocations_since(0)).position
        await store.purge(1000)
        quiet = await reader.revocations_since(position)
        assert (quiet.position, quiet.revocations) == (position, ())
        await store.revoke(revocation("b", 2000))
        assert (await reader.revocations_since(position)).revocations == (revocation("b", 2000),)
