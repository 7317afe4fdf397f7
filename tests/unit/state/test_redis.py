"""Sessions and revocations on real servers: what every store does, and what only a server can suffer."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.redis.server import Script
from gateway.state.redis import RedisStateStore
from gateway.types import RevokedKind
from tests.redis_servers import BINARIES, LocalServer
from tests.unit.state.attempt_behaviour import LATER, NOW, digest, limit
from tests.unit.state.store_behaviour import (
    EVERYTHING,
    SESSION,
    TOKEN,
    USER,
    OpenStore,
    StoreBehaviour,
    is_revoked,
    price_ratio,
    revocation,
    rotated,
    session,
    token,
)


@pytest.fixture
def open_store(open_redis_store: OpenStore) -> OpenStore:
    return open_redis_store


class TestRedisStateStore(StoreBehaviour):
    pass


@pytest.fixture(params=sorted(BINARIES))
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalServer]:
    """For a test that ends it."""
    server = LocalServer(request.param, tmp_path)
    yield server
    server.kill()


@contextlib.asynccontextmanager
async def opened(server: LocalServer, url: str = "") -> AsyncIterator[RedisStateStore]:
    store = RedisStateStore(server.handle(url=url))
    try:
        await store.prepare()
        yield store
    finally:
        await store.close()


async def restart(server: LocalServer) -> None:
    server.kill()
    server.start()
    for _ in range(5):
        await asyncio.sleep(0)  # the loop is told that the connections have ended


async def use_all(store: RedisStateStore) -> None:
    """Whatever a gateway does with it."""
    await store.open_session(session())
    await store.find_session("s")
    await store.replace_session(session(), rotated(session(), "t1"))
    await store.sessions(user_id=None, after="", limit=1)
    await store.sessions(user_id="1", after="", limit=1)
    for kind in (TOKEN, SESSION, USER, EVERYTHING):
        await store.revoke(revocation("s", kind=kind))
    await store.is_revoked(token("s", "s", "s", 0))
    await store.revocations_since(0)
    await store.wait_for_revocations(0.01)
    await store.take_attempt([limit("a"), limit("b")], now=NOW, forget_at=LATER)
    await store.settle_attempt(forget=[digest("a")], give_back=[digest("b")])
    await store.remember_address(digest("n"), digest("a"), expires_at=1000)
    await store.knows_address(digest("n"), digest("a"), now=0.0)
    await store.put_event("e", "text", wait=0)
    await store.withdraw_event("none")
    await store.settle_events(await store.take_events(limit=1, lease=1))
    await store.purge(2000)


# Ends of a server


async def test_s58_with_an_append_only_file_no_acknowledged_change_is_lost_by_a_kill(own_server: LocalServer) -> None:
    own_server.start("--appendonly", "yes", "--appendfsync", "always")
    acknowledged: list[str] = []

    async def go_on_revoking(store: RedisStateStore, name: str) -> None:
        for number in range(100_000):
            await store.revoke(revocation(f"{name}{number}"))
            acknowledged.append(f"{name}{number}")

    async with opened(own_server) as store:
        await store.open_session(session())
        writing = [asyncio.create_task(go_on_revoking(store, name)) for name in "abcd"]
        while len(acknowledged) < 200:
            await asyncio.sleep(0)
        own_server.kill()
        for outcome in await asyncio.gather(*writing, return_exceptions=True):
            assert isinstance(outcome, StoreUnavailable)
        own_server.start("--appendonly", "yes", "--appendfsync", "always")
        recorded = {each.id for each in (await store.revocations_since(0)).revocations}
        assert recorded >= set(acknowledged)
        assert len(recorded) <= len(acknowledged) + 4
        assert await store.find_session("s") == session()


async def test_what_is_lost_with_a_server_that_saves_nothing_and_what_comes_after_it(own_server: LocalServer) -> None:
    own_server.start()
    async with opened(own_server) as store:
        await store.open_session(session())
        for name in "abc":
            await store.revoke(revocation(name))
        position = (await store.revocations_since(0)).position
        await restart(own_server)
        assert await store.find_session("s") is None
        assert not await is_revoked(store, TOKEN, "a")
        # Fewer than were there before: by their numbers alone they would be old.
        await store.revoke(revocation("d"))
        news = await store.revocations_since(position)
        assert news.revocations == (revocation("d"),)
        assert news.begins_anew
        assert (await store.revocations_since(news.position)).revocations == ()


@pytest.mark.parametrize("recorded_after", [0, 1, 50])
async def test_a_store_that_was_emptied_tells_all_that_is_recorded_in_it_and_the_log_says_so(
    open_store: OpenStore, redis_server: LocalServer, caplog: pytest.LogCaptureFixture, recorded_after: int
) -> None:
    store, other = await open_store(), await open_store()
    for number in range(10):
        await store.revoke(revocation(f"before {number}"))
    await store.open_session(session())
    position = (await store.revocations_since(0)).position
    redis_server.ask("FLUSHALL")
    caplog.clear()
    after = tuple(revocation(f"after {number}") for number in range(recorded_after))
    for each in after:
        await other.revoke(each)
    news = await store.revocations_since(position)
    assert (news.revocations, news.begins_anew) == (after, True)
    news = await store.revocations_since(news.position)
    assert (news.revocations, news.begins_anew) == ((), False)
    [record] = caplog.records
    assert "store_emptied" in record.getMessage()
    assert "has lost all that it was told" in record.getMessage()
    assert await store.find_session("s") is None
    assert not await store.replace_session(session(), rotated(session(), "t1"))
    assert await store.open_session(session())


async def test_a_snapshot_that_is_put_back_hides_nothing_that_is_recorded_after_it(own_server: LocalServer) -> None:
    own_server.start()
    async with opened(own_server) as store:
        await store.revoke(revocation("a"))
        own_server.ask("SAVE")
        for name in "bcd":
            await store.revoke(revocation(name))
        position = (await store.revocations_since(0)).position
        await restart(own_server)
        assert (await store.revocations_since(position)).revocations == (revocation("a"),)
        assert (await store.revocations_since(position)).begins_anew
        await store.revoke(revocation("e"))
        assert (await store.revocations_since(position)).revocations == (revocation("e"),)


async def test_s58_a_server_that_was_set_back_is_found_out_also_when_it_has_been_told_more_since(
    own_server: LocalServer, caplog: pytest.LogCaptureFixture
) -> None:
    own_server.start()
    async with opened(own_server) as store, opened(own_server) as other:
        await store.revoke(revocation("kept"))
        own_server.ask("SAVE")
        await store.revoke(revocation("lost"))
        await store.wait_for_revocations(20)  # listens from now on
        position = (await store.revocations_since(0)).position
        await restart(own_server)
        await other.revoke(revocation("later"))  # its number is greater than the position
        news = await store.revocations_since(position)
        while not news.begins_anew:  # until the end of the connection is noticed
            await store.wait_for_revocations(0.01)
            news = await store.revocations_since(position)
        assert news.revocations == (revocation("kept"), revocation("later"))
        assert not (await store.revocations_since(news.position)).begins_anew
        assert "store_emptied" not in caplog.text  # perhaps nothing was lost


async def test_a_store_that_is_down_is_unavailable_in_every_method(own_server: LocalServer) -> None:
    own_server.start()
    async with opened(own_server) as store:
        own_server.kill()
        for use in (
            store.revoke(revocation("b")),
            store.is_revoked(token("a")),
            store.revocations_since(0),
            store.purge(2000),
            store.open_session(session()),
            store.find_session("s"),
            store.replace_session(session(), rotated(session(), "t1")),
            store.sessions(user_id=None, after="", limit=1),
            store.take_attempt([limit("a")], now=NOW, forget_at=LATER),
            store.settle_attempt(forget=[digest("a")], give_back=[]),
            store.remember_address(digest("n"), digest("a"), expires_at=1),
            store.knows_address(digest("n"), digest("a"), now=0.0),
        ):
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                await use
        own_server.start()
        await use_all(store)


# What is where

ACL = (
    "resetchannels &{test}:news ~{test}:* "
    "-@all +@read +@write +@connection +@scripting +@pubsub -@dangerous +time +info +client|setname"
)


async def test_the_rights_that_the_page_names_are_enough(redis_server: LocalServer) -> None:
    page = Path(__file__).parents[3].joinpath("docs/state.md").read_text()
    assert ACL.replace("{test}", "{gateway}") in page
    redis_server.ask("ACL", "SETUSER", "limited", "on", ">p", *ACL.split())
    async with opened(redis_server, f"unix://limited:p@{redis_server.socket_path}") as store:
        await use_all(store)


async def test_all_keys_are_in_one_slot_and_none_is_left_when_all_is_over(
    open_store: OpenStore, redis_server: LocalServer
) -> None:
    store = await open_store()
    await use_all(store)
    for number in range(300):
        opened = session(f"s{number}", str(number % 7))
        await store.open_session(opened)
        await store.replace_session(opened, rotated(opened, "t1"))
        await store.revoke(revocation(f"t{number}", kind=(TOKEN, SESSION, USER)[number % 3], up_to=50))
        await store.take_attempt([limit(chr(number))], now=NOW, forget_at=LATER)
        await store.remember_address(chr(number).encode() * 32, digest("a"), expires_at=1000)
    keys = redis_server.ask("KEYS", "*").split(b"\r\n")[2::2]
    assert len(keys) > 600
    assert all(key.startswith(b"{test}:") for key in keys)
    await store.purge(int(LATER) + 1)
    assert set(redis_server.ask("KEYS", "*").split(b"\r\n")[2::2]) == {
        b"{test}:version",
        b"{test}:sequence",
        b"{test}:epoch",
    }


async def test_s58_sessions_end_by_themselves_and_revocations_never(
    open_store: OpenStore, redis_server: LocalServer
) -> None:
    store = await open_store()
    await store.open_session(session("short"))
    await store.open_session(session("long", expires_at=100_000))
    await store.open_session(session("past", expires_at=1))
    await store.revoke(revocation("a"))
    # Last used at 100, and an hour more than it lasts.
    for key, expected in (
        ("session:short", 900 + 3600),
        ("session:long", 99_900 + 3600),
        ("session:past", 3600),
        ("user-sessions:1", 99_900 + 3600),
    ):
        assert expected - 60 < int(redis_server.ask("TTL", f"{{test}}:{key}")[1:]) <= expected
    for key in ("revoked", "revocations", "revocation-ends", "sequence", "version"):
        assert redis_server.ask("TTL", f"{{test}}:{key}") == b":-1\r\n"


async def test_sessions_that_the_server_forgot_are_not_listed_and_make_no_page_shorter(
    open_store: OpenStore, redis_server: LocalServer
) -> None:
    store = await open_store()
    for number in range(20):
        await store.open_session(session(f"s{number:02}"))
    for number in range(20):
        if number % 3:
            redis_server.ask("DEL", f"{{test}}:session:s{number:02}")
    for user_id in (None, "1"):
        ids = [each.id for each in await store.sessions(user_id=user_id, after="", limit=5)]
        assert ids == ["s00", "s03", "s06", "s09", "s12"]
        assert [each.id for each in await store.sessions(user_id=user_id, after="s12", limit=5)] == ["s15", "s18"]
    assert await store.open_session(session("s01", "2"))
    await store.revoke(revocation("", kind=EVERYTHING, up_to=100))
    await store.purge(0)
    assert redis_server.ask("ZCARD", "{test}:sessions") == b":0\r\n"


async def test_more_than_a_script_does_at_once(open_store: OpenStore) -> None:
    store = await open_store()
    expected = tuple(revocation(f"{number}", 1000 + number) for number in range(777))
    for each in expected:
        await store.revoke(each)
        await store.open_session(session(f"s{each.id}", rotated_at=each.expires_at, expires_at=5000))
    news = await store.revocations_since(0)
    assert news.revocations == expected
    await store.purge(1500)
    assert (await store.revocations_since(0)).revocations == expected[501:]
    await store.revoke(revocation("1", kind=USER, up_to=1699))
    assert len(await store.sessions(user_id="1", after="", limit=1000)) == 77
    await store.revoke(revocation("", kind=EVERYTHING, up_to=1750))
    left = await store.sessions(user_id=None, after="", limit=1000)
    assert [each.rotated_at for each in left] == list(range(1751, 1777))


async def test_s55_of_a_thousand_who_rotate_one_session_one_succeeds(open_store: OpenStore) -> None:
    handles = [await open_store() for _ in range(4)]
    await handles[0].open_session(session())
    rotating = [handles[n % 4].replace_session(session(), rotated(session(), f"t{n + 1}")) for n in range(1000)]
    won = await asyncio.gather(*rotating)
    assert sum(won) == 1
    assert await handles[2].find_session("s") == rotated(session(), f"t{won.index(True) + 1}")


# Many

FILL = Script("""
    for number = ARGV[2], ARGV[3] do
        local id, user = string.format('%032x', number * 7919), number % ARGV[4]
        redis.call('SET', ARGV[1] .. 'session:' .. id, '1 1 1 9999 t ' .. user .. ' *  ')
        redis.call('ZADD', ARGV[1] .. 'sessions', 0, id)
        redis.call('ZADD', ARGV[1] .. 'session-ends', 9999, user .. ' ' .. id)
        redis.call('ZADD', ARGV[1] .. 'user-sessions:' .. user, 0, id)
    end
