"""Brings the tables of a schema up to date, whoever else starts at the same moment."""

import zlib
from collections.abc import Sequence
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.postgres.connection import PostgresConnection

MIGRATION_SECONDS: Final = 60.0  # for this one's, and for another replica's that it waits for

BEGIN_LONG: Final = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; "
    f"SET LOCAL statement_timeout = {round(MIGRATION_SECONDS * 1000)}"
)
"""Begins a transaction whose statements may take that long."""

_VERSIONS: Final = "CREATE TABLE {schema}.schema_versions (part text PRIMARY KEY, version integer NOT NULL)"

_GET_VERSION: Final = "SELECT version FROM {schema}.schema_versions WHERE part = $1"

_SET_VERSION: Final = (
    "INSERT INTO {schema}.schema_versions VALUES ($1, $2) ON CONFLICT (part) DO UPDATE SET version = excluded.version"
)


def quoted(schema: str) -> str:
    """The name as it stands in statements; reserved words need the quotes."""
    escaped = schema.replace('"', '""')
    return f'"{escaped}"'


async def migrate(connection: PostgresConnection, schema: str, part: str, migrations: Sequence[Sequence[str]]) -> None:
    """Apply what is missing of `migrations`, all or nothing.

    Raises `StoreUnavailable` when a newer gateway has brought the part further, and whatever the driver raises.
    """
    # The lock ends with the transaction, so a pooler does no harm. Locks have no owners: others may use the same number
    # for something else, which then waits a moment.
    lock = zlib.crc32(f"simplejwt-gateway {schema}".encode())
    await connection.run(f"{BEGIN_LONG}; SELECT pg_advisory_xact_lock({lock})")
    version = await _version(connection, schema, part)
    if version > len(migrations):
        raise StoreUnavailable(
            f"The schema {schema} was made by a newer gateway ({part} of version {version}, "
            f"this one knows {len(migrations)}); upgrade this gateway."
        )
    for statement in (statement for migration in migrations[version:] for statement in migration):
        await connection.run(statement.format(schema=quoted(schema)))
    if version < len(migrations):
        await connection.read(_SET_VERSION.format(schema=quoted(schema)), part, len(migrations))
    await connection.run("COMMIT")


async def _version(connection: PostgresConnection, schema: str, part: str) -> int:
    """How far the part is, 0 before the first migration; makes the schema and the table of versions."""
    [(has_schema,)] = await connection.read("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema)
    if not has_schema:  # IF NOT EXISTS would ask for the right to make it also when it is there
        await connection.run(f"CREATE SCHEMA {quoted(schema)}")
    [(table,)] = await connection.read("SELECT to_regclass($1)::text", f"{quoted(schema)}.schema_versions")
    if table is None:
        await connection.run(_VERSIONS.format(schema=quoted(schema)))
    rows = await connection.read(_GET_VERSION.format(schema=quoted(schema)), part)
    return int(rows[0][0]) if rows else 0
