"""One PostgreSQL database, for all that this process keeps there.

Theory of operation. Whatever an engine does is one statement, and each statement is a transaction of its own: it takes
one of a few connections, in the order of asking, or waits for one in a bounded time. The work runs in a task of its
own, so a caller that is cancelled abandons its result, not the statement (as with the SQLite file), and what it was on
goes on to the next one in a known state. After any failure but a statement that the server ended in time the
connection is thrown away, so whoever comes next after an outage begins with a new one: there is nothing to recover.
Nobody knows whether a statement whose answer did not come was carried out. Callers are told `StoreUnavailable`, and the
engines' statements may be asked again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final

import asyncpg

from gateway.errors import StoreUnavailable
from gateway.postgres.address import place_of
from gateway.postgres.connection import PostgresConnection
from gateway.postgres.failures import unavailable
from gateway.postgres.migrations import BEGIN_LONG, MIGRATION_SECONDS, migrate, quoted
from gateway.tasks import spawn

_PATIENCE: Final = 1.25  # of the time-out: the server, which ends a statement after 1, has the first word

_IDLE_SECONDS: Final = 60.0  # then what a busy moment needed is given back


class PostgresDatabase:
    """The way to the tables in `schema` of the database at `url`. All methods belong to the event loop.

    Nothing is connected before the first use. `timeout`: seconds for a connection, for a statement, and for the wait
    for one of the `max_connections`. In statements `{schema}` stands for the schema.
    """

    def __init__(self, url: str, *, schema: str, max_connections: int, timeout: float) -> None:
        self._url = url
        self._schema = schema
        self._max_connections = max_connections
        self._timeout = timeout
        self._place = place_of(url)
        self._places = asyncio.Semaphore(max_connections)
        self._idle: list[tuple[PostgresConnection, float]] = []  # with the moment since when; the last is the warmest
        self._is_closed = False

    def __repr__(self) -> str:
        return f"PostgresDatabase({self._place!r}{', closed' if self._is_closed else ''})"

    @property
    def place(self) -> str:
        """What a sentence calls the server."""
        return self._place

    @property
    def timeout(self) -> float:
        return self._timeout

    @property
    def schema(self) -> str:
        return self._schema

    async def fetch(self, statement: str, *values: object) -> Sequence[asyncpg.Record]:
        """The rows of a statement, in a transaction of its own. Raises `StoreUnavailable`, and nothing else."""
        self._require_open()
        await self._take_place()
        work = spawn(self._use_place(statement, values), name="postgres")
        outcome: Sequence[asyncpg.Record] | StoreUnavailable = await asyncio.shield(work)
        if isinstance(outcome, StoreUnavailable):
            raise outcome
        return outcome

    async def fetch_all(self, statements: Iterable[tuple[str, Sequence[object]]]) -> list[Sequence[asyncpg.Record]]:
        """The rows of each of several statements with values, all or nothing, on a connection beside the others.

        For what is long and rare, as migrations are. Raises `StoreUnavailable`.
        """
        async with self._borrowed() as connection, asyncio.timeout(MIGRATION_SECONDS * _PATIENCE):
            await connection.run(BEGIN_LONG)
            rows = [await connection.read(self._text(statement), *values) for statement, values in statements]
            await connection.run("COMMIT")
        await connection.close(seconds=self._timeout)
        return rows

    async def listen(self, channel: str, on_news: Callable[[], None]) -> PostgresConnection | None:
        """A connection beside the others that listens; None where a pooler may not carry what it hears.

        Raises `StoreUnavailable`.
        """
        async with self._borrowed() as connection, asyncio.timeout(self._timeout):
            if not connection.is_pooled:
                await connection.listen(channel, on_news)
                return connection
        await connection.close(seconds=self._timeout)
        return None

    async def prepare(self, part: str, migrations: Sequence[Sequence[str]]) -> None:
        """Bring the tables of one part (`users`, `state`) up to date, in one transaction.

        As with the SQLite file: the n-th of `migrations` leads from version n - 1 to n, and what was published is never
        changed again. Of replicas that start at once one does it. A role that may not make tables is enough where
        they are up to date. Raises `StoreUnavailable`, also when a newer gateway has brought them further.
        """
        async with self._borrowed() as connection, asyncio.timeout(MIGRATION_SECONDS * _PATIENCE):
            await migrate(connection, self._schema, part, migrations)
        await connection.close(seconds=self._timeout)

    async def close(self) -> None:
        """Wait for what is under way, and leave. May be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3 * _PATIENCE * self._timeout):
                for _ in range(self._max_connections):
                    await self._places.acquire()
        while self._idle:
            connection, _ = self._idle.pop()
            await connection.close(seconds=self._timeout)

    def _require_open(self) -> None:
        if self._is_closed:
            raise StoreUnavailable(f"{self._place} has been closed by this process.")

    async def _take_place(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._places.acquire()
        except TimeoutError:
            raise StoreUnavailable(
                f"{self._place} is too slow for what is asked: all {self._max_connections} connections "
                f"were busy for {self._timeout:g} s; raise state.max_connections if the server has room."
            ) from None

    async def _use_place(self, statement: str, values: Sequence[object]) -> Sequence[asyncpg.Record] | StoreUnavailable:
        """Gives a failure instead of raising it: the caller may have left, and then nobody would take it."""
        connection: PostgresConnection | None = None
        try:
            self._require_open()
            connection = self._warm_connection() or await self._open()
            async with asyncio.timeout(self._timeout * _PATIENCE):
                rows = await connection.fetch(self._text(statement), *values)
        except BaseException as error:
            if connection is not None and connection.can_go_on(error):
                self._rest(connection)
            elif connection is not None:
                connection.terminate()
            if isinstance(error, Exception):
                return unavailable(error, self._place)
            raise
        else:
            self._rest(connection)
            return rows
        finally:
            self._places.release()

    def _warm_connection(self) -> PostgresConnection | None:
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed:
                return connection
        return None

    def _rest(self, connection: PostgresConnection) -> None:
        now = asyncio.get_running_loop().time()
        self._idle.append((connection, now))
        while self._idle[0][1] < now - _IDLE_SECONDS:
            self._idle.pop(0)[0].terminate()

    @contextlib.asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[PostgresConnection]:
        """A connection that is nobody else's, which ends when the body fails."""
        connection = await self._open()
        try:
            yield connection
        except BaseException as error:
            connection.terminate()
            if isinstance(error, Exception):
                raise unavailable(error, self._place) from error
            raise

    async def _open(self) -> PostgresConnection:
        try:
            return await PostgresConnection.open(self._url, seconds=self._timeout)
        except Exception as error:
            raise unavailable(error, self._place) from error

    def _text(self, statement: str) -> str:
        return statement.format(schema=quoted(self._schema))
