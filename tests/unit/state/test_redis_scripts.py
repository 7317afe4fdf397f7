"""What each script does to the keys, seen from a shell."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.redis.server import RedisServer
from gateway.state import redis_scripts as scripts
from tests.redis_servers import LocalServer

NEWS = b"{test}:news"


class Keys:
    """The scripts on the keys of the namespace `test`."""

    def __init__(self, handle: RedisServer) -> None:
        self.run, self.ask = handle.run, handle.ask
        self.prefix = handle.key("")
        self.sessions, self.ends = handle.key("sessions"), handle.key("session-ends")
        self.revoked, self.sequence = handle.key("revoked"), handle.key("sequence")
        self.revocations, self.revocation_ends = handle.key("revocations"), handle.key("revocation-ends")
        self.epoch, self.sweep = handle.key("epoch"), handle.key("sweep")

    async def revoke(self, name: str, expires_at: int = 1000, up_to: int = 0) -> Any:
        keys = [self.revoked, self.revocations, self.revocation_ends, self.sequence]
        return await self.run(scripts.REVOKE, keys, name, expires_at, up_to, NEWS)

    async def tell(self, position: int = 0, epoch: int = 0, limit: int = 100) -> list[Any]:
        keys = [self.revoked, self.revocations, self.sequence, self.epoch]
        told: list[Any] = await self.run(scripts.TELL, keys, position, epoch, limit)
        return told

    async def open(self, session_id: str, user: str = "u", rotated_at: int = 100, expires_at: int = 1000) -> Any:
        text = f"{rotated_at} 1 1 {expires_at} t {user} *  agent"
        return await self.run(
            scripts.OPEN, self.keys_of(session_id, user), session_id, text, expires_at, f"{user} {session_id}", 60_000
        )

    def keys_of(self, session_id: str, user: str) -> list[bytes]:
        session = self.prefix + b"session:" + session_id.encode()
        return [self.revoked, session, self.sessions, self.ends, self.prefix + b"user-sessions:" + user.encode()]

    async def find(self, session_id: str) -> Any:
        return await self.run(scripts.FIND, self.keys_of(session_id, "")[:2])

    async def ids(self) -> Any:
        return await self.ask("ZRANGE", self.sessions, 0, -1)

    async def all_keys(self) -> set[bytes]:
        return {key.removeprefix(self.prefix) for key in await self.ask("KEYS", "*")}


@pytest.fixture
async def keys(redis_server: LocalServer) -> AsyncIterator[Keys]:
    handle = redis_server.handle()
    yield Keys(handle)
    await handle.close()


async def test_revoke_writes_the_truth_its_number_and_its_end_and_tells(keys: Keys) -> None:
    assert await keys.revoke("token:a", 1000, 7) == 1
    assert await keys.ask("HGET", keys.revoked, "token:a") == b"1000 7"
    number = await keys.ask("GET", keys.sequence)
    assert await keys.ask("ZSCORE", keys.revocations, "token:a") == int(number)
    assert await keys.ask("ZSCORE", keys.revocation_ends, "token:a") == 1000
    seconds, microseconds = await keys.ask("TIME")
    assert abs(int(number) - int(seconds) * 1_000_000 - int(microseconds)) < 60_000_000


async def test_revoke_gives_no_number_twice_though_the_clock_stood_still_or_went_back(keys: Keys) -> None:
    ahead = 2**52
    await keys.ask("SET", keys.sequence, str(ahead))
    for number, name in enumerate("ab", start=1):
        await keys.revoke(name)
        assert await keys.ask("GET", keys.sequence) == str(ahead + number).encode()


async def test_revoke_keeps_what_lasts_longest_and_reaches_latest(keys: Keys) -> None:
    await keys.revoke("user:7", 1000, 50)
    number = await keys.ask("GET", keys.sequence)
    assert await keys.revoke("user:7", 900, 40) == 0
    assert await keys.ask("GET", keys.sequence) == number
    assert await keys.revoke("user:7", 900, 60) == 0
    assert await keys.revoke("user:7", 2000, 10) == 0
    assert await keys.ask("HGET", keys.revoked, "user:7") == b"2000 60"
    assert int(await keys.ask("GET", keys.sequence)) > int(number)
    assert await keys.ask("ZCARD", keys.revocations) == 1


async def test_tell_goes_on_behind_a_position_as_far_as_asked(keys: Keys) -> None:
    for name in ("token:a", "token:b", "token:c"):
        await keys.revoke(name)
    epoch, goes_on, last, reached, *told = await keys.tell(limit=2)
    assert (goes_on, told) == (0, [b"1000 0 token:a", b"1000 0 token:b"])
    assert int(reached) < int(last)
    assert await keys.tell(int(reached), int(epoch)) == [epoch, 1, last, last, b"1000 0 token:c"]
    assert await keys.tell(int(last), int(epoch)) == [epoch, 1, last, last]


async def test_tell_begins_anew_in_another_epoch_and_behind_a_number_that_was_never_given(keys: Keys) -> None:
    await keys.revoke("token:a")
    epoch, _, last, *_ = await keys.tell()
    for position, of in ((int(last), int(epoch) + 1), (int(last) + 1, int(epoch))):
        assert await keys.tell(position, of) == [epoch, 0, last, last, b"1000 0 token:a"]
    await keys.ask("FLUSHALL")
    another, goes_on, *rest = await keys.tell(int(last), int(epoch))
    assert (goes_on, rest) == (0, [b"0", b"0"])
    assert int(another) > int(epoch)


async def test_what_has_expired_of_revocations_leaves_all_three_places_in_batches(keys: Keys) -> None:
    for expires_at in (998, 999, 1000, 1001):
        await keys.revoke(f"token:{expires_at}", expires_at)
    places = [keys.revoked, keys.revocations, keys.revocation_ends]
    assert [await keys.run(scripts.PURGE_REVOCATIONS, places, 1000, 2) for _ in range(3)] == [2, 1, 0]
    assert await keys.ask("HKEYS", keys.revoked) == [b"token:1001"]
    for key in places[1:]:
        assert await keys.ask("ZRANGE", key, 0, -1) == [b"token:1001"]


async def test_open_puts_a_session_into_every_index_once(keys: Keys) -> None:
    assert [await keys.open("s"), await keys.open("s", "another")] == [1, 0]
    assert await keys.all_keys() == {b"session:s", b"sessions", b"session-ends", b"user-sessions:u"}
    assert await keys.ask("ZRANGE", keys.ends, 0, -1, "WITHSCORES") == [b"u s", b"1000"]
    for key in (b"session:s", b"user-sessions:u"):
        assert 50_000 < await keys.ask("PTTL", keys.prefix + key) <= 60_000


async def test_replace_asks_for_the_token_and_nothing_else(keys: Keys) -> None:
    await keys.open("s")
    text = "200 1 1 2000 t1 u t  agent"

    async def replace(token: str) -> Any:
        return await keys.run(scripts.REPLACE, keys.keys_of("s", "u"), "s", text, 2000, "u s", 60_000, token)

    assert [await replace("T"), await replace("t"), await replace("t")] == [0, 1, 0]
    assert await keys.find("s") == text.encode()
    assert await keys.ask("ZSCORE", keys.ends, "u s") == 2000


@pytest.mark.parametrize(
    ("name", "up_to", "is_over"),
    [
        ("everything:", 100, True),
        ("everything:", 99, False),
        ("user:a b%", 100, True),
        ("user:a b%", 99, False),
        ("user:a%20b%25", 100, False),
    ],
)
async def test_a_session_is_over_with_everything_or_all_of_its_user_up_to_the_moment(
    keys: Keys, name: str, up_to: int, is_over: bool
) -> None:
    await keys.open("s", "a%20b%25", rotated_at=100)
    await keys.revoke(name, up_to=up_to)
    listed = await keys.run(scripts.LIST, [keys.revoked, keys.sessions], keys.prefix, "-", 10)
    found = await keys.find("s")
    assert (found is None) == is_over
    assert listed == ([b"s"] if is_over else [b"s", b"s", found])
    assert await keys.open("s", "a%20b%25", rotated_at=101) == is_over


async def test_list_looks_at_as_many_as_it_is_told_and_says_how_far(keys: Keys) -> None:
    for name in "abcd":
        await keys.open(name)
    await keys.ask("DEL", keys.prefix + b"session:b")

    async def names(bound: str) -> tuple[bytes, list[bytes]]:
        last, *told = await keys.run(scripts.LIST, [keys.revoked, keys.sessions], keys.prefix, bound, 2)
        return last, told[::2]

    assert await names("-") == (b"b", [b"a"])
    assert await names("(b") == (b"d", [b"c", b"d"])
    assert await keys.run(scripts.LIST, [keys.revoked, keys.sessions], keys.prefix, "(d", 2) == []


async def test_the_end_of_a_session_leaves_nothing_of_it(keys: Keys) -> None:
    await keys.open("s")
    for _ in range(2):
        await keys.run(scripts.END_SESSION, [keys.sessions, keys.ends], keys.prefix, "s")
        assert await keys.all_keys() == set()


async def test_a_sweep_goes_on_where_the_last_one_was_and_stops_at_the_end(keys: Keys) -> None:
    places = [keys.sessions, keys.ends, keys.revoked, keys.sweep]

    async def step() -> Any:
        return await keys.run(scripts.SWEEP, places, keys.prefix, 2)

    for name, rotated_at in (("a", 100), ("b", 101), ("c", 100), ("d", 101), ("e", 100)):
        await keys.open(name, rotated_at=rotated_at)
    assert await step() == 0
    await keys.revoke("everything:", up_to=100)
    assert [await step() for _ in range(5)] == [2, 2, 1, 0, 0]
    assert await keys.ids() == [b"b", b"d"]
    await keys.open("aa", rotated_at=101)
    assert await step() == 0
    await keys.revoke("everything:", up_to=101)
    assert [await step() for _ in range(3)] == [2, 1, 0]
    assert await keys.ids() == []
    await keys.ask("HDEL", keys.revoked, "everything:")
    assert await step() == 0
    assert await keys.ask("EXISTS", keys.sweep) == 0


async def test_a_purge_takes_sessions_that_are_over_and_spares_one_that_was_opened_anew(keys: Keys) -> None:
    for name, expires_at in (("a", 999), ("b", 1000), ("c", 1001)):
        await keys.open(name, expires_at=expires_at)
    await keys.ask("DEL", keys.prefix + b"session:a")
    await keys.open("a", "another", expires_at=1001)  # of another user, since Redis forgot it
    assert await keys.run(scripts.PURGE_SESSIONS, [keys.sessions, keys.ends], keys.prefix, 1000, 10) == 2
    assert await keys.ids() == [b"a", b"c"]
    assert await keys.ask("ZRANGE", keys.ends, 0, -1) == [b"another a", b"u c"]
