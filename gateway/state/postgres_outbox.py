"""Events that wait for the audit trail, in PostgreSQL.

A time is in microseconds, by the server's clock. That of the next taking is also the ticket of the last one: who puts
or takes an event anew changes it.
"""

from collections.abc import Sequence
from typing import Final

from gateway.interfaces import MAX_WAITING_EVENTS, AuditOutbox, WaitingEvent
from gateway.postgres.database import PostgresDatabase
from gateway.postgres.feeds import channel_of

OUTBOX_TABLES: Final = (
    """
    CREATE TABLE {schema}.audit_outbox (
        id text COLLATE "C" PRIMARY KEY,
        text text NOT NULL,
        due_at bigint NOT NULL,
        lost bigint NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX audit_outbox_by_time ON {schema}.audit_outbox (due_at, id)",
)

_NOW: Final = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"

_PUT: Final = f"""
    WITH put AS (
        INSERT INTO {{schema}}.audit_outbox (id, text, due_at) VALUES ($1, $2, {_NOW} + $3::bigint)
        ON CONFLICT (id) DO UPDATE SET text = excluded.text, due_at = excluded.due_at
    )
    SELECT pg_notify($4, '')
"""

_TRIM: Final = """
    WITH first_kept AS MATERIALIZED (
        SELECT due_at, id FROM {schema}.audit_outbox ORDER BY due_at DESC, id DESC LIMIT 1 OFFSET $1
    ), dropped AS (
        DELETE FROM {schema}.audit_outbox AS spare USING first_kept
        WHERE (spare.due_at, spare.id) < (first_kept.due_at, first_kept.id) RETURNING lost
    )
    UPDATE {schema}.audit_outbox AS kept SET lost = kept.lost + (SELECT count(*) + sum(lost) FROM dropped)
    FROM first_kept WHERE kept.id = first_kept.id AND EXISTS (SELECT FROM dropped)
"""

_WITHDRAW: Final = "DELETE FROM {schema}.audit_outbox WHERE id = $1"

_TAKE: Final = f"""
    WITH due AS MATERIALIZED (
        SELECT id, due_at FROM {{schema}}.audit_outbox WHERE due_at <= {_NOW} ORDER BY due_at, id LIMIT $1
        FOR UPDATE SKIP LOCKED
    )
    UPDATE {{schema}}.audit_outbox AS taken SET due_at = {_NOW} + $2::bigint FROM due WHERE taken.id = due.id
    RETURNING due.due_at AS was_due_at, taken.id, text, lost, taken.due_at AS ticket
"""

_SETTLE: Final = """
    DELETE FROM {schema}.audit_outbox AS event USING unnest($1::text[], $2::bigint[]) AS taken (id, ticket)
    WHERE event.id = taken.id AND event.due_at = taken.ticket
"""


class PostgresOutbox(AuditOutbox):
    """The part of the PostgreSQL store that keeps events for the audit trail; its tables are `OUTBOX_TABLES`."""

    _database: PostgresDatabase

    async def put_event(self, event_id: str, text: str, *, wait: float) -> None:
        channel = channel_of(self._database.schema)
        await self._database.fetch(_PUT, event_id, text, _microseconds(wait), channel)
        await self._database.fetch(_TRIM, MAX_WAITING_EVENTS - 1)

    async def withdraw_event(self, event_id: str) -> None:
        await self._database.fetch(_WITHDRAW, event_id)

    async def take_events(self, *, limit: int, lease: float) -> Sequence[WaitingEvent]:
        rows = await self._database.fetch(_TAKE, limit, _microseconds(lease))
        return [
            WaitingEvent(id=event_id, text=text, lost=lost, ticket=ticket)
            for _, event_id, text, lost, ticket in sorted(map(tuple, rows))
        ]

    async def settle_events(self, taken: Sequence[WaitingEvent]) -> None:
        await self._database.fetch(_SETTLE, [event.id for event in taken], [event.ticket for event in taken])


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
