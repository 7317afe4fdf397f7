"""PostgreSQL: what every directory does, and what only a server can suffer or a hand in psql do."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from gateway.errors import StoreUnavailable
from gateway.postgres.database import PostgresDatabase
from gateway.state.postgres import PostgresStateStore
from gateway.users import postgres_sql
from gateway.users.names import LoginAttribute
from gateway.users.postgres import PostgresUserDirectory
from tests.postgres_server import PostgresServer
from tests.unit.users.directory_behaviour import DirectoryBehaviour, OpenDirectory, add

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def schema() -> str:
    return f"gateway_{next(_numbers)}"


def database_at(server: PostgresServer, schema: str, **names: str) -> PostgresDatabase:
    return PostgresDatabase(server.url(**names), schema=schema, max_connections=2, timeout=20)


@pytest.fixture
async def open_directory(server: PostgresServer, schema: str) -> AsyncIterator[OpenDirectory]:
    opened = []

    async def open_one(login_attribute: LoginAttribute = "username") -> PostgresUserDirectory:
        directory = PostgresUserDirectory(database_at(server, schema), login_attribute=login_attribute)
        opened.append(directory)
        await directory.prepare()
        return directory

    yield open_one
    for directory in opened:
        await directory.close()


class TestPostgresUserDirectory(DirectoryBehaviour):
    async def test_ids_count_from_one_as_djangos_do(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        assert [(await add(directory, name)).id for name in ("alice", "bob", "carol")] == ["1", "2", "3"]
        await directory.remove("carol")
        await directory.close()
        assert (await add(await open_directory(), "dave")).id == "4"


async def test_every_statement_has_its_index(
    server: PostgresServer, schema: str, open_directory: OpenDirectory
) -> None:
    await open_directory()
    connection = await asyncpg.connect(server.url())
    texts = [
        value
        for name, value in vars(postgres_sql).items()
        if isinstance(value, str) and "{schema}" in value and not name.startswith("_")
    ]
    assert len(texts) >= 12
    await connection.execute("SET enable_seqscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan")
    for number, text in enumerate(texts):
        await connection.execute(f"PREPARE p{number} AS {text.format(schema=schema)}")
        [(types,)] = await connection.fetch(
            f"SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'p{number}'"
        )
        values = f"({', '.join(['NULL'] * types)})" if types else ""
        rows = await connection.fetch(f"EXPLAIN EXECUTE p{number}{values}")
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan" not in plan, plan
    await connection.close()


async def test_changes_made_by_hand_are_in_the_feed(
    server: PostgresServer, schema: str, open_directory: OpenDirectory
) -> None:
    gateway = await open_directory()
    for name in ("alice", "bob", "carol", "erin"):
        await add(gateway, name)
    position = (await gateway.changes_since(0)).position
    await server.run(
        f"UPDATE {schema}.users SET is_active = false WHERE username = 'alice'",
        f"UPDATE {schema}.users SET id = 7 WHERE username = 'bob'",
        f"DELETE FROM {schema}.users WHERE username = 'carol'",
        f"INSERT INTO {schema}.users (username, password_hash) VALUES ('dave', '')",
        f"UPDATE {schema}.users SET is_active = true WHERE username = 'erin'",  # as he was
    )
    assert (await gateway.changes_since(position)).user_ids == {"1", "2", "3", "7", "8"}
    dave = await gateway.find_by_id("8")  # behind the 7 that was given by hand
    assert dave is not None
    assert (dave.username, dave.email, dave.roles, dave.is_active) == ("dave", "", (), True)
    position = (await gateway.changes_since(0)).position
    await server.run(f"TRUNCATE {schema}.users")
    assert (await gateway.changes_since(position)).everything
    assert (await add(gateway, "frank")).id == "9"


async def test_what_is_done_by_hand_cuts_off_what_was_issued_before(
    server: PostgresServer, schema: str, open_directory: OpenDirectory
) -> None:
    directory = await open_directory()
    alice = await add(directory, "alice", roles=("staff",))
    await server.run(f"UPDATE {schema}.users SET roles = '{{}}', password_hash = 'x'")
    changed = await directory.find_by_id(alice.id)
    assert changed is not None
    assert changed.roles == ()
    assert min(changed.claims_changed_at, changed.credentials_changed_at) > 0
    later = changed.credentials_changed_at + 10_000  # by a clock that was set back since
    await server.run(
        f"UPDATE {schema}.users SET credentials_changed_at = {later}, claims_changed_at = {later}",
        f"UPDATE {schema}.users SET username = 'bob', password_hash = 'y'",
    )
    bob = await directory.find_by_id(alice.id)
    assert bob is not None
    assert (bob.credentials_changed_at, bob.claims_changed_at) == (later, later)


@pytest.mark.parametrize("values", ["roles = ARRAY['a', NULL]", "roles = ARRAY[['a'], ['b']]", "id = 0", "id = 10^18"])
async def test_what_the_gateway_could_not_read_nobody_can_write(
    server: PostgresServer, schema: str, open_directory: OpenDirectory, values: str
) -> None:
    alice = await add(await open_directory(), "alice")
    with pytest.raises((asyncpg.CheckViolationError, asyncpg.FeatureNotSupportedError)):
        await server.run(f"UPDATE {schema}.users SET {values}")
    assert await (await open_directory()).find_by_id(alice.id) == alice


async def test_s83_the_feed_is_bounded_and_says_when_it_no_longer_reaches_back(
    server: PostgresServer, schema: str, open_directory: OpenDirectory
) -> None:
    gateway = await open_directory()
    await add(gateway, "alice")
    position = (await gateway.changes_since(0)).position
    many = f"INSERT INTO {schema}.users (id, username, password_hash) SELECT n, n::text, '' FROM generate_series"
    await server.run(f"{many}(2, 10000) n")
    assert len((await gateway.changes_since(position)).user_ids) == 9_999
    await server.run(f"UPDATE {schema}.users SET is_active = false WHERE id = 1")
    assert len((await gateway.changes_since(position)).user_ids) == 10_000
    await server.run(f"UPDATE {schema}.users SET is_active = true WHERE id = 1")
    changes = await gateway.changes_since(position)
    assert (changes.user_ids, changes.everything) == (frozenset(), True)
    await server.run(f"{many}(20001, 40000) n")
    assert (await gateway.changes_since(changes.position)).everything
    assert await server.run(f"SELECT count(*) FROM {schema}.user_changes") == [(10_000,)]
    assert len(await gateway.all_users()) == 30_000
    position = (await gateway.changes_since(0)).position
    await server.run(f"UPDATE {schema}.users SET is_active = false WHERE id = 1", f"DELETE FROM {schema}.user_changes")
    assert (await gateway.changes_since(position)).everything
    assert not (await gateway.changes_since((await gateway.changes_since(position)).position)).everything
    assert (await add(gateway, "bob")).id == "40001"


async def test_the_feed_never_tells_a_later_change_before_an_earlier_one(open_directory: OpenDirectory) -> None:
    reader, *writers = [await open_directory() for _ in range(4)]
    position = (await reader.changes_since(0)).position
    writing = asyncio.gather(*(add(writers[n % 3], f"user {n}") for n in range(150)))
    heard: set[str] = set()
    while len(heard) < 150:
        news = await reader.changes_since(position)
        assert not news.everything
        position = news.position
        heard |= news.user_ids
    await writing


async def test_many_who_change_many_do_not_wait_in_a_circle(
    server: PostgresServer, schema: str, open_directory: OpenDirectory
) -> None:
    directory = await open_directory()
    for number in range(20):
        await add(directory, f"user {number}")
    everybody = f"UPDATE {schema}.users SET is_active = NOT is_active"
    one = f"UPDATE {schema}.users SET is_active = NOT is_active WHERE id = "
    both_ways = (everybody, f"BEGIN; {one} 1; {one} 2; COMMIT", f"BEGIN; {one} 2; {one} 1; COMMIT")

    async def change(script: str) -> None:
        connection = await asyncpg.connect(server.url())
        for _ in range(20):
            await connection.execute(script)
        await connection.close()

    await asyncio.gather(*(change(script) for script in both_ways for _ in range(2)))
    assert len(await directory.all_users()) == 20


async def test_a_change_of_a_user_is_told_to_who_waits_for_revocations(
    server: PostgresServer, schema: str, open_directory: OpenDirectory
) -> None:
    directory = await open_directory()
    store = PostgresStateStore(database_at(server, schema))
    await store.prepare()
    await store.wait_for_revocations(20)  # the first one begins to listen
    async with asyncio.timeout(10):
        for change in (
            add(directory, "alice"),
            directory.set_roles("alice", ["staff"]),
            directory.set_password_hash("alice", "new"),
            directory.set_active("alice", is_active=False),
            directory.remove("alice"),
            server.run(f"TRUNCATE {schema}.users"),
        ):
            await change
            await store.wait_for_revocations(20)
    await store.close()


async def test_s58_nothing_acknowledged_is_lost_when_the_server_is_killed_and_all_is_told_anew(
    server: PostgresServer, open_directory: OpenDirectory
) -> None:
    directory, acknowledged = await open_directory(), []
    position = (await directory.changes_since(0)).position
    ended = asyncio.Event()

    async def write(letter: str) -> None:
        for number in itertools.count():
            try:
                acknowledged.append((await add(directory, f"{letter}{number}")).username)
            except StoreUnavailable:
                return
            if len(acknowledged) == 40:
                ended.set()

    writers = [asyncio.create_task(write(letter)) for letter in "abc"]
    await ended.wait()
    await asyncio.to_thread(server.kill)
    await asyncio.gather(*writers)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await directory.find_by_login("a0")
    await asyncio.to_thread(server.start)
    assert set(acknowledged) <= {user.username for user in await directory.all_users()}
    assert (await directory.changes_since(position)).everything


async def test_a_backup_that_is_put_back_means_everything_and_goes_on(
    server: PostgresServer, schema: str, open_directory: OpenDirectory
) -> None:
    gateway = await open_directory()
    for name in ("alice", "bob", "carol"):
        await add(gateway, name, f"{name}@example.org", ("staff",))
    await gateway.remove("carol")
    before, position = await gateway.dump(), (await gateway.changes_since(0)).position
    await asyncio.to_thread(server.put_back, schema)
    changes = await gateway.changes_since(position)
    assert changes.everything
    assert await (await open_directory()).dump() == before
    await gateway.set_roles("bob", [])
    dave = await add(gateway, "dave")
    assert dave.id == "4"
    assert (await gateway.changes_since(changes.position)).user_ids == {"2", "4"}


async def test_a_newer_gateways_schema_is_refused(
    server: PostgresServer, schema: str, open_directory: OpenDirectory
) -> None:
    await open_directory()
    await server.run(f"UPDATE {schema}.schema_versions SET version = 99 WHERE part = 'users'")
    with pytest.raises(
        StoreUnavailable, match=r"made by a newer gateway \(users of version 99, .*upgrade this gateway"
    ):
        await open_directory()


async def test_replicas_may_start_at_once(open_directory: OpenDirectory) -> None:
    directories = await asyncio.gather(*(open_directory() for _ in range(8)))
    assert await directories[7].find_by_id((await add(directories[0], "alice")).id) is not None


async def test_a_database_that_cannot_hold_every_name_is_refused(server: PostgresServer, schema: str) -> None:
    await server.run("CREATE DATABASE old ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    directory = PostgresUserDirectory(database_at(server, schema, database="old"), login_attribute="username")
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:\d+/old has the encoding LATIN1.*ENCODING 'UTF8'\.$"):
        await directory.prepare()
    await directory.close()


async def test_a_role_that_may_only_use_the_tables_is_enough(
    server: PostgresServer, schema: str, open_directory: OpenDirectory
) -> None:
    await open_directory()
    await server.run(
        "CREATE ROLE plain LOGIN PASSWORD 'plain'",
        f"GRANT USAGE ON SCHEMA {schema} TO plain",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO plain",
    )
    plain = PostgresUserDirectory(
        database_at(server, schema, user="plain", password="plain"), login_attribute="username"
    )
    await plain.prepare()
    alice = await add(plain, "alice")
    assert (await plain.set_roles("alice", ["staff"])).roles == ("staff",)
    await plain.remove("alice")
    assert await plain.find_by_id(alice.id) is None
    await plain.close()


async def test_a_store_that_is_down_is_unavailable_in_every_method(
    server: PostgresServer, schema: str, open_directory: OpenDirectory
) -> None:
    directory = await open_directory()
    await add(directory, "alice")
    await server.run(f"ALTER SCHEMA {schema} RENAME TO {schema}_away")
    for use in (
        directory.find_by_login("alice"),
        directory.find_by_id("1"),
        directory.replace_password_hash("1", "hash of alice", "new"),
        directory.changes_since(0),
        add(directory, "bob"),
        directory.all_users(),
        directory.set_password_hash("alice", "new"),
        directory.set_active("alice", is_active=False),
        directory.set_roles("alice", []),
        directory.remove("alice"),
    ):
        with pytest.raises(StoreUnavailable, match=r"has lost|cannot be used"):
            await use
    await server.run(f"ALTER SCHEMA {schema}_away RENAME TO {schema}")
    assert await directory.find_by_login("alice") is not None
