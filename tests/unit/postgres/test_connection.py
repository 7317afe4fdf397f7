"""One connection: set up the same on every server, and clear about whether it can go on."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.postgres.connection import PostgresConnection
from tests.postgres_server import PostgresServer

SETTINGS = (
    "SELECT current_setting('transaction_isolation'), current_setting('synchronous_commit'), "
    "current_setting('enable_seqscan'), current_setting('jit'), current_setting('statement_timeout'), "
    "current_setting('idle_in_transaction_session_timeout'), current_setting('application_name')"
)


@pytest.fixture
async def impatient(server: PostgresServer) -> AsyncIterator[PostgresConnection]:
    connection = await PostgresConnection.open(server.url(), seconds=0.5)
    yield connection
    connection.terminate()


async def test_settings_are_the_gateways_whatever_the_roles_are(server: PostgresServer) -> None:
    await server.run(
        "ALTER ROLE admin SET default_transaction_isolation = 'serializable'",
        "ALTER ROLE admin SET synchronous_commit = off",
        "ALTER ROLE admin SET statement_timeout = 77",
    )
    try:
        connection = await PostgresConnection.open(server.url(), seconds=20)
    finally:
        await server.run("ALTER ROLE admin RESET ALL")
    assert await connection.fetch(SETTINGS) == [
        ("read committed", "on", "off", "off", "20s", "40s", "simplejwt-gateway")
    ]
    await connection.close(seconds=20)


async def test_what_is_more_durable_than_asked_for_is_left_alone(server: PostgresServer) -> None:
    await server.run("ALTER ROLE admin SET synchronous_commit = remote_apply")
    try:
        connection = await PostgresConnection.open(server.url(), seconds=20)
    finally:
        await server.run("ALTER ROLE admin RESET ALL")
    assert await connection.fetch("SELECT current_setting('synchronous_commit')") == [("remote_apply",)]
    await connection.close(seconds=20)


async def test_a_server_is_known_from_a_pooler(connection: PostgresConnection) -> None:
    assert not connection.is_pooled


async def test_a_statement_is_prepared_once_and_takes_values_each_time(connection: PostgresConnection) -> None:
    statements = ["SELECT $1::int + 1 AS next", "SELECT $1::int + 2 AS next"]
    for statement, expected in zip(statements, (2, 3), strict=True):
        for number in (0, 40):
            assert await connection.fetch(statement, 1 + number) == [(expected + number,)]
    assert await connection.fetch("SELECT statement FROM pg_prepared_statements ORDER BY statement LIMIT 2") == [
        (statement,) for statement in statements
    ]


async def test_what_is_read_inside_of_a_transaction_is_of_that_transaction(connection: PostgresConnection) -> None:
    await connection.run("CREATE TABLE inside (n integer)")
    await connection.run("BEGIN; INSERT INTO inside VALUES (7)")
    assert await connection.read("SELECT n FROM inside WHERE n = $1", 7) == [(7,)]
    await connection.run("ROLLBACK")
    assert await connection.fetch("SELECT n FROM inside") == []


async def test_after_a_statement_that_took_too_long_it_goes_on(impatient: PostgresConnection) -> None:
    with pytest.raises(asyncpg.QueryCanceledError) as ended:
        await impatient.fetch("SELECT pg_sleep(60)")
    assert impatient.can_go_on(ended.value)
    assert await impatient.fetch("SELECT 1") == [(1,)]


@pytest.mark.parametrize("statement", ["SELECT nothing_there", "SELECT 1 / 0"])
async def test_after_any_other_failure_it_does_not(connection: PostgresConnection, statement: str) -> None:
    with pytest.raises(asyncpg.PostgresError) as failed:
        await connection.fetch(statement)
    assert not connection.can_go_on(failed.value)


async def test_after_its_end_it_does_not(server: PostgresServer, impatient: PostgresConnection) -> None:
    assert not impatient.is_closed
    impatient.terminate()
    assert impatient.is_closed
    assert not impatient.can_go_on(asyncpg.QueryCanceledError("too slow"))


async def test_a_notification_is_heard_and_so_is_the_end(
    server: PostgresServer, connection: PostgresConnection
) -> None:
    heard = asyncio.Event()
    await connection.listen("a channel", heard.set)
    await server.run("""NOTIFY "another channel" """)
    await server.run("SELECT 1")
    assert not heard.is_set()
    await server.run("""NOTIFY "a channel" """)
    await asyncio.wait_for(heard.wait(), 20)
    heard.clear()
    await server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    await asyncio.wait_for(heard.wait(), 20)
    assert connection.is_closed


async def test_a_replica_is_refused_and_left(server: PostgresServer) -> None:
    replica = server.standby()
    replica.start()
    try:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await PostgresConnection.open(replica.url(), seconds=20)
        left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'simplejwt-gateway'"
        async with asyncio.timeout(20):
            while await replica.run(left) != [(0,)]:
                pass
    finally:
        replica.stop()


async def test_a_good_bye_that_the_server_does_not_answer_ends_in_time(server: PostgresServer) -> None:
    connection = await PostgresConnection.open(server.url(), seconds=20)
    server.freeze()
    try:
        await asyncio.wait_for(connection.close(seconds=0.1), 20)
    finally:
        server.thaw()
    assert connection.is_closed
