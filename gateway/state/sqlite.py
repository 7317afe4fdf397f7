"""Spent and revoked tokens in the embedded SQLite file: one truth for every process that has the file open."""

import sqlite3
from typing import Final

from gateway.interfaces import NewRevocations, StateStore
from gateway.state.sqlite_attempts import ATTEMPT_TABLES, SqliteAttempts
from gateway.types import Revocation, RevokedKind

# `sequence` is the feed: SQLite has one writer at a time, so numbers are committed in order and a reader that has seen
# n misses nothing by asking for > n. AUTOINCREMENT never gives a number again, purged or not.
# `revoked_id` is a BLOB because a jti may be any JSON string, lone surrogates included, which SQLite's TEXT refuses.
# STRICT tables and RETURNING would need an SQLite that is newer than those of distributions with Python 3.11.
_SCHEMA: Final = (
    """
    CREATE TABLE IF NOT EXISTS revocations (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL CHECK (kind IN ('token', 'session')),
        revoked_id BLOB NOT NULL CHECK (typeof(revoked_id) = 'blob'),
        expires_at INTEGER NOT NULL CHECK (typeof(expires_at) = 'integer'),
        UNIQUE (kind, revoked_id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS revocations_by_expiry ON revocations (expires_at)",
)

_INSERT: Final = (
    "INSERT INTO revocations (kind, revoked_id, expires_at) VALUES (?, ?, ?) ON CONFLICT (kind, revoked_id) DO NOTHING"
)

_PURGE: Final = (
    "DELETE FROM revocations WHERE sequence IN (SELECT sequence FROM revocations WHERE expires_at <= ? LIMIT ?)"
)

_PURGE_BATCH: Final = 1000  # 3 ms a transaction: logins wait behind one of them, never behind a day's worth


class SqliteStateStore(SqliteAttempts, StateStore):
    """`StateStore` in an SQLite file. Await `prepare()` before anything else."""

    async def prepare(self) -> None:
        """Make the tables where they are missing. Raises `StoreUnavailable`."""
        await self._file.prepare((*_SCHEMA, *ATTEMPT_TABLES))

    async def revoke(self, revocation: Revocation) -> bool:
        key = (revocation.kind.value, _blob(revocation.id))

        def record(connection: sqlite3.Connection) -> bool:
            if connection.execute(_INSERT, (*key, revocation.expires_at)).rowcount == 1:
                return True
            # Known already, but to be refused for longer (a session that has got another refresh token since): told to
            # every reader anew under a new number.
            shorter = "DELETE FROM revocations WHERE kind = ? AND revoked_id = ? AND expires_at < ?"
            if connection.execute(shorter, (*key, revocation.expires_at)).rowcount == 1:
                connection.execute(_INSERT, (*key, revocation.expires_at))
            return False

        return await self._file.write(record)

    async def is_revoked(self, kind: RevokedKind, revoked_id: str) -> bool:
        key = (kind.value, _blob(revoked_id))

        def find(connection: sqlite3.Connection) -> bool:
            query = "SELECT 1 FROM revocations WHERE kind = ? AND revoked_id = ?"
            return connection.execute(query, key).fetchone() is not None

        return await self._file.read(find)

    async def revocations_since(self, position: int) -> NewRevocations:
        def list_new(connection: sqlite3.Connection) -> NewRevocations:
            last = _last_sequence(connection)
            if position == last:
                return NewRevocations(position=last, revocations=())
            # position > last: a backup was restored into the open file and its numbers begin again below ours.
            known = position if position < last else 0
            query = "SELECT kind, revoked_id, expires_at FROM revocations WHERE sequence > ? ORDER BY sequence"
            revocations = tuple(
                Revocation(
                    kind=RevokedKind(kind), id=revoked_id.decode("utf-8", "surrogatepass"), expires_at=expires_at
                )
                for kind, revoked_id, expires_at in connection.execute(query, (known,))
            )
            return NewRevocations(position=last, revocations=revocations)

        return await self._file.read(list_new)

    async def purge(self, now: int) -> None:
        def forget_some(connection: sqlite3.Connection) -> int:
            return connection.execute(_PURGE, (now, _PURGE_BATCH)).rowcount

        while await self._file.write(forget_some) == _PURGE_BATCH:
            pass
        await self.purge_attempts(now)

    async def close(self) -> None:
        """Close the file, for the user directory in it too."""
        await self._file.close()


def _blob(revoked_id: str) -> bytes:
    return revoked_id.encode("utf-8", "surrogatepass")


def _last_sequence(connection: sqlite3.Connection) -> int:
    """The highest number ever given, also when its row has been purged."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'revocations'").fetchone()
    return int(row[0]) if row else 0
