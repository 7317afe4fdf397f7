"""One connection, set up so that a statement does the same on every server and behind every pooler.

What the server or the role has for a default is not relied on: another isolation level fails writers that wait for each
other, `synchronous_commit = off` takes acknowledged commits back, and a plan that was made while a table was small
would go on reading all of it. Durability that is asked for beyond one's own disk (`remote_apply`) is left as it is.

A pooler (PgBouncer, and what else stands in between) may give each transaction to another server process. Then nothing
lasts from one to the next: no prepared statement, no setting, no LISTEN. It shows in the process id, which the
handshake gives and the server process knows better.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

import asyncpg

_LOOK_ROUND: Final = "SELECT pg_backend_pid(), current_setting('synchronous_commit'), pg_is_in_recovery()"

# Every statement of the engines has its index; with enable_seqscan off the price of what remains to be read whole (a
# table of one row) looks so high that the server would compile the plan, so jit goes too.
_SETTINGS: Final = ("enable_seqscan = off", "jit = off")

_IDLE_SECONDS: Final = 30  # middle boxes forget a silent connection after minutes; the server's probes keep it known


class PostgresConnection:
    """Made by `open`. Raises whatever the driver raises."""

    def __init__(self, driver: "asyncpg.Connection[asyncpg.Record]", *, is_pooled: bool, begin: str) -> None:
        self._driver = driver
        self._begin = begin
        self._prepared: dict[str, Any] = {}
        self.is_pooled = is_pooled
        """Whether a pooler may stand in between."""

    @classmethod
    async def open(cls, url: str, *, seconds: float) -> Self:
        """`seconds`: for all of it; the server ends a statement after as many."""
        async with asyncio.timeout(seconds):
            driver = await asyncpg.connect(
                url, timeout=seconds, statement_cache_size=0, server_settings={"application_name": "simplejwt-gateway"}
            )
            try:
                return await cls._set_up(driver, seconds)
            except BaseException:
                driver.terminate()
                raise

    @classmethod
    async def _set_up(cls, driver: "asyncpg.Connection[asyncpg.Record]", seconds: float) -> Self:
        await driver.execute("BEGIN")
        [(server_pid, synchronous_commit, is_replica)] = await driver.fetch(_LOOK_ROUND)
        if is_replica:
            raise asyncpg.ReadOnlySQLTransactionError("recovery is in progress")
        milliseconds = max(1, round(seconds * 1000))
        settings = [*_SETTINGS, f"statement_timeout = {milliseconds}"]
        # Of a gateway whose machine died in between; others may wait for the row that it holds.
        settings.append(f"idle_in_transaction_session_timeout = {2 * milliseconds}")
        if synchronous_commit == "off":
            settings.append("synchronous_commit = on")
        is_pooled = driver.get_server_pid() != server_pid
        if is_pooled:
            await driver.execute("COMMIT")
        else:
            settings.append("default_transaction_isolation = 'read committed'")
            settings.append(f"tcp_keepalives_idle = {_IDLE_SECONDS}")
            await driver.execute("COMMIT; " + "; ".join(f"SET {setting}" for setting in settings))
        begin = "BEGIN ISOLATION LEVEL READ COMMITTED; " + "; ".join(f"SET LOCAL {setting}" for setting in settings)
        return cls(driver, is_pooled=is_pooled, begin=begin)

    @property
    def is_closed(self) -> bool:
        return self._driver.is_closed()

    async def fetch(self, statement: str, *values: object) -> Sequence[asyncpg.Record]:
        """The rows of a statement, which is a transaction of its own. One round trip, behind a pooler four."""
        if self.is_pooled:
            await self._driver.execute(self._begin)
            rows = await self._driver.fetch(statement, *values)
            await self._driver.execute("COMMIT")
            return rows
        prepared = self._prepared.get(statement)
        if prepared is None:
            # Without a name, and with the driver's own cache off, the server would read and plan it anew each time.
            name = f"statement_{len(self._prepared)}"
            prepared = self._prepared[statement] = await self._driver.prepare(statement, name=name)
        return await prepared.fetch(*values)

    async def run(self, script: str) -> None:
        """Statements without values and rows; BEGIN and COMMIT may be among them."""
        await self._driver.execute(script)

    async def read(self, statement: str, *values: object) -> Sequence[asyncpg.Record]:
        """The rows of a statement, inside of the transaction that `run` began."""
        return await self._driver.fetch(statement, *values)

    async def listen(self, channel: str, on_news: Callable[[], None]) -> None:
        """Call `on_news` for every notification on the channel from now on, and when the connection has ended."""
        await self._driver.add_listener(channel, lambda *_: on_news())
        self._driver.add_termination_listener(lambda *_: on_news())

    def can_go_on(self, error: BaseException) -> bool:
        """Whether the connection is good for more after `fetch` raised this."""
        # Nothing else is worth the thought: a server that ended a statement in time is busy enough without a new
        # connection for each; any other failure is rare, or the connection's end.
        return isinstance(error, asyncpg.QueryCanceledError) and not self.is_pooled and not self.is_closed

    async def close(self, *, seconds: float) -> None:
        """Say good-bye to the server, or leave without after so long."""
        try:
            await self._driver.close(timeout=seconds)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._driver.terminate()

    def terminate(self) -> None:
        """Leave without a word. What the server was doing it may still do, for as long as it gives a statement."""
        self._driver.terminate()
