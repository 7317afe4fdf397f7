"""Password hashing off the event loop, in a bounded pool: a flood of log-ins must not stop the gateway."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from gateway.auth.passwords import PasswordHasher
from gateway.errors import Reason, Refused

T = TypeVar("T")


class HashingPool:
    """`workers` hashes at the same time, at most `queue` more may wait; what comes then is refused.

    A caller that is cancelled leaves the queue at once. A hash that already runs cannot be stopped: it keeps its place
    until it is done, so that the bound holds for threads and not only for callers.
    """

    def __init__(self, *, hasher: PasswordHasher, workers: int, queue: int) -> None:
        self._hasher = hasher
        self._executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="hashing")
        self.capacity = workers + queue
        self._places = threading.BoundedSemaphore(self.capacity)

    async def verify(self, encoded: str | None, password: str) -> bool:
        """`PasswordHasher.verify`. Raises `Refused` (OVERLOADED) when the queue is full."""
        return await self._run(lambda: self._hasher.verify(encoded, password))

    async def hash(self, password: str) -> str:
        """`PasswordHasher.hash`. Raises `Refused` (OVERLOADED) when the queue is full."""
        return await self._run(lambda: self._hasher.hash(password))

    def needs_rehash(self, encoded: str) -> bool:
        return self._hasher.needs_rehash(encoded)

    def close(self) -> None:
        """Drop what waits; returns without waiting for the hashes that run."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise Refused(Reason.OVERLOADED)
        try:
            future = self._executor.submit(work)
        except RuntimeError:  # closed while the last log-ins were coming in
            self._places.release()
            raise Refused(Reason.OVERLOADED) from None
        future.add_done_callback(self._leave)  # called on a cancelled future, too
        return await asyncio.wrap_future(future)

    def _leave(self, _future: "Future[T]") -> None:
        self._places.release()
