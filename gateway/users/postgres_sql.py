"""The tables of users in PostgreSQL, and every statement on them. `{schema}` stands for the schema.

What makes a change known, cuts off what was issued before it and gives ids is done by triggers, so that changes made by
hand in psql count as those of `gateway user` do.

Whatever changes users first locks the feed's row (`postgres.feeds`), then rows of users, so nobody waits in a circle.
It also remembers the last id: the id of a removed user is in tokens that are still out, and must never become somebody
else's. A SEQUENCE would not know of ids that were given by hand or came from elsewhere.

10,000 changes are kept: a reader asks every second, so only a bulk import outruns it, and it is then told so.
"""

from typing import Final

from gateway.postgres.feeds import EPOCH

_KEPT_CHANGES: Final = "10000"

USER_COLUMNS: Final = "id, username, email, roles, is_active, credentials_changed_at, claims_changed_at"
"""All that the gateway knows of a user."""

_TABLES: Final = (
    "CREATE TABLE {schema}.user_feed (one boolean PRIMARY KEY DEFAULT true CHECK (one), last bigint, last_id bigint)",
    "INSERT INTO {schema}.user_feed (last, last_id) VALUES (0, 0)",
    "CREATE TABLE {schema}.user_changes (sequence bigint PRIMARY KEY, user_id bigint NOT NULL)",
    """
    CREATE FUNCTION {schema}.next_user_id() RETURNS bigint LANGUAGE sql AS $$
        UPDATE {schema}.user_feed SET last_id = last_id + 1 WHERE one RETURNING last_id
    $$
    """,
    # Compared as SQLite and Python compare: byte by byte. With "C" lower() knows of ASCII alone.
    """
    CREATE TABLE {schema}.users (
        id bigint PRIMARY KEY DEFAULT {schema}.next_user_id() CHECK (id BETWEEN 1 AND 999999999999999999),
        username text COLLATE "C" NOT NULL UNIQUE,
        email text COLLATE "C" NOT NULL DEFAULT '',
        roles text[] COLLATE "C" NOT NULL DEFAULT ARRAY[]::text[]
            CHECK (array_position(roles, NULL) IS NULL AND coalesce(array_ndims(roles), 1) = 1),
        is_active boolean NOT NULL DEFAULT true,
        password_hash text COLLATE "C" NOT NULL,
        rehashes bigint NOT NULL DEFAULT 0,
        credentials_changed_at bigint NOT NULL DEFAULT 0,
        claims_changed_at bigint NOT NULL DEFAULT 0
    )
    """,
    "CREATE UNIQUE INDEX users_by_email ON {schema}.users (lower(email)) WHERE email <> ''",
)

# A stronger hash of the same password is no change of it; the statement that stores one says so by counting. A clock
# that was set back, or that of another server, takes nothing back.
_CUT_OFFS: Final = (
    """
    CREATE FUNCTION {schema}.cut_users_off() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        moment CONSTANT bigint := floor(extract(epoch FROM clock_timestamp()));
    BEGIN
        IF new.password_hash <> old.password_hash AND new.rehashes = old.rehashes THEN
            new.credentials_changed_at := greatest(old.credentials_changed_at, moment);
        END IF;
        IF (new.username, new.email, new.roles) <> (old.username, old.email, old.roles) THEN
            new.claims_changed_at := greatest(old.claims_changed_at, moment);
        END IF;
        RETURN new;
    END $$
    """,
    """
    CREATE TRIGGER users_cut_off BEFORE UPDATE OF username, email, roles, password_hash ON {schema}.users
    FOR EACH ROW EXECUTE FUNCTION {schema}.cut_users_off()
    """,
)

# Once a statement, not once a row: each note is another version of the feed's row, and all those of one transaction
# would be looked through for the next one.
_FEED: Final = (
    """
    CREATE FUNCTION {schema}.lock_users() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM FROM {schema}.user_feed WHERE one FOR UPDATE;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER users_locked BEFORE INSERT OR UPDATE OR DELETE ON {schema}.users
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.lock_users()
    """,
    """
    CREATE FUNCTION {schema}.note_users() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        changed bigint[];
        reached bigint;
    BEGIN
        IF TG_OP = 'INSERT' THEN
            SELECT array_agg(id) INTO changed FROM new_users;
        ELSIF TG_OP = 'DELETE' THEN
            SELECT array_agg(id) INTO changed FROM old_users;
        ELSE
            SELECT array_agg(DISTINCT id) INTO changed FROM (
                (SELECT COLUMNS FROM old_users EXCEPT SELECT COLUMNS FROM new_users)
                UNION ALL (SELECT COLUMNS FROM new_users EXCEPT SELECT COLUMNS FROM old_users)
            ) AS differing;
        END IF;
        IF changed IS NULL THEN
            RETURN NULL;
        END IF;
        UPDATE {schema}.user_feed SET last = last + cardinality(changed),
            last_id = greatest(last_id, (SELECT max(id) FROM unnest(changed) AS id))
            WHERE one RETURNING last INTO reached;
        INSERT INTO {schema}.user_changes
            SELECT reached - cardinality(changed) + n, id FROM unnest(changed) WITH ORDINALITY AS change (id, n)
            WHERE n > cardinality(changed) - KEPT;
        DELETE FROM {schema}.user_changes
            WHERE sequence > reached - KEPT - cardinality(changed) AND sequence <= reached - KEPT;
        PERFORM pg_notify(TG_TABLE_SCHEMA || '_news', '');
        RETURN NULL;
    END $$
    """.replace("COLUMNS", USER_COLUMNS).replace("KEPT", _KEPT_CHANGES),
    """
    CREATE TRIGGER users_added AFTER INSERT ON {schema}.users REFERENCING NEW TABLE AS new_users
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.note_users()
    """,
    """
    CREATE TRIGGER users_changed AFTER UPDATE ON {schema}.users
    REFERENCING OLD TABLE AS old_users NEW TABLE AS new_users
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.note_users()
    """,
    """
    CREATE TRIGGER users_removed AFTER DELETE ON {schema}.users REFERENCING OLD TABLE AS old_users
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.note_users()
    """,
    """
    CREATE FUNCTION {schema}.note_no_users() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE {schema}.user_feed SET last = last + 1 WHERE one;
        DELETE FROM {schema}.user_changes;
        PERFORM pg_notify(TG_TABLE_SCHEMA || '_news', '');
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER users_truncated AFTER TRUNCATE ON {schema}.users
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.note_no_users()
    """,
)

