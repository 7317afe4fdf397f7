"""Tables are brought up to date once, all or nothing, whoever else is at it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from gateway.errors import StoreUnavailable
from gateway.postgres.connection import PostgresConnection
from gateway.postgres.migrations import migrate, quoted
from tests.postgres_server import PostgresServer

FIRST = ["CREATE TABLE {schema}.things (id integer)"]
SECOND = ["ALTER TABLE {schema}.things ADD name text", "INSERT INTO {schema}.things VALUES (1, 'one')"]

Connect = Callable[[], Awaitable[PostgresConnection]]


@pytest.fixture
async def connect(server: PostgresServer) -> AsyncIterator[Connect]:
    opened = []

    async def connect() -> PostgresConnection:
        opened.append(await PostgresConnection.open(server.url(), seconds=20))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.terminate()


@pytest.fixture(params=["gateway", "select", 'Ünlikely "name"'])
async def schema(server: PostgresServer, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    name: str = request.param
    yield name
    await server.run(f"DROP SCHEMA IF EXISTS {quoted(name)} CASCADE")


def test_a_name_is_quoted_as_sql_has_it() -> None:
    assert [quoted(name) for name in ("gateway", 'a"b')] == ['"gateway"', '"a""b"']


async def versions(server: PostgresServer, schema: str) -> dict[str, int]:
    rows = await server.run(f"SELECT part, version FROM {quoted(schema)}.schema_versions")
    return dict(rows)


async def test_what_is_missing_is_applied_and_nothing_twice(
    server: PostgresServer, connection: PostgresConnection, schema: str
) -> None:
    await migrate(connection, schema, "part", [FIRST])
    assert await versions(server, schema) == {"part": 1}
    for _ in range(2):
        await migrate(connection, schema, "part", [FIRST, SECOND])
    assert await versions(server, schema) == {"part": 2}
    assert await server.run(f"SELECT * FROM {quoted(schema)}.things") == [(1, "one")]


async def test_each_part_has_a_version_of_its_own(
    server: PostgresServer, connection: PostgresConnection, schema: str
) -> None:
    await migrate(connection, schema, "one", [FIRST, SECOND])
    await migrate(connection, schema, "other", [["CREATE TABLE {schema}.others (id integer)"]])
    assert await versions(server, schema) == {"one": 2, "other": 1}


async def test_of_many_at_once_one_does_it(server: PostgresServer, connect: Connect, schema: str) -> None:
    connections = [await connect() for _ in range(6)]
    await asyncio.gather(*(migrate(each, schema, "part", [FIRST, SECOND]) for each in connections))
    assert await versions(server, schema) == {"part": 2}
    assert await server.run(f"SELECT * FROM {quoted(schema)}.things") == [(1, "one")]


async def test_one_that_fails_leaves_all_as_it_was(server: PostgresServer, connect: Connect, schema: str) -> None:
    await migrate(await connect(), schema, "part", [FIRST])
    failing = await connect()
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await migrate(failing, schema, "part", [FIRST, [*SECOND, "NONSENSE"]])
    failing.terminate()  # as whoever asks for it does
    assert await versions(server, schema) == {"part": 1}
    await migrate(await connect(), schema, "part", [FIRST, SECOND])
    assert await server.run(f"SELECT * FROM {quoted(schema)}.things") == [(1, "one")]


async def test_a_newer_gateways_part_is_refused_with_a_sentence(
    server: PostgresServer, connect: Connect, schema: str
) -> None:
    await migrate(await connect(), schema, "part", [FIRST, SECOND])
    older = await connect()
    with pytest.raises(StoreUnavailable, match=r"part of version 2, this one knows 1\); upgrade this gateway"):
        await migrate(older, schema, "part", [FIRST])
    older.terminate()  # as whoever asks for it does
    assert await versions(server, schema) == {"part": 2}


async def test_who_may_only_use_the_tables_finds_them_up_to_date(server: PostgresServer, connect: Connect) -> None:
    await migrate(await connect(), "read_by_others", "part", [FIRST])
    await server.run(
        "CREATE ROLE reader LOGIN PASSWORD 'reader'",
        "GRANT USAGE ON SCHEMA read_by_others TO reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA read_by_others TO reader",
    )
    reader = await PostgresConnection.open(server.url(user="reader", password="reader"), seconds=20)
    await migrate(reader, "read_by_others", "part", [FIRST])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await migrate(reader, "read_by_others", "part", [FIRST, SECOND])
    reader.terminate()


async def test_it_is_durable_and_not_cut_short_as_statements_are(connection: PostgresConnection, schema: str) -> None:
    noted = [
        "CREATE TABLE {schema}.noted AS SELECT current_setting('synchronous_commit') AS durable, "
        "current_setting('statement_timeout') AS patience"
    ]
    await connection.run("SET synchronous_commit = off; SET statement_timeout = '1s'")
    assert await connection.fetch("SELECT current_setting('statement_timeout')") == [("1s",)]
    await migrate(connection, schema, "part", [noted])
    assert await connection.fetch(f"SELECT durable, patience FROM {quoted(schema)}.noted") == [("on", "1min")]
    assert await connection.fetch("SELECT current_setting('statement_timeout')") == [("1s",)]