""")


async def fill(server: LocalServer, sessions: int, *, users: int = 5000) -> None:
    handle = server.handle(timeout=20)
    for first in range(0, sessions, 10_000):
        await handle.run(FILL, [], handle.key(""), 1000 + first, 1000 + first + 9_999, users)
    await handle.close()


async def test_a_session_costs_the_same_beside_many_others(open_store: OpenStore, redis_server: LocalServer) -> None:
    beside, alone = await open_store(), RedisStateStore(redis_server.handle(namespace="alone"))
    await alone.prepare()
    await fill(redis_server, 100_000)
    assert await price_ratio(beside, alone) < 3
    await alone.close()


@pytest.mark.parametrize("kind", [USER, EVERYTHING])
async def test_to_end_many_sessions_costs_the_server_what_one_costs(
    open_store: OpenStore, redis_server: LocalServer, kind: RevokedKind
) -> None:
    store = await open_store()
    await fill(redis_server, 20_000, users=1)
    await store.revoke(revocation("warm up"))
    redis_server.ask("CONFIG", "RESETSTAT")
    assert await store.revoke(revocation("0" if kind is USER else "", 5000, kind, up_to=100))
    calls = re.findall(rb"cmdstat_\S+:calls=(\d+)", redis_server.ask("INFO", "commandstats"))
    assert 0 < sum(map(int, calls)) < 20
    for user_id in (None, "0"):
        assert await store.sessions(user_id=user_id, after="", limit=1) == []


async def test_what_was_ended_with_everything_is_swept_by_all_who_purge_and_lets_others_in_between(
    open_store: OpenStore, redis_server: LocalServer
) -> None:
    one, two, other = await open_store(), await open_store(), await open_store()
    await fill(redis_server, 20_000)
    await one.open_session(session("later", rotated_at=101))
    await one.revoke(revocation("", 5000, EVERYTHING, up_to=100))
    redis_server.ask("CONFIG", "RESETSTAT")
    sweeping = [asyncio.create_task(store.purge(500)) for store in (one, two)]
    looks = 0
    while not all(each.done() for each in sweeping):
        await is_revoked(other, TOKEN, "a")
        looks += 1
    assert looks >= 100  # 200 steps; one for all would have let one or two pass
    deleted = re.search(rb"cmdstat_del:calls=(\d+)", redis_server.ask("INFO", "commandstats"))
    assert deleted is not None
    assert int(deleted[1]) == 20_000
    assert redis_server.ask("ZRANGE", "{test}:sessions", "0", "-1") == b"*1\r\n$5\r\nlater\r\n"
    assert redis_server.ask("KEYS", "*user-sessions*") == b"*1\r\n$22\r\n{test}:user-sessions:1\r\n"
    # Those who were opened since are not looked at again and again, but for a later moment.
    redis_server.ask("CONFIG", "RESETSTAT")
    await one.purge(500)
    assert b"cmdstat_zrangebylex" not in redis_server.ask("INFO", "commandstats")
    await two.revoke(revocation("", 5000, EVERYTHING, up_to=101))
    await one.purge(500)
    assert redis_server.ask("ZCARD", "{test}:sessions") == b":0\r\n"


async def test_a_session_that_was_ended_may_be_opened_anew(open_store: OpenStore) -> None:
    store = await open_store()
    for kind, user_id in ((USER, "1 %"), (EVERYTHING, "")):
        opened = session(user_id="1 %", rotated_at=100)
        await store.open_session(opened)
        await store.revoke(revocation(user_id, 5000, kind, up_to=100))
        assert await store.find_session("s") is None
        assert not await store.replace_session(opened, rotated(opened, "t1"))
        assert await store.open_session(session(user_id="1 %", rotated_at=101))
        assert await store.find_session("s") == session(user_id="1 %", rotated_at=101)
        await store.revoke(revocation("s", kind=SESSION))
