"""Orders between two ends in one process; between processes they are in tests/integration/test_reload.py."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator

import pytest

from gateway.server.orders import Dispatch, next_order

LONG = b"x" * 5_000_000  # more than any socket takes


class Source:
    """Gives what stands in `waiting`; counts."""

    interval = 60.0

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.asked: list[bool] = []
        self.obeyed = 0

    def next(self, *, is_asked: bool) -> bytes | None:
        self.asked.append(is_asked)
        return self.waiting.pop(0) if self.waiting else None

    def on_obeyed(self) -> None:
        self.obeyed += 1


class World:
    def __init__(self) -> None:
        self.source = Source()
        self.is_asked = False
        self.dispatch = Dispatch(self.source, lambda: self.is_asked)
        self.ends: list[socket.socket] = []

    def add(self, worker: int) -> socket.socket:
        ours, theirs = self.dispatch.open_line()
        self.dispatch.add(worker, ours)
        self.ends.append(theirs)
        return theirs

    def give(self, order: bytes) -> None:
        self.source.waiting.append(order)
        self.is_asked = True
        self.dispatch.look()
        self.is_asked = False


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.dispatch.close()
    for end in world.ends:
        end.close()


async def test_each_worker_gets_the_whole_order(world: World) -> None:
    ends = [world.add(worker) for worker in (1, 2)]
    world.dispatch.start()
    world.give(LONG)
    world.give(b"second")
    for end in ends:
        assert await next_order(end) == LONG
        assert await next_order(end) == b"second"


async def test_a_worker_may_wait_before_there_is_an_order(world: World) -> None:
    end = world.add(1)
    world.dispatch.start()
    waiting = asyncio.create_task(next_order(end))
    await asyncio.sleep(0)
    world.give(b"order")
    assert await waiting == b"order"


def test_it_is_over_when_all_have_carried_out_all(world: World) -> None:
    world.add(1)
    world.add(2)
    world.dispatch.start()
    world.give(b"first")
    world.give(b"second")
    world.dispatch.on_obeyed(1, 2)
    world.dispatch.on_obeyed(2, 1)
    world.dispatch.look()
    assert world.source.obeyed == 0
    world.dispatch.on_obeyed(2, 1)
    world.dispatch.look()
    world.dispatch.look()
    assert world.source.obeyed == 1


def test_the_dead_are_not_waited_for(world: World) -> None:
    world.add(1)
    world.add(2)
    world.dispatch.start()
    world.ends[1].close()
    world.give(b"order")
    world.dispatch.on_obeyed(1, 1)
    world.dispatch.look()
    assert world.source.obeyed == 1
    world.give(b"order")
    world.dispatch.remove(1)
    world.dispatch.look()
    assert world.source.obeyed == 2


def test_nobody_looks_before_the_start_nor_behind_the_end_and_what_was_asked_before_is_kept(world: World) -> None:
    world.is_asked = True
    world.dispatch.look()
    assert world.source.asked == []
    world.dispatch.start()
    world.dispatch.look()
    assert world.source.asked == [True]
    world.is_asked = False
    world.dispatch.look()
    assert world.source.asked == [True], "not before the interval is over"
    world.dispatch.start()
    world.dispatch.look()
    assert world.source.asked == [True, False]
    world.dispatch.stop()
    world.is_asked = True
    world.dispatch.look()
    assert world.source.asked == [True, False]


def test_a_worker_that_takes_no_order_is_killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    world.add(7)
    world.dispatch.start()
    while not killed:
        world.give(b"order")
    assert killed == [(7, signal.SIGKILL)]


async def test_without_a_supervisor_there_is_no_order(world: World) -> None:
    end = world.add(1)
    world.dispatch.remove(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await next_order(end)
