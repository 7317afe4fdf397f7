"""Hears what other processes tell with NOTIFY, on a connection of its own."""

import asyncio
import contextlib
from typing import Final

import asyncpg

from gateway.postgres.connection import PostgresConnection
from gateway.postgres.database import PostgresDatabase

_POLL_SECONDS: Final = 0.5  # where nothing is heard

_PROOF_SECONDS: Final = 30.0  # a silent connection may be a dead one, which only those notice who say something


class PostgresNotifications:
    """`wait` is for one caller at a time; a lost connection is made anew by the next call."""

    def __init__(self, database: PostgresDatabase, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._timeout = database.timeout
        self._news = asyncio.Event()
        self._connection: PostgresConnection | None = None
        self._is_deaf = False  # behind a pooler
        self._proven_at = 0.0

    async def wait(self, seconds: float) -> None:
        """Return when something was told since the last call, after `seconds` at the latest.

        What is told while nobody waits ends the next wait at once. Raises `StoreUnavailable` when it cannot begin.
        """
        if self._is_deaf:
            await asyncio.sleep(min(seconds, _POLL_SECONDS))
        elif self._connection is None or self._connection.is_closed:
            await self._begin()  # and return: what was told meanwhile was not heard
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            self._news.clear()
            await self._prove(self._connection)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(seconds=self._timeout)

    async def _begin(self) -> None:
        self._connection = await self._database.listen(self._channel, self._news.set)
        self._is_deaf = self._connection is None
        self._proven_at = asyncio.get_running_loop().time()

    async def _prove(self, connection: PostgresConnection) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._proven_at < _PROOF_SECONDS or connection.is_closed:
            return
        self._proven_at = now
        try:
            async with asyncio.timeout(self._timeout):
                await connection.run("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # TimeoutError is an OSError
            connection.terminate()
