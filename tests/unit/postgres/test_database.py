"""The way to a server: what it tells when there is none, and that it comes back by itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import StoreUnavailable
from gateway.postgres.database import PostgresDatabase
from tests.integration.processes import free_port
from tests.postgres_server import PostgresServer

PASSWORD = "pa55-w0rd"


@pytest.fixture
async def database(server: PostgresServer) -> AsyncIterator[PostgresDatabase]:
    database = database_at(server.url())
    yield database
    await database.close()


def database_at(url: str, *, max_connections: int = 2, timeout: float = 10.0) -> PostgresDatabase:
    return PostgresDatabase(url, schema="gateway", max_connections=max_connections, timeout=timeout)


async def refusal(database: PostgresDatabase, statement: str = "SELECT 1") -> str:
    with pytest.raises(StoreUnavailable) as refused:
        await database.fetch(statement)
    await database.close()
    return str(refused.value)


async def test_a_wrong_password_is_told_and_not_shown(server: PostgresServer) -> None:
    database = database_at(server.url(password=PASSWORD))
    sentence = await refusal(database)
    assert "refuses the user name or the password" in sentence
    assert f"127.0.0.1:{server.port}/postgres" in sentence
    assert PASSWORD not in sentence + repr(database)


async def test_a_missing_database_is_told(server: PostgresServer) -> None:
    assert "has no such database" in await refusal(database_at(server.url(database="nowhere")))


async def test_a_server_that_is_not_there_is_told() -> None:
    assert "cannot be reached" in await refusal(database_at(f"postgresql://u:{PASSWORD}@127.0.0.1:{free_port()}/d"))


async def test_a_role_without_rights_is_told_and_one_without_the_right_to_make_tables_is_enough(
    server: PostgresServer,
) -> None:
    await server.run("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    plain = database_at(server.url(user="plain", password="plain"))
    with pytest.raises(StoreUnavailable, match="does not give this role the rights that it needs"):
        await plain.prepare("part", [["CREATE TABLE {schema}.things (id integer)"]])
    owner = database_at(server.url())
    await owner.prepare("part", [["CREATE TABLE {schema}.things (id integer)"]])
    await server.run("GRANT USAGE ON SCHEMA gateway TO plain", "GRANT SELECT ON ALL TABLES IN SCHEMA gateway TO plain")
    await plain.prepare("part", [["CREATE TABLE {schema}.things (id integer)"]])
    assert await plain.fetch("SELECT id FROM {schema}.things") == []
    assert "does not give this role the rights" in await refusal(plain, "DELETE FROM {schema}.things")
    await owner.close()


async def test_a_migration_that_fails_leaves_nothing_behind(server: PostgresServer) -> None:
    database = PostgresDatabase(server.url(), schema="select", max_connections=1, timeout=10.0)
    with pytest.raises(StoreUnavailable):
        await database.prepare("part", [["CREATE TABLE {schema}.things (id integer)", "NONSENSE"]])
    await database.prepare("part", [["CREATE TABLE {schema}.things (id integer)"]])
    await database.prepare("part", [["NONSENSE"], ["ALTER TABLE {schema}.things ADD name text"]])
    assert await database.fetch("SELECT id, name FROM {schema}.things") == []
    await database.close()


async def test_a_read_only_server_is_told(server: PostgresServer, database: PostgresDatabase) -> None:
    await server.run("CREATE TABLE IF NOT EXISTS kept (id integer)")
    await server.run("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    try:
        with pytest.raises(StoreUnavailable, match="is read-only"):
            for _ in range(100):
                await database.fetch("INSERT INTO kept VALUES (1)")
                await asyncio.sleep(0.05)
    finally:
        await server.run("SET default_transaction_read_only = off", "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")


async def test_a_replica_is_refused_and_the_primary_found_among_several_hosts(server: PostgresServer) -> None:
    replica = server.standby()
    replica.start()
    try:
        assert "is read-only, as a replica is" in await refusal(database_at(replica.url()))
        hosts = f"127.0.0.1:{replica.port},127.0.0.1:{server.port}"
        database = database_at(f"postgresql://admin:top-secret@{hosts}/postgres?target_session_attrs=read-write")
        assert await database.fetch("SELECT pg_is_in_recovery()") == [(False,)]
        await database.close()
    finally:
        replica.stop()


async def test_a_statement_that_takes_too_long_is_ended_and_its_connection_goes_on(server: PostgresServer) -> None:
    database = database_at(server.url(), max_connections=1, timeout=0.3)
    [(before,)] = await database.fetch("SELECT pg_backend_pid()")
    with pytest.raises(StoreUnavailable, match="too slow"):
        await database.fetch("SELECT pg_sleep(60)")
    assert await database.fetch("SELECT pg_backend_pid()") == [(before,)]
    await database.close()


async def test_a_frozen_server_is_given_up_in_time_and_found_again(server: PostgresServer) -> None:
    database = database_at(server.url(), max_connections=2, timeout=0.5)
    await database.fetch("SELECT 1")
    server.freeze()
    try:
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="does not answer in time"):
                await asyncio.wait_for(database.fetch("SELECT 1"), 10)
    finally:
        server.thaw()
    assert await _comes_back(database)
    await database.close()


async def _comes_back(database: PostgresDatabase) -> bool:
    async with asyncio.timeout(20):
        while True:
            try:
                return await database.fetch("SELECT 1") == [(1,)]
            except StoreUnavailable:
                await asyncio.sleep(0.05)


async def test_a_cut_connection_costs_one_answer_at_most(server: PostgresServer, database: PostgresDatabase) -> None:
    sleeping = asyncio.create_task(database.fetch("SELECT pg_sleep(60)"))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
    while not await server.run(cut):
        pass
    with pytest.raises(StoreUnavailable, match="the connection"):
        await sleeping
    assert await database.fetch("SELECT 1") == [(1,)]


async def test_who_waits_for_a_connection_in_vain_is_told_so(server: PostgresServer) -> None:
    database = database_at(server.url(), max_connections=1, timeout=2.0)
    await database.fetch("SELECT 1")
    statements = [database.fetch("SELECT pg_sleep(1.5)") for _ in range(4)]
    outcomes = await asyncio.gather(*statements, return_exceptions=True)
    assert outcomes[0] == [(None,)]
    assert any("all 1 connections were busy" in str(outcome) for outcome in outcomes)
    assert all(isinstance(outcome, (list, StoreUnavailable)) for outcome in outcomes)
    assert await _comes_back(database)
    await database.close()


async def test_there_are_never_more_connections_than_there_may_be(server: PostgresServer) -> None:
    database = database_at(server.url(), max_connections=3)
    pids = await asyncio.gather(*(database.fetch("SELECT pg_backend_pid()") for _ in range(50)))
    assert len({pid for [(pid,)] in pids}) <= 3
    await database.close()


async def test_who_is_cancelled_leaves_his_statement_to_its_end_and_the_connection_whole(
    server: PostgresServer,
) -> None:
    database = database_at(server.url(), max_connections=1)
    await server.run("CREATE TABLE IF NOT EXISTS done (id integer)", "TRUNCATE done")
    leaving = asyncio.create_task(database.fetch("INSERT INTO done SELECT 1 FROM pg_sleep(0.3)"))
    waiting = asyncio.create_task(database.fetch("INSERT INTO done SELECT 2 FROM pg_sleep(0.1)"))
    while not await server.run("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'INSERT INTO done%'"):
        pass
    leaving.cancel()
    waiting.cancel()
    await asyncio.gather(leaving, waiting, return_exceptions=True)
    assert await database.fetch("SELECT id FROM done") == [(1,)]
    await database.close()


async def test_the_servers_own_settings_do_not_decide(server: PostgresServer) -> None:
    await server.run(
        "ALTER ROLE admin SET default_transaction_isolation = 'serializable'",
        "ALTER ROLE admin SET synchronous_commit = off",
    )
    try:
        database = database_at(server.url())
        names = ("transaction_isolation", "synchronous_commit", "enable_seqscan", "jit")
        settings = ", ".join(f"current_setting('{name}')" for name in names)
        assert await database.fetch(f"SELECT {settings}") == [("read committed", "on", "off", "off")]
        await database.close()
    finally:
        await server.run("ALTER ROLE admin RESET ALL")


async def test_what_is_closed_stays_closed(database: PostgresDatabase) -> None:
    await database.fetch("SELECT 1")
    await database.close()
    with pytest.raises(StoreUnavailable, match="closed by this process"):
        await database.fetch("SELECT 1")
