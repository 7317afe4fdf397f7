"""One after the other: those who do the same thing at the same moment, each with a key for what it is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Turns:
    """No more than `most` wait for their turn, all keys together."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._waiting = 0
        self._locks: dict[bytes, asyncio.Lock] = {}
        self._present: dict[bytes, int] = {}

    def has_room(self, key: bytes) -> bool:
        """Whether one more may wait, or would not have to."""
        return key not in self._locks or self._waiting < self._most

    @contextlib.asynccontextmanager
    async def of(self, key: bytes) -> AsyncIterator[None]:
        """Inside is one at a time of each key, in the order of coming. To be asked for only where there is room."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        self._present[key] = self._present.get(key, 0) + 1
        try:
            self._waiting += 1
            try:
                await lock.acquire()
            finally:
                self._waiting -= 1
            try:
                yield
            finally:
                lock.release()
        finally:
            self._present[key] -= 1
            if not self._present[key]:
                del self._present[key], self._locks[key]

    def __len__(self) -> int:
        return len(self._locks)
