"""The tables of sessions and revocations in PostgreSQL, and every statement on them. `{schema}` stands for the schema.

The feed's row (`postgres.feeds`) also remembers the last number when its revocation has been purged.

Locks are taken in one order, so nobody waits in a circle: first the feed's row, then rows by id; a purge skips what is
locked, for the next purge.
"""

from typing import Final

from gateway.postgres.feeds import EPOCH

MIGRATIONS: Final = (
    (
        "CREATE TABLE {schema}.revocation_feed (one boolean PRIMARY KEY DEFAULT true CHECK (one), last bigint)",
        "INSERT INTO {schema}.revocation_feed (last) VALUES (0)",
        """
        CREATE TABLE {schema}.revocations (
            sequence bigint PRIMARY KEY,
            kind text COLLATE "C" NOT NULL CHECK (kind IN ('token', 'session', 'user', 'everything')),
            revoked_id bytea NOT NULL,
            whole_id bytea,
            expires_at bigint NOT NULL,
            up_to bigint NOT NULL,
            UNIQUE (kind, revoked_id)
        )
        """,
        "CREATE INDEX revocations_by_expiry ON {schema}.revocations (expires_at)",
        """
        CREATE TABLE {schema}.sessions (
            id bytea PRIMARY KEY,
            whole_id bytea,
            user_id bytea NOT NULL,
            whole_user_id bytea,
            token_id bytea NOT NULL,
            parent_id bytea,
            rotated_at bigint NOT NULL,
            created_at bigint NOT NULL,
            last_used_at bigint NOT NULL,
            expires_at bigint NOT NULL,
            address text NOT NULL,
            user_agent text NOT NULL
        )
        """,
        "CREATE INDEX sessions_by_user ON {schema}.sessions (user_id, id)",
        "CREATE INDEX sessions_by_expiry ON {schema}.sessions (expires_at)",
    ),
)

SESSION_COLUMNS: Final = (
    "id, whole_id, user_id, whole_user_id, token_id, parent_id, rotated_at, created_at, last_used_at, expires_at, "
    "address, user_agent"
)

INSERT_SESSION: Final = (
    f"INSERT INTO {{schema}}.sessions ({SESSION_COLUMNS}) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO NOTHING RETURNING 1"
)

FIND_SESSION: Final = f"SELECT {SESSION_COLUMNS} FROM {{schema}}.sessions WHERE id = $1"

REPLACE_SESSION: Final = """
    UPDATE {schema}.sessions
    SET token_id = $1, parent_id = $2, rotated_at = $3, last_used_at = $4, expires_at = $5, address = $6,
        user_agent = $7
    WHERE id = $8 AND token_id = $9
    RETURNING 1
"""

LIST_SESSIONS: Final = f"SELECT {SESSION_COLUMNS} FROM {{schema}}.sessions WHERE id > $1 ORDER BY id LIMIT $2"

LIST_SESSIONS_OF_USER: Final = (
    f"SELECT {SESSION_COLUMNS} FROM {{schema}}.sessions WHERE user_id = $3 AND id > $1 ORDER BY id LIMIT $2"
)

# No row: it was recorded before, and as long as now. xmax is 0 in a row that was inserted, not updated. The
# notification goes out with the commit.
REVOKE: Final = """
    WITH feed AS (
        UPDATE {schema}.revocation_feed SET last = last + 1 WHERE one RETURNING last
    ), recorded AS (
        INSERT INTO {schema}.revocations AS known (sequence, kind, revoked_id, whole_id, expires_at, up_to)
        SELECT last, $1, $2, $3, $4, $5 FROM feed
        ON CONFLICT (kind, revoked_id) DO UPDATE
        SET sequence = excluded.sequence,
            expires_at = greatest(known.expires_at, excluded.expires_at),
            up_to = greatest(known.up_to, excluded.up_to)
        WHERE known.expires_at < excluded.expires_at OR known.up_to < excluded.up_to
        RETURNING known.xmax = 0 AS is_new
    ), ended AS (
        DELETE FROM {schema}.sessions WHERE id = $2 AND $1 = 'session'
    )
    SELECT is_new, pg_notify($6, '') FROM recorded
"""

# A page at a time, whatever is in it: where few sessions were rotated early enough, one statement would read them all.
_END_SESSIONS: Final = """
    WITH page AS MATERIALIZED (
        SELECT id FROM {schema}.sessions WHERE OF_USER id > $1 ORDER BY id LIMIT $2 FOR UPDATE
    ), ended AS (
        DELETE FROM {schema}.sessions USING page WHERE sessions.id = page.id AND sessions.rotated_at <= $3
    )
    SELECT id FROM page ORDER BY id
"""

END_SESSIONS: Final = _END_SESSIONS.replace("OF_USER ", "")

END_SESSIONS_OF_USER: Final = _END_SESSIONS.replace("OF_USER", "user_id = $4 AND")

IS_REVOKED: Final = """
    SELECT EXISTS (SELECT FROM {schema}.revocations WHERE kind = 'token' AND revoked_id = $1)
        OR EXISTS (SELECT FROM {schema}.revocations WHERE kind = 'session' AND revoked_id = $2)
        OR EXISTS (SELECT FROM {schema}.revocations WHERE kind = 'user' AND revoked_id = $3 AND up_to >= $4)
        OR EXISTS (SELECT FROM {schema}.revocations WHERE kind = 'everything' AND revoked_id = '' AND up_to >= $4)
"""

REVOCATIONS_SINCE: Final = f"""
    WITH feed AS MATERIALIZED (
        SELECT started_at, oid, last,
            CASE WHEN started_at = $1 AND oid = $2 AND $3 <= last THEN $3 ELSE 0 END AS known
        FROM (
            SELECT {EPOCH}, last
            FROM {{schema}}.revocation_feed WHERE one
        ) AS present
    )
    SELECT feed.started_at, feed.oid, feed.last, new.*
    FROM feed LEFT JOIN LATERAL (
        SELECT sequence, kind, revoked_id, whole_id, expires_at, up_to FROM {{schema}}.revocations
        WHERE sequence > feed.known ORDER BY sequence LIMIT $4
    ) AS new ON true
    ORDER BY new.sequence
"""

PURGES: Final = (
    """
    WITH batch AS MATERIALIZED (
        SELECT sequence FROM {schema}.revocations WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
        FOR UPDATE SKIP LOCKED
    )
    DELETE FROM {schema}.revocations USING batch WHERE revocations.sequence = batch.sequence RETURNING 1
    """,
    """
    WITH batch AS MATERIALIZED (
        SELECT id FROM {schema}.sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    DELETE FROM {schema}.sessions USING batch WHERE sessions.id = batch.id RETURNING 1
    """,
)
