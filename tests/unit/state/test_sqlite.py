"""The embedded store: what every store does, and what only a file can suffer."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from tests.unit.state.store_behaviour import (
    SESSION,
    TOKEN,
    OpenStore,
    StoreBehaviour,
    is_revoked,
    price_ratio,
    revocation,
    rotated,
    session,
    token,
)


class TestSqliteStateStore(StoreBehaviour):
    pass


SPEND_ALL = """
import asyncio, sys
from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from gateway.types import Revocation, RevokedKind

async def main():
    store = SqliteStateStore(SqliteFile.open(sys.argv[1], busy_timeout=20))
    await store.prepare()
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[2])):
        if await store.revoke(Revocation(kind=RevokedKind.TOKEN, id=str(number), expires_at=1000)):
            print(number)
    await store.close()

asyncio.run(main())
"""


def test_s55_of_two_processes_that_spend_one_token_one_succeeds(path: Path) -> None:
    tokens = 150
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SPEND_ALL, str(path), str(tokens)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    won = [{int(line) for line in process.communicate(timeout=30)[0].split()} for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert won[0] | won[1] == set(range(tokens))
    assert not won[0] & won[1]


async def test_s58_a_restart_does_not_revive_what_was_revoked(open_store: OpenStore) -> None:
    store = await open_store()
    await store.revoke(revocation("a"))
    await store.revoke(revocation("b", kind=SESSION))
    await store.close()
    restarted = await open_store()
    assert await is_revoked(restarted, TOKEN, "a")
    assert not await restarted.revoke(revocation("a"))
    assert (await restarted.revocations_since(0)).revocations == (revocation("a"), revocation("b", kind=SESSION))


async def test_s58_a_killed_process_leaves_what_it_revoked(path: Path, open_store: OpenStore) -> None:
    script = SPEND_ALL.replace("    await store.close()\n", "    print('done', flush=True)\n    sys.stdin.readline()\n")
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path), "3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    lines = await asyncio.to_thread(lambda: [process.stdout.readline() for _ in range(5)] if process.stdout else [])
    assert lines == ["ready\n", "0\n", "1\n", "2\n", "done\n"]
    process.kill()
    process.communicate()
    store = await open_store()
    assert [each.id for each in (await store.revocations_since(0)).revocations] == ["0", "1", "2"]


async def test_a_purge_of_many_lets_others_in_between(path: Path, open_store: OpenStore) -> None:
    store = await open_store()
    shell = sqlite3.connect(path)
    rows = [("token", f"{number}".encode(), 1000 + number) for number in range(20_000)]
    with shell:
        shell.executemany("INSERT INTO revocations (kind, revoked_id, expires_at) VALUES (?, ?, ?)", rows)
    purging = asyncio.create_task(store.purge(1000 + 15_000))
    looks = 0
    while not purging.done():
        assert await is_revoked(store, TOKEN, "19999")
        looks += 1
    await purging
    assert looks >= 10  # one transaction would have let one or two pass
    assert shell.execute("SELECT count(*) FROM revocations").fetchone() == (4_999,)
    shell.close()


async def test_look_ups_use_an_index_whatever_the_number_of_revocations(path: Path, open_store: OpenStore) -> None:
    await open_store()
    statements: list[str] = []
    file = SqliteFile.open(path)
    store = SqliteStateStore(file)
    await file.read(lambda connection: connection.set_trace_callback(statements.append))
    await is_revoked(store, TOKEN, "a")
    await store.revoke(revocation("a"))
    await store.revoke(revocation("a"))
    await store.open_session(session())
    await store.find_session("s")
    await store.replace_session(session(), rotated(session(), "t1"))
    await store.sessions(user_id=None, after="", limit=1)
    await store.sessions(user_id="1", after="", limit=1)
    await store.revoke(revocation("s", kind=SESSION))
    await store.purge(1)
    await store.revocations_since(0)
    await file.close()
    connection = sqlite3.connect(path)
    looked_up = [text for text in statements if text.strip().startswith(("SELECT", "DELETE", "UPDATE"))]
    assert len(looked_up) >= 11
    for statement in looked_up:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        scans = {step for step in plan if step.startswith("SCAN")}
        assert scans <= {"SCAN sqlite_sequence", "SCAN CONSTANT ROW"}, statement
    connection.close()


async def test_a_backup_restored_into_the_open_file_is_told_from_its_beginning(
    path: Path, open_store: OpenStore, tmp_path: Path
) -> None:
    store = await open_store()
    await store.revoke(revocation("a"))
    shell, backup = sqlite3.connect(path), sqlite3.connect(tmp_path / "backup")
    shell.backup(backup)
    await store.revoke(revocation("b"))
    position = (await store.revocations_since(0)).position
    backup.backup(shell)
    shell.close()
    backup.close()
    assert (await store.revocations_since(position)).revocations == (revocation("a"),)


async def test_the_feed_costs_little_when_nothing_changed(open_store: OpenStore) -> None:
    store = await open_store()
    await store.revoke(revocation("a"))
    position = (await store.revocations_since(0)).position
    began = time.process_time()
    for _ in range(200):
        await store.revocations_since(position)
    assert (time.process_time() - began) / 200 < 0.005  # about 0.0001; asked once a second


async def test_a_store_that_is_down_is_unavailable_in_every_method(path: Path, open_store: OpenStore) -> None:
    store = await open_store()
    await store.revoke(revocation("a"))
    away = path.rename(path.with_suffix(".away"))
    path.write_bytes(b"garbage" * 1000)
    for use in (
        store.revoke(revocation("b")),
        store.is_revoked(token("a")),
        store.revocations_since(0),
        store.purge(2000),
        store.open_session(session()),
        store.find_session("s"),
        store.replace_session(session(), rotated(session(), "t1")),
        store.sessions(user_id=None, after="", limit=1),
    ):
        with pytest.raises(StoreUnavailable):
            await use
    path.unlink()
    away.rename(path)
    assert await is_revoked(store, TOKEN, "a")
    assert not await is_revoked(store, TOKEN, "b")


_FORMAT_1 = """
    CREATE TABLE revocations (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL CHECK (kind IN ('token', 'session')),
        revoked_id BLOB NOT NULL CHECK (typeof(revoked_id) = 'blob'),
        expires_at INTEGER NOT NULL CHECK (typeof(expires_at) = 'integer'),
        UNIQUE (kind, revoked_id)
    );
    CREATE INDEX revocations_by_expiry ON revocations (expires_at);
    PRAGMA application_id = 0x534A4757;
    PRAGMA user_version = 1;
    INSERT INTO revocations (kind, revoked_id, expires_at) VALUES ('token', x'61', 1000), ('session', x'62', 1001);
    INSERT INTO revocations (kind, revoked_id, expires_at) VALUES ('token', x'63', 1002);
    DELETE FROM revocations WHERE revoked_id = x'63';
