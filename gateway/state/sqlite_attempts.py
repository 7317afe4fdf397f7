"""Attempts to present a password, in the embedded SQLite file."""

import functools
import sqlite3
from collections.abc import Sequence
from typing import Final

from gateway.interfaces import KNOWN_ADDRESSES, MAX_ATTEMPT_COUNTS, AttemptStore
from gateway.sqlite_file import SqliteFile
from gateway.types import AttemptLimit, Blocked

ATTEMPT_TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS attempts (
        id BLOB PRIMARY KEY,
        failures INTEGER NOT NULL,
        blocked_until REAL NOT NULL,
        forget_at REAL NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS attempts_by_expiry ON attempts (forget_at)",
    """
    CREATE TABLE IF NOT EXISTS known_addresses (
        name BLOB NOT NULL,
        address BLOB NOT NULL,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (name, address)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS known_addresses_by_expiry ON known_addresses (expires_at)",
)

_SELECT: Final = "SELECT failures, blocked_until FROM attempts WHERE id = ? AND forget_at > ?"

_FORGET: Final = "DELETE FROM attempts WHERE id = ?"

_GIVE_BACK: Final = (
    "UPDATE attempts SET failures = failures - 1, blocked_until = 0 WHERE id = ?",
    "DELETE FROM attempts WHERE id = ? AND failures <= 0",
)

_REMEMBER_ADDRESS: Final = """
    INSERT INTO known_addresses (name, address, expires_at) VALUES (?, ?, ?)
    ON CONFLICT (name, address) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)
"""

_FORGET_ADDRESSES: Final = """
    DELETE FROM known_addresses WHERE name = :name AND address IN (
        SELECT address FROM known_addresses WHERE name = :name ORDER BY expires_at DESC LIMIT -1 OFFSET :kept
    )
"""

_KNOWS_ADDRESS: Final = "SELECT 1 FROM known_addresses WHERE name = ? AND address = ? AND expires_at > ?"

_PURGE_ATTEMPTS: Final = "DELETE FROM attempts WHERE id IN (SELECT id FROM attempts WHERE forget_at <= ? LIMIT ?)"

_PURGE_ADDRESSES: Final = """
    DELETE FROM known_addresses WHERE (name, address) IN
        (SELECT name, address FROM known_addresses WHERE expires_at <= ? LIMIT ?)
"""

# Of those that still count; if all up to this moment were forgotten, there would be no more than there may be.
_SELECT_OVERFLOW: Final = "SELECT forget_at FROM attempts WHERE forget_at > ? ORDER BY forget_at DESC LIMIT 1 OFFSET ?"

_PURGE_BATCH: Final = 1000  # as of revocations: nobody waits behind more


class SqliteAttempts(AttemptStore):
    """The part of the SQLite store that counts attempts; its tables are `ATTEMPT_TABLES`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    async def take_attempt(self, limits: Sequence[AttemptLimit], *, now: float, forget_at: float) -> Blocked | None:
        return await self._file.write(lambda connection: _take(connection, limits, now, forget_at))

    async def settle_attempt(self, *, forget: Sequence[bytes], give_back: Sequence[bytes]) -> None:
        def settle(connection: sqlite3.Connection) -> None:
            connection.executemany(_FORGET, [(key,) for key in forget])
            for statement in _GIVE_BACK:
                connection.executemany(statement, [(key,) for key in give_back])

        await self._file.write(settle)

    async def remember_address(self, name: bytes, address: bytes, *, expires_at: int) -> None:
        def remember(connection: sqlite3.Connection) -> None:
            connection.execute(_REMEMBER_ADDRESS, (name, address, expires_at))
            connection.execute(_FORGET_ADDRESSES, {"name": name, "kept": KNOWN_ADDRESSES})

        await self._file.write(remember)

    async def knows_address(self, name: bytes, address: bytes, *, now: float) -> bool:
        values = (name, address, now)
        return await self._file.read(
            lambda connection: connection.execute(_KNOWS_ADDRESS, values).fetchone() is not None
        )

    async def purge_attempts(self, now: int) -> None:
        """The part of `StateStore.purge` that is about attempts and addresses."""
        overflow = await self._file.read(
            lambda connection: connection.execute(_SELECT_OVERFLOW, (now, MAX_ATTEMPT_COUNTS)).fetchone()
        )
        cut_off = overflow[0] if overflow else now
        for purge in (
            functools.partial(_purge, statement=_PURGE_ATTEMPTS, cut_off=cut_off),
            functools.partial(_purge, statement=_PURGE_ADDRESSES, cut_off=now),
        ):
            while await self._file.write(purge):
                pass


def _take(
    connection: sqlite3.Connection, limits: Sequence[AttemptLimit], now: float, forget_at: float
) -> Blocked | None:
    rows = [connection.execute(_SELECT, (limit.id, now)).fetchone() or (0, 0.0) for limit in limits]
    blocked = [Blocked(id=limit.id, until=until) for limit, (_, until) in zip(limits, rows, strict=True) if until > now]
    if blocked:
        return max(blocked, key=lambda each: each.until)
    for limit, (failures, _) in zip(limits, rows, strict=True):
        until = now + limit.wait_after(failures + 1)
        connection.execute("REPLACE INTO attempts VALUES (?, ?, ?, ?)", (limit.id, failures + 1, until, forget_at))
    return None


def _purge(connection: sqlite3.Connection, *, statement: str, cut_off: float) -> bool:
    """Delete one batch; whether there may be more."""
    return connection.execute(statement, (cut_off, _PURGE_BATCH)).rowcount == _PURGE_BATCH
