"""Events that wait for the audit trail, in the embedded SQLite file.

A time is in microseconds. That of the next taking is also the ticket of the last one: who puts or takes an event anew
changes it.
"""

import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from gateway.interfaces import MAX_WAITING_EVENTS, AuditOutbox, WaitingEvent
from gateway.sqlite_file import SqliteFile

OUTBOX_TABLES: Final = (
    """
    CREATE TABLE audit_outbox (
        id TEXT PRIMARY KEY,
        text TEXT NOT NULL,
        due_at INTEGER NOT NULL,
        lost INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
    "CREATE INDEX audit_outbox_by_time ON audit_outbox (due_at)",
)

_PUT: Final = """
    INSERT INTO audit_outbox (id, text, due_at) VALUES (?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET text = excluded.text, due_at = excluded.due_at
"""

_WITHDRAW: Final = "DELETE FROM audit_outbox WHERE id = ?"

# The first of those that may stay, when there are more.
_SELECT_FIRST_KEPT: Final = "SELECT id, due_at FROM audit_outbox ORDER BY due_at DESC, id DESC LIMIT 1 OFFSET ?"

_SELECT_SPARE: Final = "SELECT count(*), total(lost) FROM audit_outbox WHERE (due_at, id) < (?, ?)"

_DELETE_SPARE: Final = "DELETE FROM audit_outbox WHERE (due_at, id) < (?, ?)"

_NOTE_LOST: Final = "UPDATE audit_outbox SET lost = lost + ? WHERE id = ?"

_IS_DUE: Final = "SELECT EXISTS (SELECT 1 FROM audit_outbox WHERE due_at <= ?)"

_SELECT_DUE: Final = "SELECT id, text, lost FROM audit_outbox WHERE due_at <= ? ORDER BY due_at, id LIMIT ?"

_TAKE: Final = "UPDATE audit_outbox SET due_at = ? WHERE id = ?"

_SETTLE: Final = "DELETE FROM audit_outbox WHERE id = ? AND due_at = ?"


class SqliteOutbox(AuditOutbox):
    """The part of the SQLite store that keeps events for the audit trail; its tables are `OUTBOX_TABLES`."""

    _file: SqliteFile

    async def put_event(self, event_id: str, text: str, *, wait: float) -> None:
        def put(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT, (event_id, text, _in(wait)))
            first_kept = connection.execute(_SELECT_FIRST_KEPT, (MAX_WAITING_EVENTS - 1,)).fetchone()
            if first_kept is not None:
                _drop_before(connection, *first_kept)

        await self._file.write(put)

    async def withdraw_event(self, event_id: str) -> None:
        await self._file.write(lambda connection: connection.execute(_WITHDRAW, (event_id,)))

    async def take_events(self, *, limit: int, lease: float) -> Sequence[WaitingEvent]:
        def is_due(connection: sqlite3.Connection) -> bool:
            return bool(connection.execute(_IS_DUE, (_in(0),)).fetchone()[0])

        def take(connection: sqlite3.Connection) -> list[WaitingEvent]:
            rows = connection.execute(_SELECT_DUE, (_in(0), limit)).fetchall()
            ticket = _in(lease)
            connection.executemany(_TAKE, [(ticket, event_id) for event_id, _, _ in rows])
            return [WaitingEvent(id=event_id, text=text, lost=lost, ticket=ticket) for event_id, text, lost in rows]

        # Mostly there is nothing, and then nobody has to wait for the one who may write.
        return await self._file.write(take) if await self._file.read(is_due) else []

    async def settle_events(self, taken: Sequence[WaitingEvent]) -> None:
        tickets = [(event.id, event.ticket) for event in taken]
        await self._file.write(lambda connection: connection.executemany(_SETTLE, tickets))


def _drop_before(connection: sqlite3.Connection, event_id: str, due_at: int) -> None:
    count, lost = connection.execute(_SELECT_SPARE, (due_at, event_id)).fetchone()
    if count:
        connection.execute(_DELETE_SPARE, (due_at, event_id))
        connection.execute(_NOTE_LOST, (count + int(lost), event_id))


def _in(seconds: float) -> int:
    return time.time_ns() // 1000 + round(seconds * 1_000_000)
