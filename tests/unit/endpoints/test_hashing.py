import asyncio
import os
import sys
import threading

import pytest

from gateway.auth.passwords import PasswordHasher
from gateway.endpoints.hashing import HashingPool
from gateway.errors import Reason, Refused


class Gate(PasswordHasher):
    """A real hasher that waits for permission, so that a test decides how long a hash takes."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8 * 1024, parallelism=1)
        self.permission = threading.Event()
        self.running = threading.Semaphore(0)
        self.begun = 0
        self.niceness = 0

    def verify(self, encoded: str | None, password: str) -> bool:
        self.begun += 1
        self.niceness = os.getpriority(os.PRIO_PROCESS, 0)  # the calling thread's
        self.running.release()
        assert self.permission.wait(10)
        return super().verify(encoded, password)


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def begin(pool: HashingPool, count: int) -> list[asyncio.Task[bool]]:
    tasks = [asyncio.create_task(pool.verify(None, "x")) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_hash_and_verify() -> None:
    pool = HashingPool(hasher=PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1), workers=1, queue=0)
    encoded = await pool.hash("secret")
    assert await pool.verify(encoded, "secret")
    assert not await pool.verify(encoded, "Secret")
    assert not await pool.verify(None, "secret")
    assert not pool.needs_rehash(encoded)
    pool.close()


async def test_s49_the_queue_is_bounded(gate: Gate) -> None:
    pool = HashingPool(hasher=gate, workers=2, queue=3)
    tasks = await begin(pool, pool.capacity)
    assert len(tasks) == 5
    for _ in range(2):
        with pytest.raises(Refused) as refusal:
            await pool.verify(None, "x")
        assert refusal.value.reason is Reason.OVERLOADED
    gate.permission.set()
    assert await asyncio.gather(*tasks) == [False] * 5
    assert await pool.verify(None, "x") is False
    pool.close()


async def test_who_is_cancelled_while_waiting_leaves_the_queue(gate: Gate) -> None:
    pool = HashingPool(hasher=gate, workers=1, queue=1)
    [first, waiting] = await begin(pool, 2)
    await asyncio.to_thread(gate.running.acquire)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    [other] = await begin(pool, 1)
    gate.permission.set()
    assert await asyncio.gather(first, other) == [False, False]
    assert gate.begun == 2
    pool.close()


async def test_a_running_hash_keeps_its_place_when_its_caller_is_cancelled(gate: Gate) -> None:
    pool = HashingPool(hasher=gate, workers=1, queue=0)
    [running] = await begin(pool, 1)
    await asyncio.to_thread(gate.running.acquire)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(Refused):
        await pool.verify(None, "x")
    gate.permission.set()
    async with asyncio.timeout(5):
        while True:
            try:
                assert await pool.verify(None, "x") is False
            except Refused:
                await asyncio.sleep(0.001)
            else:
                break
    pool.close()


async def test_an_error_frees_the_place() -> None:
    class Broken(PasswordHasher):
        def hash(self, password: str) -> str:
            raise MemoryError

    pool = HashingPool(hasher=Broken(time_cost=1, memory_cost=8 * 1024, parallelism=1), workers=1, queue=0)
    for _ in range(3):
        with pytest.raises(MemoryError):
            await pool.hash("x")
    pool.close()


async def test_a_closed_pool_refuses_and_drops_what_waits(gate: Gate) -> None:
    pool = HashingPool(hasher=gate, workers=1, queue=2)
    [running, waiting] = await begin(pool, 2)
    await asyncio.to_thread(gate.running.acquire)
    pool.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(Refused):
        await pool.verify(None, "x")
    gate.permission.set()
    assert await running is False


async def test_s49_hashes_let_the_event_loop_go_first(gate: Gate) -> None:
    pool = HashingPool(hasher=gate, workers=1, queue=0)
    gate.permission.set()
    before = os.getpriority(os.PRIO_PROCESS, 0)
    await pool.verify(None, "x")
    assert gate.niceness == (min(before + 10, 19) if sys.platform == "linux" else before)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
    pool.close()
