"""Attempts to present a password, in PostgreSQL.

Counting is done by two functions in the schema: several rows are read, compared and written at once, and another round
trip in between would be one more in every log-in. Who counts holds a lock for each id, taken in one order, because rows
that are not there yet cannot be locked. Counts need not outlive a crash, so nobody waits for the disk.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from gateway.interfaces import KNOWN_ADDRESSES, MAX_ATTEMPT_COUNTS, AttemptStore
from gateway.postgres.database import PostgresDatabase
from gateway.types import AttemptLimit, Blocked

_LOCK: Final = """
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(key) FROM (
        SELECT DISTINCT ('x' || encode(substr(each, 1, 8), 'hex'))::bit(64)::bigint AS key
        FROM unnest(IDS) AS each ORDER BY key
    ) AS keys;
"""

ATTEMPT_TABLES: Final = (
    """
    CREATE TABLE {schema}.attempts (
        id bytea PRIMARY KEY,
        failures integer NOT NULL,
        blocked_until double precision NOT NULL,
        forget_at double precision NOT NULL
    )
    """,
    "CREATE INDEX attempts_by_expiry ON {schema}.attempts (forget_at)",
    """
    CREATE TABLE {schema}.known_addresses (
        name bytea,
        address bytea,
        expires_at bigint NOT NULL,
        PRIMARY KEY (name, address)
    )
    """,
    "CREATE INDEX known_addresses_by_expiry ON {schema}.known_addresses (expires_at)",
    # The waits of all ids stand in one list; those of the n-th id begin behind before[n] and end at before[n + 1].
    """
    CREATE FUNCTION {schema}.take_attempt(
        ids bytea[], free integer[], waits double precision[], before integer[],
        at double precision, forgotten_at double precision
    ) RETURNS TABLE (blocking bytea, until double precision) LANGUAGE plpgsql AS $$
    DECLARE
        n integer;
        count integer;
        wait double precision;
    BEGIN
        LOCK
        RETURN QUERY SELECT each.id, each.blocked_until FROM {schema}.attempts AS each
            WHERE each.id = ANY (ids) AND each.forget_at > at AND each.blocked_until > at
            ORDER BY each.blocked_until DESC LIMIT 1;
        IF FOUND THEN
            RETURN;
        END IF;
        FOR n IN 1 .. cardinality(ids) LOOP
            SELECT each.failures INTO count FROM {schema}.attempts AS each
                WHERE each.id = ids[n] AND each.forget_at > at;
            count := coalesce(count, 0) + 1;
            wait := 0;
            IF count > free[n] THEN
                wait := waits[least(before[n] + count - free[n], before[n + 1])];
            END IF;
            INSERT INTO {schema}.attempts VALUES (ids[n], count, at + wait, forgotten_at)
                ON CONFLICT (id) DO UPDATE SET failures = excluded.failures,
                    blocked_until = excluded.blocked_until, forget_at = excluded.forget_at;
        END LOOP;
    END $$
    """.replace("LOCK", _LOCK.replace("IDS", "ids")),
    """
    CREATE FUNCTION {schema}.settle_attempt(forgotten bytea[], given_back bytea[]) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        LOCK
        DELETE FROM {schema}.attempts WHERE id = ANY (forgotten);
        UPDATE {schema}.attempts AS counted SET failures = failures - back.times, blocked_until = 0
            FROM (SELECT each, count(*) AS times FROM unnest(given_back) AS each GROUP BY each) AS back
            WHERE counted.id = back.each;
        DELETE FROM {schema}.attempts WHERE id = ANY (given_back) AND failures <= 0;
    END $$
    """.replace("LOCK", _LOCK.replace("IDS", "forgotten || given_back")),
)

_TAKE: Final = "SELECT blocking, until FROM {schema}.take_attempt($1, $2, $3, $4, $5, $6)"

_SETTLE: Final = "SELECT {schema}.settle_attempt($1, $2)"

_REMEMBER_ADDRESS: Final = """
    INSERT INTO {schema}.known_addresses AS known (name, address, expires_at) VALUES ($1, $2, $3)
    ON CONFLICT (name, address) DO UPDATE SET expires_at = greatest(known.expires_at, excluded.expires_at)
