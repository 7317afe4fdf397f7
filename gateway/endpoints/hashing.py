"""Password hashing off the event loop, in a bounded pool: a flood of log-ins must not stop the gateway.

Nor should it slow the gateway down. A hash is 16 ms of arithmetic without the interpreter's lock, and where there are
no more cores than threads, the scheduler makes the event loop, which has a little to do and often, wait for its turn
among them: so they are nicer than it is.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from gateway.auth.passwords import PasswordHasher
from gateway.errors import Reason, Refused

T = TypeVar("T")

# A tenth of the loop's share where both want the same core, all of it where the loop wants none (sched(7)).
_NICENESS: Final = 10


def _stand_back() -> None:
    """The calling thread, and those that argon2 starts from it. On Linux: elsewhere it would be the whole process."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a sandbox may forbid it, and log-ins go on
            os.nice(_NICENESS)


class HashingPool:
    """`workers` hashes at the same time, at most `queue` more may wait; what comes then is refused.

    A caller that is cancelled leaves the queue at once. A hash that already runs cannot be stopped: it keeps its place
    until it is done, so that the bound holds for threads and not only for callers.
    """

    def __init__(self, *, hasher: PasswordHasher, workers: int, queue: int) -> None:
        self._hasher = hasher
        self._executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="hashing", initializer=_stand_back)
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
