"""Sessions and revocations in PostgreSQL: one truth for every replica that uses the schema.

Each method is one statement (a bulk deletion: a statement a batch), so it is whole or not at all without a transaction
that another round trip would hold open.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from gateway.interfaces import NewRevocations, StateStore
from gateway.postgres.database import PostgresDatabase
from gateway.postgres.feeds import channel_of, parts_of, position_of
from gateway.postgres.notifications import PostgresNotifications
from gateway.state import postgres_sql as sql
from gateway.state.postgres_attempts import ATTEMPT_TABLES, BATCH, PostgresAttempts
from gateway.state.postgres_outbox import OUTBOX_TABLES, PostgresOutbox
from gateway.types import IssuedToken, Revocation, RevokedKind, Session

_PAGE: Final = 10_000  # of the feed, which is read whole at start

_KEY_BYTES: Final = 1024  # an entry of an index has 2.7 KB, and one of them holds two keys


class PostgresStateStore(PostgresAttempts, PostgresOutbox, StateStore):
    """`StateStore` in PostgreSQL. Await `prepare()` before anything else."""

    def __init__(self, database: PostgresDatabase) -> None:
        super().__init__(database)
        self._channel = channel_of(database.schema)
        self._notifications = PostgresNotifications(database, self._channel)

    async def prepare(self) -> None:
        """Make the tables, or bring them up to date. Raises `StoreUnavailable`."""
        await self._database.prepare("state", sql.MIGRATIONS)
        await self._database.prepare("attempts", (ATTEMPT_TABLES,))
        await self._database.prepare("audit", (OUTBOX_TABLES,))

    async def open_session(self, session: Session) -> bool:
        return bool(await self._database.fetch(sql.INSERT_SESSION, *_session_values(session)))

    async def find_session(self, session_id: str) -> Session | None:
        rows = await self._database.fetch(sql.FIND_SESSION, _key(session_id))
        return _session(rows[0]) if rows else None

    async def replace_session(self, old: Session, new: Session) -> bool:
        values = (
            *(_bytes(new.token_id), None if new.parent_id is None else _bytes(new.parent_id)),
            *(new.rotated_at, new.last_used_at, new.expires_at, new.address, new.user_agent),
        )
        return bool(await self._database.fetch(sql.REPLACE_SESSION, *values, _key(old.id), _bytes(old.token_id)))

    async def sessions(self, *, user_id: str | None, after: str, limit: int) -> Sequence[Session]:
        if user_id is None:
            rows = await self._database.fetch(sql.LIST_SESSIONS, _key(after), limit)
        else:
            rows = await self._database.fetch(sql.LIST_SESSIONS_OF_USER, _key(after), limit, _key(user_id))
        return [_session(row) for row in rows]

    async def revoke(self, revocation: Revocation) -> bool:
        rows = await self._database.fetch(
            sql.REVOKE,
            *(revocation.kind.value, _key(revocation.id), _whole(revocation.id)),
            *(revocation.expires_at, revocation.up_to, self._channel),
        )
        if revocation.kind in {RevokedKind.USER, RevokedKind.EVERYTHING}:
            # It counts from here on, so what is left behind by a failure in between is only untidy.
            await self._end_sessions(revocation)
        return bool(rows) and rows[0][0]

    async def is_revoked(self, token: IssuedToken) -> bool:
        keys = [None if each is None else _key(each) for each in (token.token_id, token.session_id, token.user_id)]
        [(answer,)] = await self._database.fetch(sql.IS_REVOKED, *keys, token.issued_at)
        return bool(answer)

    async def revocations_since(self, position: int) -> NewRevocations:
        revocations: list[Revocation] = []
        begins_anew = False
        while True:
            *asked_of, known = parts_of(position)
            rows = await self._database.fetch(sql.REVOCATIONS_SINCE, *asked_of, known, _PAGE)
            started_at, table, last = rows[0][:3]
            begins_anew |= asked_of != [started_at, table] or known > last
            found = [_revocation(row) for row in rows if row["sequence"] is not None]
            revocations += found
            reached = last if len(found) < _PAGE else rows[-1]["sequence"]
            position = position_of(started_at, table, reached)
            if len(found) < _PAGE:
                return NewRevocations(position=position, revocations=tuple(revocations), begins_anew=begins_anew)

    async def wait_for_revocations(self, seconds: float) -> None:
        await self._notifications.wait(seconds)

    async def purge(self, now: int) -> None:
        for statement in sql.PURGES:
            await self._in_batches(statement, now)
        await self.purge_attempts(now)

    async def close(self) -> None:
        await self._notifications.close()
        await self._database.close()

    async def _end_sessions(self, revocation: Revocation) -> None:
        of_user = revocation.kind is RevokedKind.USER
        statement = sql.END_SESSIONS_OF_USER if of_user else sql.END_SESSIONS
        after = b""
        while True:
            values = (after, BATCH, revocation.up_to, *((_key(revocation.id),) if of_user else ()))
            rows = await self._database.fetch(statement, *values)
            if len(rows) < BATCH:
                return
            after = rows[-1][0]


def _bytes(text: str) -> bytes:
    """Ids may be any JSON string; PostgreSQL's text refuses NUL and lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def _key(text: str) -> bytes:
    """What stands for a text in tables and indexes: itself, or its beginning and a digest of it where it is long."""
    encoded = _bytes(text)
    if len(encoded) <= _KEY_BYTES:
        return encoded
    return encoded[:_KEY_BYTES] + hashlib.sha256(encoded).digest()


def _whole(text: str) -> bytes | None:
    """The text where its key is not all of it."""
    encoded = _bytes(text)
    return encoded if len(encoded) > _KEY_BYTES else None


def _text(key: bytes, whole: bytes | None) -> str:
    return (key if whole is None else whole).decode("utf-8", "surrogatepass")


def _session_values(session: Session) -> tuple[Any, ...]:
    """In the order of `postgres_sql.SESSION_COLUMNS`."""
    return (
        *(_key(session.id), _whole(session.id), _key(session.user_id), _whole(session.user_id)),
        *(_bytes(session.token_id), None if session.parent_id is None else _bytes(session.parent_id)),
        *(session.rotated_at, session.created_at, session.last_used_at, session.expires_at),
        *(session.address, session.user_agent),
    )


def _session(row: Any) -> Session:
    return Session(
        id=_text(row["id"], row["whole_id"]),
        user_id=_text(row["user_id"], row["whole_user_id"]),
        token_id=_text(row["token_id"], None),
        parent_id=None if row["parent_id"] is None else _text(row["parent_id"], None),
        rotated_at=row["rotated_at"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        expires_at=row["expires_at"],
        address=row["address"],
        user_agent=row["user_agent"],
    )


def _revocation(row: Any) -> Revocation:
    return Revocation(
        kind=RevokedKind(row["kind"]),
        id=_text(row["revoked_id"], row["whole_id"]),
        expires_at=row["expires_at"],
        up_to=row["up_to"],
    )
