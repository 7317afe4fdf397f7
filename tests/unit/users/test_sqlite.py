"""The embedded directory: what every directory does, and what only a file can suffer."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.sqlite_file import SqliteFile
from gateway.users.names import LoginAttribute
from gateway.users.sqlite import SqliteUserDirectory
from tests.unit.users.directory_behaviour import DirectoryBehaviour, OpenDirectory, add


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.sqlite3"


@pytest.fixture
async def open_directory(path: Path) -> AsyncIterator[OpenDirectory]:
    opened = []

    async def open_one(login_attribute: LoginAttribute = "username") -> SqliteUserDirectory:
        directory = SqliteUserDirectory(SqliteFile.open(path), login_attribute=login_attribute)
        opened.append(directory)
        await directory.prepare()
        return directory

    yield open_one
    for directory in opened:
        await directory.close()


class TestSqliteUserDirectory(DirectoryBehaviour):
    async def test_ids_count_from_one_as_djangos_do(self, open_directory: OpenDirectory) -> None:
        directory = await open_directory()
        assert [(await add(directory, name)).id for name in ("alice", "bob", "carol")] == ["1", "2", "3"]
        await directory.remove("carol")
        await directory.close()
        assert (await add(await open_directory(), "dave")).id == "4"  # also across a restart


@pytest.mark.parametrize("attribute", ["username", "email"])
async def test_look_ups_use_an_index_whatever_the_number_of_users(
    path: Path, open_directory: OpenDirectory, attribute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = await open_directory(login_attribute=attribute)
    statements: list[str] = []
    file = SqliteFile.open(path)
    traced = SqliteUserDirectory(file, login_attribute="email" if attribute == "email" else "username")
    await file.read(lambda connection: connection.set_trace_callback(statements.append))
    await traced.find_by_login("alice@example.org")
    await traced.find_by_id("1")
    await traced.changes_since(1)
    await add(traced, "alice", "alice@example.org")
    await traced.set_roles("alice", ["x"])
    await file.close()
    await directory.close()

    connection = sqlite3.connect(path)
    looked_up = [text for text in statements if text.lstrip().startswith(("SELECT", "UPDATE", "DELETE"))]
    assert len(looked_up) >= 6
    for statement in looked_up:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        scans = [step for step in plan if step.startswith("SCAN") and "sqlite_sequence" not in step]
        assert scans in ([], ["SCAN CONSTANT ROW"]), statement
    connection.close()


async def run_in_another_process(path: Path, command: str) -> None:
    script = (
        "import asyncio, sys\n"
        "from gateway.sqlite_file import SqliteFile\n"
        "from gateway.users.sqlite import SqliteUserDirectory\n"
        "async def main():\n"
        "    directory = SqliteUserDirectory(SqliteFile.open(sys.argv[1]), login_attribute='username')\n"
        "    await directory.prepare()\n"
        f"    await directory.{command}\n"
        "    await directory.close()\n"
        "asyncio.run(main())\n"
    )
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script, str(path)], check=True, timeout=30)


async def test_a_user_disabled_from_another_shell_is_in_the_feed(path: Path, open_directory: OpenDirectory) -> None:
    gateway = await open_directory()
    alice = await add(gateway, "alice")
    position = (await gateway.changes_since(0)).position
    await run_in_another_process(path, "set_active('alice', is_active=False)")
    changes = await gateway.changes_since(position)
    assert (changes.user_ids, changes.everything) == ({alice.id}, False)
    user = await gateway.find_by_id(alice.id)
    assert user is not None
    assert not user.is_active


async def test_changes_made_by_hand_are_in_the_feed(path: Path, open_directory: OpenDirectory) -> None:
    gateway = await open_directory()
    for name in ("alice", "bob", "carol"):
        await add(gateway, name)
    position = (await gateway.changes_since(0)).position
    shell = sqlite3.connect(path)
    with shell:
        shell.execute("UPDATE users SET is_active = 0 WHERE username = 'alice'")
        shell.execute("UPDATE users SET id = 7 WHERE username = 'bob'")
        shell.execute("DELETE FROM users WHERE username = 'carol'")
        shell.execute("INSERT INTO users (username, email, roles, password_hash) VALUES ('dave', '', '[]', '')")
    shell.close()
    assert (await gateway.changes_since(position)).user_ids == {"1", "2", "3", "7", "8"}


async def test_s83_the_feed_is_bounded_and_says_when_it_no_longer_reaches_back(
    path: Path, open_directory: OpenDirectory
) -> None:
    gateway = await open_directory()
    await add(gateway, "alice")
    position = (await gateway.changes_since(0)).position
    shell = sqlite3.connect(path)
    with shell:
        others = [(f"user {number}",) for number in range(9_999)]
        shell.executemany("INSERT INTO users (username, email, roles, password_hash) VALUES (?, '', '[]', '')", others)
    assert len((await gateway.changes_since(position)).user_ids) == 9_999
    with shell:
        shell.execute("UPDATE users SET is_active = 0 WHERE id = 1")
        shell.execute("UPDATE users SET is_active = 1 WHERE id = 1")
    changes = await gateway.changes_since(position)
    assert (changes.user_ids, changes.everything) == (frozenset(), True)
    assert len((await gateway.changes_since(position + 1)).user_ids) == 9_999
    assert shell.execute("SELECT count(*) FROM user_changes").fetchone() == (10_000,)
    with shell:
        shell.execute("DELETE FROM user_changes")
    assert (await gateway.changes_since(changes.position - 1)).everything
    assert not (await gateway.changes_since(changes.position)).everything
    shell.close()


async def test_a_backup_restored_into_the_open_file_means_everything(
    path: Path, open_directory: OpenDirectory, tmp_path: Path
) -> None:
    gateway = await open_directory()
    await add(gateway, "alice")
    shell, backup = sqlite3.connect(path), sqlite3.connect(tmp_path / "backup")
    shell.backup(backup)
    await gateway.set_active("alice", is_active=False)
    position = (await gateway.changes_since(0)).position
    backup.backup(shell)
    shell.close()
    backup.close()
    changes = await gateway.changes_since(position)
    assert changes.everything
    assert changes.position < position
    user = await gateway.find_by_id("1")
    assert user is not None
    assert user.is_active


@pytest.mark.parametrize("roles", ["", "admin", "{}", '"admin"', "[1]", "null", "[[]]", "[" * 100_000])
async def test_roles_spoilt_by_hand_are_no_guess(path: Path, open_directory: OpenDirectory, roles: str) -> None:
    directory = await open_directory()
    await add(directory, "alice", "", ("admin",))
    shell = sqlite3.connect(path)
    with shell:
        shell.execute("UPDATE users SET roles = ?", (roles,))
    shell.close()
    for finding in (directory.find_by_id("1"), directory.find_by_login("alice"), directory.all_users()):
        with pytest.raises(StoreUnavailable, match=r"^The roles of user 1 are no JSON list of texts; set them with"):
            await finding
    assert (await directory.set_roles("alice", ["admin"])).roles == ("admin",)


async def test_a_name_spoilt_by_hand_is_no_crash(path: Path, open_directory: OpenDirectory) -> None:
    directory = await open_directory()
    await add(directory, "alice")
    shell = sqlite3.connect(path)
    with shell:
        shell.execute("UPDATE users SET username = CAST(x'ff' AS TEXT)")
    for column in ("username", "email", "roles", "password_hash"):
        with pytest.raises(sqlite3.IntegrityError):
            shell.execute(f"UPDATE users SET {column} = x'ff'")
    shell.close()
    with pytest.raises(StoreUnavailable, match="Could not decode to UTF-8"):
        await directory.find_by_id("1")


async def test_a_store_that_is_down_is_unavailable_in_every_method(path: Path, open_directory: OpenDirectory) -> None:
    directory = await open_directory()
    await add(directory, "alice")
    away = path.rename(path.with_suffix(".away"))
    path.mkdir()
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
        directory.prepare() if isinstance(directory, SqliteUserDirectory) else directory.all_users(),
    ):
        with pytest.raises(StoreUnavailable):
            await use
    path.rmdir()
    away.rename(path)
    assert await directory.find_by_login("alice") is not None
