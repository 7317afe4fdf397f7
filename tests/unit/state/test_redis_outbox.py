"""The outbox on real servers: what every store does, and what only Redis does by itself."""

import time

import pytest

from tests.redis_servers import LocalServer
from tests.unit.state.outbox_behaviour import OutboxBehaviour, texts
from tests.unit.state.store_behaviour import OpenStore


@pytest.fixture
def open_store(open_redis_store: OpenStore) -> OpenStore:
    return open_redis_store


class TestRedisOutbox(OutboxBehaviour):
    pass


async def test_an_event_ends_a_wait_at_once(open_store: OpenStore) -> None:
    gateway, command = await open_store(), await open_store()
    await gateway.wait_for_revocations(20)  # begins to listen, which is news
    began = time.monotonic()
    await command.put_event("a", "text", wait=0)
    await gateway.wait_for_revocations(20)
    assert time.monotonic() - began < 10


async def test_what_was_evicted_is_gone_and_hinders_nobody(
    open_store: OpenStore, redis_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.state.redis_outbox.MAX_WAITING_EVENTS", 2)
    store = await open_store()
    for name in "ab":
        await store.put_event(name, name, wait=0)
    redis_server.ask("DEL", "{test}:audit-events")
    await store.put_event("c", "c", wait=0)
    assert await texts(store) == ["c"]
    assert redis_server.ask("ZCARD", "{test}:audit-times") == b":1\r\n"