MIGRATIONS: Final = ((*_TABLES, *_CUT_OFFS, *_FEED),)

ENCODING: Final = "SELECT current_setting('server_encoding')"

_SELECT_USER: Final = f"SELECT {USER_COLUMNS} FROM {{schema}}.users"

_SELECT_ACCOUNT: Final = f"SELECT {USER_COLUMNS}, password_hash FROM {{schema}}.users"

FIND_BY_ID: Final = f"{_SELECT_USER} WHERE id = $1"

FIND_BY_USERNAME: Final = f"{_SELECT_ACCOUNT} WHERE username = $1"

# `email <> ''` lets the partial index serve, and keeps an empty log-in from finding all who have no address.
_HAS_EMAIL: Final = "lower(email) = lower($1::text COLLATE \"C\") AND email <> ''"

FIND_BY_EMAIL: Final = f"{_SELECT_ACCOUNT} WHERE {_HAS_EMAIL} AND email = $1"

LIST: Final = f"{_SELECT_USER} WHERE username > $1 ORDER BY username LIMIT $2"

LIST_ACCOUNTS: Final = f"{_SELECT_ACCOUNT} ORDER BY username"

LAST_ID: Final = "SELECT last_id FROM {schema}.user_feed WHERE one"

RAISE_LAST_ID: Final = "UPDATE {schema}.user_feed SET last_id = greatest(last_id, $1) WHERE one"

# Roles are lists of any length, which no array of arrays is; so each list comes as JSON.
INSERT_ACCOUNTS: Final = f"""
    INSERT INTO {{schema}}.users ({USER_COLUMNS}, password_hash)
    SELECT id, username, email,
        ARRAY(SELECT role FROM jsonb_array_elements_text(roles::jsonb) WITH ORDINALITY AS each (role, n) ORDER BY n),
        is_active, credentials_changed_at, claims_changed_at, password_hash
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::bigint[], $7::bigint[], $8::text[])
        AS given ({USER_COLUMNS}, password_hash)
"""

INSERT: Final = f"""
    INSERT INTO {{schema}}.users (email, username, roles, password_hash)
    SELECT $1::text, $2::text, $3::text[], $4::text
    WHERE NOT EXISTS (SELECT FROM {{schema}}.users WHERE username = $2)
        AND NOT EXISTS (SELECT FROM {{schema}}.users WHERE {_HAS_EMAIL})
    ON CONFLICT DO NOTHING RETURNING {USER_COLUMNS}
"""

IS_TAKEN: Final = f"""
    SELECT EXISTS (SELECT FROM {{schema}}.users WHERE username = $2) AS name,
        EXISTS (SELECT FROM {{schema}}.users WHERE {_HAS_EMAIL}) AS email
"""

_UPDATE: Final = "UPDATE {schema}.users SET"

_OF_NAME: Final = f"WHERE username = $1 RETURNING {USER_COLUMNS}"

SET_PASSWORD_HASH: Final = f"{_UPDATE} password_hash = $2 {_OF_NAME}"

SET_ACTIVE: Final = f"{_UPDATE} is_active = $2 {_OF_NAME}"

SET_ROLES: Final = f"{_UPDATE} roles = $2 {_OF_NAME}"

REMOVE: Final = f"DELETE FROM {{schema}}.users {_OF_NAME}"

REHASH: Final = f"{_UPDATE} password_hash = $3, rehashes = rehashes + 1 WHERE id = $1 AND password_hash = $2"

# All that are later than a known position, if none of them is missing. The oldest one is not asked for: behind it lie
# those that were deleted and not swept out yet, after an import of a million users a million.
CHANGES_SINCE: Final = f"""
    WITH feed AS MATERIALIZED (
        SELECT started_at, oid, last, started_at = $1 AND oid = $2 AND $3 <= last AS is_of_epoch
        FROM (SELECT {EPOCH}, last FROM {{schema}}.user_feed WHERE one) AS present
    )
    SELECT started_at, oid, last, is_of_epoch AND later.number = last - $3 AS is_known, later.user_ids
    FROM feed LEFT JOIN LATERAL (
        SELECT count(*) AS number, array_agg(DISTINCT user_id) AS user_ids
        FROM {{schema}}.user_changes WHERE feed.is_of_epoch AND sequence > $3
    ) AS later ON true
"""
