"""One at a time of each key, in the order of coming; nothing is left of those who have gone."""

import asyncio

import pytest

from gateway.endpoints.turns import Turns


class Scene:
    """Those who come note it when they are inside, and leave when they are told to."""

    def __init__(self, most: int = 10) -> None:
        self.turns = Turns(most=most)
        self.inside: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}

    async def come(self, name: str, key: bytes = b"a") -> "asyncio.Task[None]":
        task = asyncio.create_task(self._stay(name, key))
        await self._settle()
        return task

    async def leave(self, name: str) -> None:
        self._ends[name].set()
        await self._settle()

    async def _stay(self, name: str, key: bytes) -> None:
        end = self._ends[name] = asyncio.Event()
        async with self.turns.of(key):
            self.inside.append(name)
            try:
                await end.wait()
            finally:
                self.inside.remove(name)

    async def _settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_one_after_the_other_in_the_order_of_coming() -> None:
    scene = Scene()
    for name in ("one", "two", "three"):
        await scene.come(name)
    for name in ("one", "two", "three"):
        assert scene.inside == [name]
        await scene.leave(name)
    assert (scene.inside, len(scene.turns)) == ([], 0)


async def test_keys_do_not_wait_for_each_other() -> None:
    scene = Scene()
    await scene.come("one", b"a")
    await scene.come("two", b"b")
    assert scene.inside == ["one", "two"]
    assert len(scene.turns) == 2
    await scene.leave("one")
    await scene.leave("two")
    assert len(scene.turns) == 0


async def test_who_gives_up_waiting_is_passed_over_and_who_fails_inside_makes_room() -> None:
    scene = Scene()
    first = await scene.come("first")
    second = await scene.come("second")
    await scene.come("third")
    second.cancel()
    await asyncio.wait([second])
    assert scene.inside == ["first"]
    first.cancel()
    await asyncio.wait([first])
    await scene.leave("second")
    assert scene.inside == ["third"]
    await scene.leave("third")
    assert len(scene.turns) == 0


@pytest.mark.parametrize("most", [0, 1, 2])
async def test_s83_as_many_may_wait_as_are_allowed_and_whoever_need_not_wait(most: int) -> None:
    scene = Scene(most=most)
    await scene.come("inside")
    for number in range(most):
        assert scene.turns.has_room(b"a")
        await scene.come(f"waits {number}")
    assert not scene.turns.has_room(b"a")
    assert scene.turns.has_room(b"b")
    await scene.leave("inside")
    assert scene.turns.has_room(b"a") == (most > 0 or len(scene.turns) == 0)
    for number in range(most):
        await scene.leave(f"waits {number}")
    assert scene.turns.has_room(b"a")