"""

_FORGET_ADDRESSES: Final = """
    WITH spare AS MATERIALIZED (
        SELECT address FROM {schema}.known_addresses WHERE name = $1 ORDER BY expires_at DESC OFFSET $2
    ), batch AS MATERIALIZED (
        SELECT address FROM {schema}.known_addresses
        WHERE name = $1 AND address IN (SELECT address FROM spare) FOR UPDATE SKIP LOCKED
    )
    DELETE FROM {schema}.known_addresses AS known USING batch WHERE known.name = $1 AND known.address = batch.address
"""

_KNOWS_ADDRESS: Final = """
    SELECT 1 FROM {schema}.known_addresses WHERE name = $1 AND address = $2 AND expires_at > $3::double precision
"""

_OVERFLOW: Final = (
    "SELECT forget_at FROM {schema}.attempts WHERE forget_at > $1 ORDER BY forget_at DESC LIMIT 1 OFFSET $2"
)

_PURGE_ATTEMPTS: Final = """
    WITH batch AS MATERIALIZED (
        SELECT id FROM {schema}.attempts WHERE forget_at <= $1 ORDER BY forget_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM {schema}.attempts USING batch WHERE attempts.id = batch.id RETURNING 1
"""

_PURGE_ADDRESSES: Final = """
    WITH batch AS MATERIALIZED (
        SELECT name, address FROM {schema}.known_addresses WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
        FOR UPDATE SKIP LOCKED
    )
    DELETE FROM {schema}.known_addresses AS known USING batch
    WHERE known.name = batch.name AND known.address = batch.address RETURNING 1
"""

BATCH: Final = 1000  # some 10 ms: nobody waits for long for a row that a batch holds


class PostgresAttempts(AttemptStore):
    """The part of the PostgreSQL store that counts attempts; its tables are `ATTEMPT_TABLES`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def take_attempt(self, limits: Sequence[AttemptLimit], *, now: float, forget_at: float) -> Blocked | None:
        rows = await self._database.fetch(
            _TAKE,
            [limit.id for limit in limits],
            [limit.free for limit in limits],
            [wait for limit in limits for wait in limit.waits],
            list(accumulate((len(limit.waits) for limit in limits), initial=0)),
            now,
            forget_at,
        )
        return Blocked(id=rows[0][0], until=rows[0][1]) if rows else None

    async def settle_attempt(self, *, forget: Sequence[bytes], give_back: Sequence[bytes]) -> None:
        await self._database.fetch(_SETTLE, list(forget), list(give_back))

    async def remember_address(self, name: bytes, address: bytes, *, expires_at: int) -> None:
        await self._database.fetch(_REMEMBER_ADDRESS, name, address, expires_at)
        await self._database.fetch(_FORGET_ADDRESSES, name, KNOWN_ADDRESSES)

    async def knows_address(self, name: bytes, address: bytes, *, now: float) -> bool:
        return bool(await self._database.fetch(_KNOWS_ADDRESS, name, address, now))

    async def purge_attempts(self, now: int) -> None:
        """The part of `StateStore.purge` that is about attempts and addresses."""
        overflow = await self._database.fetch(_OVERFLOW, now, MAX_ATTEMPT_COUNTS)
        await self._in_batches(_PURGE_ATTEMPTS, overflow[0][0] if overflow else now)
        await self._in_batches(_PURGE_ADDRESSES, now)

    async def _in_batches(self, statement: str, cut_off: float) -> None:
        while len(await self._database.fetch(statement, cut_off, BATCH)) == BATCH:
            pass
