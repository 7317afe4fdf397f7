"""A channel of a Redis server, on which others tell that there is something new. A poll brings what it missed."""

import asyncio
from typing import Any, Final

import redis.exceptions
from redis.asyncio import BlockingConnectionPool, Redis

from gateway.tasks import spawn

_PROBE_SECONDS: Final = 15  # a connection that is dead without knowing it is found out


class News:
    """Listens on a connection of its own from the first `wait` on, and again after a failure from the next one.

    `interruptions`: how often it had heard something and then lost its connection.
    """

    def __init__(self, pool: BlockingConnectionPool, *, channel: bytes) -> None:
        self._client = Redis(connection_pool=pool)
        self._channel = channel
        self._listening: asyncio.Task[Any] | None = None
        self._has_arrived = asyncio.Event()
        self.interruptions = 0

    async def wait(self, seconds: float) -> None:
        """Return when something was told since the last time, after `seconds` at the latest. Never fails."""
        if self._listening is None or self._listening.done():
            self._listening = spawn(self._listen(), name="redis news")
        try:
            async with asyncio.timeout(seconds):
                await self._has_arrived.wait()
        except TimeoutError:
            return
        self._has_arrived.clear()

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        await self._client.connection_pool.disconnect()

    async def _listen(self) -> None:
        # Whatever goes wrong here the next poll meets, too, and that one tells.
        has_begun = False
        try:
            async with self._client.pubsub() as subscription:
                await subscription.subscribe(self._channel)
                while True:
                    # The answer to SUBSCRIBE is news: something may have been told before it.
                    message = await subscription.get_message(timeout=_PROBE_SECONDS)
                    has_begun = True
                    if message is None:
                        await subscription.ping()
                    elif message["type"] != "pong":
                        self._has_arrived.set()
        except (redis.exceptions.RedisError, OSError):
            return
        finally:
            self.interruptions += has_begun
