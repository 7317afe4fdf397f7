"""The statements themselves: their plans, whom they wait for, and what they leave alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from gateway.state import postgres_attempts, postgres_outbox, postgres_sql
from tests.postgres_server import PostgresServer
from tests.unit.state.store_behaviour import OpenStore


class Shell:
    """A connection of one's own, with the tables of a schema."""

    def __init__(self, connection: Any, schema: str) -> None:
        self.connection = connection
        self._schema = schema

    async def run(self, statement: str, *values: object) -> Sequence[Any]:
        rows: Sequence[Any] = await self.connection.fetch(statement.format(schema=self._schema), *values)
        return rows

    async def revoke(self, revoked_id: bytes, kind: str = "token", expires_at: int = 1000, up_to: int = 0) -> Any:
        return await self.run(postgres_sql.REVOKE, kind, revoked_id, None, expires_at, up_to, "a channel")

    async def fill(self, number: int, *, users: int = 1, rotated_at: int = 1) -> None:
        await self.run(
            "INSERT INTO {schema}.sessions SELECT int4send(n), NULL, (n % $2)::text::bytea, NULL, 't', NULL, "
            "$3, 1, 1, n, '', '' FROM generate_series(1, $1::int) n",
            *(number, users, rotated_at),
        )

    async def count(self, table: str) -> int:
        [(number,)] = await self.run(f"SELECT count(*) FROM {{schema}}.{table}")
        return int(number)


@pytest.fixture
async def shells(
    postgres_server: PostgresServer, schema: str, open_postgres_store: OpenStore
) -> AsyncIterator[tuple[Shell, Shell]]:
    await open_postgres_store()
    opened = [await asyncpg.connect(postgres_server.url()) for _ in range(2)]
    yield Shell(opened[0], schema), Shell(opened[1], schema)
    for connection in opened:
        connection.terminate()


async def test_every_statement_has_its_index(shells: tuple[Shell, Shell], schema: str) -> None:
    shell = shells[0]
    await shell.fill(1000, users=50)
    await shell.run("ANALYZE {schema}.sessions")
    texts = [
        value
        for module in (postgres_sql, postgres_attempts, postgres_outbox)
        for name, value in vars(module).items()
        if isinstance(value, str) and "{schema}" in value and name not in {"__doc__", "_END_SESSIONS"}
    ]
    texts += postgres_sql.PURGES
    assert len(texts) >= 15
    connection = shell.connection
    await connection.execute("SET enable_seqscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan")
    for number, text in enumerate(texts):
        await connection.execute(f"PREPARE p{number} AS {text.format(schema=schema)}")
        [(types,)] = await connection.fetch(
            f"SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'p{number}'"
        )
        rows = await connection.fetch(f"EXPLAIN EXECUTE p{number}({', '.join(['NULL'] * types)})")
        plan = "\n".join(row[0] for row in rows)
        assert "Seq Scan" not in plan, plan


async def test_revocations_are_numbered_one_after_the_other_and_known_ones_get_no_row(
    shells: tuple[Shell, Shell],
) -> None:
    shell = shells[0]
    assert [row[0] for row in await shell.revoke(b"a")] == [True]
    assert await shell.revoke(b"a") == []
    assert [row[0] for row in await shell.revoke(b"a", expires_at=2000)] == [False]
    assert [row[0] for row in await shell.revoke(b"b")] == [True]
    rows = await shell.run("SELECT revoked_id, sequence FROM {schema}.revocations ORDER BY sequence")
    [(last,)] = await shell.run("SELECT last FROM {schema}.revocation_feed")
    assert [row["revoked_id"] for row in rows] == [b"a", b"b"]
    assert rows[0]["sequence"] < rows[1]["sequence"] == last


async def test_who_revokes_waits_for_the_one_before_him_and_is_numbered_after_it(
    shells: tuple[Shell, Shell],
) -> None:
    one, other = shells
    await one.connection.execute("BEGIN")
    await one.revoke(b"first")
    second = asyncio.create_task(other.revoke(b"second"))
    await asyncio.wait([second], timeout=0.2)
    assert not second.done()
    await one.connection.execute("COMMIT")
    await second
    rows = await one.run("SELECT revoked_id FROM {schema}.revocations ORDER BY sequence")
    assert [row[0] for row in rows] == [b"first", b"second"]


async def test_a_revocation_is_told_with_its_commit_and_not_before(shells: tuple[Shell, Shell]) -> None:
    one, other = shells
    heard = asyncio.Event()
    await other.connection.add_listener("a channel", lambda *_: heard.set())
    await one.connection.execute("BEGIN")
    await one.revoke(b"a")
    await other.run("SELECT 1")
    assert not heard.is_set()
    await one.connection.execute("COMMIT")
    await asyncio.wait_for(heard.wait(), 20)


@pytest.mark.parametrize("of_user", [True, False])
async def test_sessions_are_ended_page_by_page_those_of_the_moment_alone(
    shells: tuple[Shell, Shell], *, of_user: bool
) -> None:
    shell = shells[0]
    await shell.fill(10, users=2)
    await shell.run("UPDATE {schema}.sessions SET rotated_at = 9 WHERE id = int4send(4)")
    statement = postgres_sql.END_SESSIONS_OF_USER if of_user else postgres_sql.END_SESSIONS
    user = (b"0",) if of_user else ()
    page, ended = b"", 0
    while rows := await shell.run(statement, page, 3, 8, *user):
        assert len(rows) <= 3
        page, ended = rows[-1][0], ended + len(rows)
    assert ended == (5 if of_user else 10)
    left = await shell.run("SELECT id FROM {schema}.sessions ORDER BY id")
    kept = [1, 3, 4, 5, 7, 9] if of_user else [4]
    assert [int.from_bytes(row[0], "big") for row in left] == kept


@pytest.mark.parametrize("purge", postgres_sql.PURGES)
async def test_a_purge_takes_a_batch_of_what_has_expired_and_waits_for_nobody(
    shells: tuple[Shell, Shell], purge: str
) -> None:
    one, other = shells
    await one.fill(6)
    for number in range(1, 7):
        await one.revoke(b"%d" % number, expires_at=number)
    table = "sessions" if "sessions" in purge else "revocations"
    await other.connection.execute("BEGIN")
    await other.run(f"SELECT FROM {{schema}}.{table} WHERE expires_at = 1 FOR UPDATE")
    assert [len(await one.run(purge, 4, 2)) for _ in range(3)] == [2, 1, 0]
    assert await one.count(table) == 3
    await other.connection.execute("COMMIT")
    assert len(await one.run(purge, 4, 2)) == 1


async def test_another_table_is_another_epoch(shells: tuple[Shell, Shell]) -> None:
    shell = shells[0]
    await shell.revoke(b"a")
    [(started_at, table, last, *_)] = await shell.run(postgres_sql.REVOCATIONS_SINCE, 0, 0, 0, 10)
    [row] = await shell.run(postgres_sql.REVOCATIONS_SINCE, started_at, table, last, 10)
    assert row["sequence"] is None
    for epoch in ((started_at + 1, table), (started_at, table + 1)):
        [row] = await shell.run(postgres_sql.REVOCATIONS_SINCE, *epoch, last, 10)
        assert row["revoked_id"] == b"a"
