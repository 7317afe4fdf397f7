"""What every state store must do with events that wait for the audit trail; for the same test modules as
`store_behaviour`."""

import asyncio
import time

import pytest

from gateway.interfaces import AuditOutbox, WaitingEvent
from tests.unit.state.store_behaviour import OpenStore

LONG = 1000.0


async def take(outbox: AuditOutbox, *, limit: int = 100, lease: float = LONG) -> list[WaitingEvent]:
    return list(await outbox.take_events(limit=limit, lease=lease))


async def texts(outbox: AuditOutbox, *, lease: float = LONG) -> list[str]:
    return [event.text for event in await take(outbox, lease=lease)]


class OutboxBehaviour:
    async def test_what_one_puts_another_takes_in_its_order(self, open_store: OpenStore) -> None:
        command, gateway = await open_store(), await open_store()
        assert await take(gateway) == []
        for name in "bca":
            await command.put_event(name, f'{{"event":"{name}"}} \\ud800', wait=0)
        taken = await take(gateway)
        assert [(event.id, event.text, event.lost) for event in taken] == [
            (name, f'{{"event":"{name}"}} \\ud800', 0) for name in "bca"
        ]

    async def test_of_many_who_take_at_once_one_gets_an_event(self, open_store: OpenStore) -> None:
        handles = [await open_store() for _ in range(4)]
        for number in range(30):
            await handles[0].put_event(f"e{number}", "text", wait=0)
        rounds = await asyncio.gather(*(take(handles[number % 4], limit=7) for number in range(16)))
        assert max(map(len, rounds)) <= 7
        rest = await take(handles[0])  # engines may pass over what is being taken
        assert sorted(event.id for events in (*rounds, rest) for event in events) == sorted(f"e{n}" for n in range(30))

    async def test_what_is_settled_never_comes_again(self, open_store: OpenStore) -> None:
        one, other = await open_store(), await open_store()
        for name in "ab":
            await one.put_event(name, name, wait=0)
        first = await take(one, limit=1, lease=0)
        assert [event.id for event in first] == ["a"]
        await one.settle_events(first)
        assert await texts(other, lease=0) == ["b"]
        assert await texts(one, lease=0) == ["b"]

    async def test_what_its_taker_left_comes_again_when_the_lease_is_over(self, open_store: OpenStore) -> None:
        dead, living = await open_store(), await open_store()
        await dead.put_event("a", "a", wait=0)
        assert await texts(dead, lease=0.3) == ["a"]
        began = time.monotonic()
        while not (taken := await take(living)):
            assert time.monotonic() - began < 10
        assert [event.text for event in taken] == ["a"]
        await living.settle_events(taken)
        assert await take(living, lease=0) == []

    async def test_who_comes_late_settles_nothing_that_another_has_taken(self, open_store: OpenStore) -> None:
        slow, other = await open_store(), await open_store()
        await slow.put_event("a", "a", wait=0)
        late = await take(slow, lease=0)
        assert await texts(other, lease=0) == ["a"]
        await slow.settle_events(late)
        assert await texts(other) == ["a"]

    async def test_an_event_waits_until_its_outcome_is_known(self, open_store: OpenStore) -> None:
        command, gateway = await open_store(), await open_store()
        await command.put_event("a", "begun", wait=LONG)
        assert await take(gateway) == []
        await command.put_event("a", "done", wait=0)
        assert await texts(gateway) == ["done"]
        assert await take(gateway) == []

    async def test_an_outcome_that_never_came_is_told_in_time(self, open_store: OpenStore) -> None:
        command, gateway = await open_store(), await open_store()
        await command.put_event("a", "begun", wait=0.3)
        began = time.monotonic()
        while not (told := await texts(gateway)):
            assert time.monotonic() - began < 10
        assert told == ["begun"]

    async def test_an_outcome_that_comes_while_the_event_is_written_is_told_too(self, open_store: OpenStore) -> None:
        command, gateway = await open_store(), await open_store()
        await command.put_event("a", "begun", wait=0)
        taken = await take(gateway)
        await command.put_event("a", "done", wait=0)
        await gateway.settle_events(taken)
        assert await texts(gateway) == ["done"]

    async def test_what_is_withdrawn_is_never_told(self, open_store: OpenStore) -> None:
        command, gateway = await open_store(), await open_store()
        for name in "ab":
            await command.put_event(name, name, wait=0)
        await command.withdraw_event("a")
        await command.withdraw_event("never there")
        assert await texts(gateway) == ["b"]

    async def test_a_full_outbox_drops_the_first_and_says_how_many(
        self, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for engine in ("sqlite", "postgres", "redis"):
            monkeypatch.setattr(f"gateway.state.{engine}_outbox.MAX_WAITING_EVENTS", 3)
        store = await open_store()
        for number in range(3):
            await store.put_event(f"e{number}", f"{number}", wait=0)
        await store.put_event("e2", "2 again", wait=0)
        for number in range(3, 7):
            await store.put_event(f"e{number}", f"{number}", wait=0)
        taken = await take(store)
        assert [(event.text, event.lost) for event in taken] == [("4", 4), ("5", 0), ("6", 0)]
        await store.settle_events(taken)
        assert await take(store, lease=0) == []

    async def test_who_waits_for_news_hears_of_an_event_within_a_second(self, open_store: OpenStore) -> None:
        gateway, command = await open_store(), await open_store()
        await gateway.wait_for_revocations(0.01)
        putting = asyncio.create_task(command.put_event("a", "a", wait=0))
        began = time.monotonic()
        while not (told := await texts(gateway)):
            await gateway.wait_for_revocations(1.0)
            assert time.monotonic() - began < 10
        await putting
        assert told == ["a"]
