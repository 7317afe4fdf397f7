"""Attempts on real servers: what every store does, and how much of them a server may hold."""

import pytest

from gateway.interfaces import MAX_ATTEMPT_COUNTS
from gateway.redis.server import Script
from tests.redis_servers import LocalServer
from tests.unit.state.attempt_behaviour import LATER, NOW, AttemptBehaviour, digest, limit, take
from tests.unit.state.store_behaviour import OpenStore


@pytest.fixture
def open_store(open_redis_store: OpenStore) -> OpenStore:
    return open_redis_store


class TestRedisAttempts(AttemptBehaviour):
    pass


FILL = Script("""
    for number = 1, ARGV[1] do
        local forget_at = string.format('%.17g', ARGV[2] + number / 100000)
        redis.call('HSET', KEYS[1], 'id' .. number, '1 0 ' .. forget_at)
        redis.call('ZADD', KEYS[2], forget_at, 'id' .. number)
    end
""")


@pytest.mark.parametrize("now", [0, int(NOW)])
async def test_s83_a_purge_leaves_no_more_counts_than_there_may_be(
    open_store: OpenStore, redis_server: LocalServer, now: int
) -> None:
    store = await open_store()
    handle = redis_server.handle(timeout=20)
    await handle.run(FILL, [handle.key("attempts"), handle.key("attempt-ends")], MAX_ATTEMPT_COUNTS + 2500, NOW)
    await handle.close()
    await take(store, limit("a"), forget_at=LATER)
    await store.purge(now)
    for command in ("HLEN", "{test}:attempts"), ("ZCARD", "{test}:attempt-ends"):
        assert redis_server.ask(*command) == b":%d\r\n" % MAX_ATTEMPT_COUNTS
    assert await take(store, limit("a")) == 1.0  # what lasts longest stays


async def test_a_name_whose_addresses_have_all_expired_leaves_nothing(
    open_store: OpenStore, redis_server: LocalServer
) -> None:
    store = await open_store()
    for number, address in enumerate("abc"):
        await store.remember_address(digest("n"), digest(address), expires_at=1000 + number)
    await store.purge(1000)
    assert not await store.knows_address(digest("n"), digest("a"), now=0.0)
    assert await store.knows_address(digest("n"), digest("b"), now=0.0)
    await store.purge(1002)
    assert b"address" not in redis_server.ask("KEYS", "*")
