"""Sessions and revocations in the embedded SQLite file: one truth for every process that has the file open."""

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from gateway.interfaces import NewRevocations, StateStore
from gateway.state.sqlite_attempts import ATTEMPT_TABLES, SqliteAttempts
from gateway.state.sqlite_outbox import OUTBOX_TABLES, SqliteOutbox
from gateway.types import IssuedToken, Revocation, RevokedKind, Session

_Values: TypeAlias = tuple[Any, ...]

# `sequence` is the feed: SQLite has one writer at a time, so numbers are committed in order and a reader that has seen
# n misses nothing by asking for > n. AUTOINCREMENT never gives a number again, purged or not.
# Ids are BLOBs because a jti may be any JSON string, lone surrogates included, which SQLite's TEXT refuses.
# STRICT tables and RETURNING would need an SQLite that is newer than those of distributions with Python 3.11.
_REVOCATIONS: Final = (
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

# A CHECK cannot be changed, so the table is made anew. Its AUTOINCREMENT goes on where the old one was.
_SESSIONS: Final = (
    "ALTER TABLE revocations RENAME TO revocations_1",
    "DROP INDEX revocations_by_expiry",
    """
    CREATE TABLE revocations (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL CHECK (kind IN ('token', 'session', 'user', 'everything')),
        revoked_id BLOB NOT NULL CHECK (typeof(revoked_id) = 'blob'),
        expires_at INTEGER NOT NULL CHECK (typeof(expires_at) = 'integer'),
        up_to INTEGER NOT NULL DEFAULT 0 CHECK (typeof(up_to) = 'integer'),
        UNIQUE (kind, revoked_id)
    )
    """,
    """
    INSERT INTO revocations (sequence, kind, revoked_id, expires_at)
    SELECT sequence, kind, revoked_id, expires_at FROM revocations_1
    """,
    "DELETE FROM sqlite_sequence WHERE name = 'revocations'",
    """
    INSERT INTO sqlite_sequence (name, seq)
    SELECT 'revocations', seq FROM sqlite_sequence WHERE name = 'revocations_1'
    """,
    "DROP TABLE revocations_1",
    "CREATE INDEX revocations_by_expiry ON revocations (expires_at)",
    """
    CREATE TABLE sessions (
        id BLOB PRIMARY KEY,
        user_id BLOB NOT NULL,
        token_id BLOB NOT NULL,
        parent_id BLOB,
        rotated_at INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        last_used_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        address TEXT NOT NULL,
        user_agent TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX sessions_by_user ON sessions (user_id, id)",
    "CREATE INDEX sessions_by_expiry ON sessions (expires_at)",
)

_MIGRATIONS: Final = (_REVOCATIONS, _SESSIONS)

_INSERT_REVOCATION: Final = (
    "INSERT INTO revocations (kind, revoked_id, expires_at, up_to) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (kind, revoked_id) DO NOTHING"
)

_SELECT_REVOCATION: Final = "SELECT expires_at, up_to FROM revocations WHERE kind = ? AND revoked_id = ?"

_IS_REVOKED: Final = """
    SELECT EXISTS (SELECT 1 FROM revocations WHERE kind = 'token' AND revoked_id = :token_id)
        OR EXISTS (SELECT 1 FROM revocations WHERE kind = 'session' AND revoked_id = :session_id)
        OR EXISTS (SELECT 1 FROM revocations WHERE kind = 'user' AND revoked_id = :user_id AND up_to >= :issued_at)
        OR EXISTS (SELECT 1 FROM revocations WHERE kind = 'everything' AND up_to >= :issued_at)
"""

_END_SESSIONS: Final = {
    RevokedKind.SESSION: "DELETE FROM sessions WHERE id = :id",
    RevokedKind.USER: "DELETE FROM sessions WHERE user_id = :id AND rotated_at <= :up_to",
    RevokedKind.EVERYTHING: "DELETE FROM sessions WHERE rotated_at <= :up_to",
}

_SESSION_COLUMNS: Final = (
    "id, user_id, token_id, parent_id, rotated_at, created_at, last_used_at, expires_at, address, user_agent"
)

_INSERT_SESSION: Final = (
    f"INSERT INTO sessions ({_SESSION_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)

_REPLACE_SESSION: Final = """
    UPDATE sessions
    SET token_id = ?, parent_id = ?, rotated_at = ?, last_used_at = ?, expires_at = ?, address = ?, user_agent = ?
    WHERE id = ? AND token_id = ?
"""

_PURGES: Final = (
    "DELETE FROM revocations WHERE sequence IN (SELECT sequence FROM revocations WHERE expires_at <= ? LIMIT ?)",
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? LIMIT ?)",
)

_PURGE_BATCH: Final = 1000  # 3 ms a transaction: logins wait behind one of them, never behind a day's worth

_POLL_SECONDS: Final = 0.5  # a look that finds nothing costs 30 µs


class SqliteStateStore(SqliteAttempts, SqliteOutbox, StateStore):
    """`StateStore` in an SQLite file. Await `prepare()` before anything else."""

    async def prepare(self) -> None:
        """Make the tables, or bring them up to date. Raises `StoreUnavailable`."""
        await self._file.prepare("state", _MIGRATIONS)
        await self._file.prepare("attempts", (ATTEMPT_TABLES,))
        await self._file.prepare("audit", (OUTBOX_TABLES,))

    async def open_session(self, session: Session) -> bool:
        values = _session_values(session)
        return await self._file.write(lambda connection: connection.execute(_INSERT_SESSION, values).rowcount == 1)

    async def find_session(self, session_id: str) -> Session | None:
        query = f"SELECT {_SESSION_COLUMNS} FROM sessions WHERE id = ?"

        def find(connection: sqlite3.Connection) -> Session | None:
            row = connection.execute(query, (_blob(session_id),)).fetchone()
            return _session(row) if row else None

        return await self._file.read(find)

    async def replace_session(self, old: Session, new: Session) -> bool:
        _, _, *changing, address, user_agent = _session_values(new)
        token_id, parent_id, rotated_at, _, last_used_at, expires_at = changing
        values = (
            *(token_id, parent_id, rotated_at, last_used_at, expires_at, address, user_agent),
            *(_blob(old.id), _blob(old.token_id)),
        )
        return await self._file.write(lambda connection: connection.execute(_REPLACE_SESSION, values).rowcount == 1)

    async def sessions(self, *, user_id: str | None, after: str, limit: int) -> Sequence[Session]:
        of_user = "" if user_id is None else "user_id = :user_id AND "
        query = f"SELECT {_SESSION_COLUMNS} FROM sessions WHERE {of_user}id > :after ORDER BY id LIMIT :limit"
        values = {"user_id": _blob(user_id or ""), "after": _blob(after), "limit": limit}
        return await self._file.read(lambda connection: [_session(row) for row in connection.execute(query, values)])

    async def revoke(self, revocation: Revocation) -> bool:
        return await self._file.write(lambda connection: _revoke(connection, revocation))

    async def is_revoked(self, token: IssuedToken) -> bool:
        values = {
            "token_id": None if token.token_id is None else _blob(token.token_id),
            "session_id": None if token.session_id is None else _blob(token.session_id),
            "user_id": None if token.user_id is None else _blob(token.user_id),
            "issued_at": token.issued_at,
        }
        return await self._file.read(lambda connection: bool(connection.execute(_IS_REVOKED, values).fetchone()[0]))

    async def revocations_since(self, position: int) -> NewRevocations:
        def list_new(connection: sqlite3.Connection) -> NewRevocations:
            last = _last_sequence(connection)
            if position == last:
                return NewRevocations(position=last, revocations=())
            # position > last: a backup was restored into the open file and its numbers begin again below ours.
            known = position if position < last else 0
            query = "SELECT kind, revoked_id, expires_at, up_to FROM revocations WHERE sequence > ? ORDER BY sequence"
            revocations = tuple(
                Revocation(kind=RevokedKind(kind), id=_text(revoked_id), expires_at=expires_at, up_to=up_to)
                for kind, revoked_id, expires_at, up_to in connection.execute(query, (known,))
            )
            return NewRevocations(position=last, revocations=revocations, begins_anew=known <= 0)

        return await self._file.read(list_new)

    async def wait_for_revocations(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, _POLL_SECONDS))

    async def purge(self, now: int) -> None:
        for statement in _PURGES:
            while await self._file.write(partial(_purge, statement=statement, now=now)):
                pass
        await self.purge_attempts(now)

    async def close(self) -> None:
        """Close the file, for the user directory in it too."""
        await self._file.close()


def _revoke(connection: sqlite3.Connection, revocation: Revocation) -> bool:
    key = (revocation.kind.value, _blob(revocation.id))
    values = (*key, revocation.expires_at, revocation.up_to)
    is_new = connection.execute(_INSERT_REVOCATION, values).rowcount == 1
    if not is_new:
        # Known already. One that lasts longer (a session that has got another refresh token since) or reaches later
        # gets a new number, under which every reader hears of it.
        expires_at, up_to = connection.execute(_SELECT_REVOCATION, key).fetchone()
        if expires_at < revocation.expires_at or up_to < revocation.up_to:
            connection.execute("DELETE FROM revocations WHERE kind = ? AND revoked_id = ?", key)
            values = (*key, max(expires_at, revocation.expires_at), max(up_to, revocation.up_to))
            connection.execute(_INSERT_REVOCATION, values)
    if revocation.kind in _END_SESSIONS:
        ended = {"id": _blob(revocation.id), "up_to": revocation.up_to}
        connection.execute(_END_SESSIONS[revocation.kind], ended)
    return is_new


def _purge(connection: sqlite3.Connection, statement: str, now: int) -> bool:
    """Delete one batch; whether there may be more."""
    return connection.execute(statement, (now, _PURGE_BATCH)).rowcount == _PURGE_BATCH


def _session_values(session: Session) -> _Values:
    """In the order of `_SESSION_COLUMNS`."""
    return (
        _blob(session.id),
        _blob(session.user_id),
        _blob(session.token_id),
        None if session.parent_id is None else _blob(session.parent_id),
        session.rotated_at,
        session.created_at,
        session.last_used_at,
        session.expires_at,
        session.address,
        session.user_agent,
    )


def _session(row: _Values) -> Session:
    session_id, user_id, token_id, parent_id, rotated_at, created_at, last_used_at, expires_at, address, agent = row
    return Session(
        id=_text(session_id),
        user_id=_text(user_id),
        token_id=_text(token_id),
        parent_id=None if parent_id is None else _text(parent_id),
        rotated_at=rotated_at,
        created_at=created_at,
        last_used_at=last_used_at,
        expires_at=expires_at,
        address=address,
        user_agent=agent,
    )


def _blob(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(blob: bytes) -> str:
    return blob.decode("utf-8", "surrogatepass")


def _last_sequence(connection: sqlite3.Connection) -> int:
    """The highest number ever given, also when its row has been purged."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'revocations'").fetchone()
    return int(row[0]) if row else 0