"""


@pytest.mark.parametrize("rows", ["with rows", "emptied"])
async def test_a_file_of_the_first_format_keeps_what_was_revoked(path: Path, open_store: OpenStore, rows: str) -> None:
    shell = sqlite3.connect(path)
    shell.executescript(_FORMAT_1)
    if rows == "emptied":
        shell.execute("DELETE FROM revocations")
        shell.commit()
    shell.close()
    store = await open_store()
    news = await store.revocations_since(0)
    assert news.position == 3  # a reader that had seen the third does not hear of the first two again
    expected = () if rows == "emptied" else (revocation("a", 1000), revocation("b", 1001, SESSION))
    assert news.revocations == expected
    assert (await store.revocations_since(3)).revocations == ()
    await store.revoke(revocation("d"))
    assert (await store.revocations_since(3)).revocations == (revocation("d"),)
    assert await store.open_session(session())
    again = await open_store()
    assert await again.find_session("s") == session()


async def test_a_session_costs_the_same_beside_many_others(path: Path, open_store: OpenStore) -> None:
    beside, alone = await open_store(), SqliteStateStore(SqliteFile.open(path.with_name("alone.sqlite3")))
    await alone.prepare()
    shell = sqlite3.connect(path)
    with shell:
        shell.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) INSERT INTO sessions "
            "SELECT CAST(printf('%032x', i * 7919) AS BLOB), CAST(i % 5000 AS TEXT), 't', NULL, 1, 1, 1, 9999, '', '' FROM n"
        )
    shell.close()
    assert await price_ratio(beside, alone) < 3
    await alone.close()
