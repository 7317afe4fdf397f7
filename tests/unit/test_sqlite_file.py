"""Real files, a real second connection or process where another one matters."""

import asyncio
import ctypes
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable, UsageError
from gateway.sqlite_file import SqliteFile, SqliteGlance

NOTES = ("CREATE TABLE IF NOT EXISTS notes (text TEXT NOT NULL UNIQUE)",)

OpenFile = Callable[..., Awaitable[SqliteFile]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.sqlite3"


@pytest.fixture
async def open_file(path: Path) -> AsyncIterator[OpenFile]:
    opened = []

    async def open_one(busy_timeout: float = 2.0) -> SqliteFile:
        file = SqliteFile.open(path, busy_timeout=busy_timeout)
        opened.append(file)
        await file.prepare("notes", [NOTES])
        return file

    yield open_one
    for file in opened:
        await file.close()


def insert(text: str) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES (?)", (text,))

    return work


def notes(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY rowid")]


def nothing(connection: sqlite3.Connection) -> None:
    pass


async def refusal(file: SqliteFile, work: Callable[[sqlite3.Connection], object] = nothing) -> str:
    """The operator's sentence, once it is sure that the file cannot be used."""
    with pytest.raises(StoreUnavailable) as caught:
        await file.write(work)
    return str(caught.value)


async def refusal_of(path: Path) -> str:
    file = SqliteFile.open(path, busy_timeout=0.1)
    try:
        return await refusal(file)
    finally:
        await file.close()


# Making and opening


async def test_a_handle_touches_nothing_before_its_first_transaction(path: Path) -> None:
    file = SqliteFile.open(path)
    assert not path.exists()
    await file.close()
    assert not path.exists()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


async def test_the_file_and_its_companions_belong_to_their_owner_only(path: Path, open_file: OpenFile) -> None:
    with umask(0):
        file = await open_file()
        await file.write(insert("a"))
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {
        "gateway.sqlite3": 0o600,
        "gateway.sqlite3-wal": 0o600,
        "gateway.sqlite3-shm": 0o600,
    }


async def test_an_empty_file_that_is_there_is_used_and_keeps_its_mode(path: Path, open_file: OpenFile) -> None:
    path.touch()
    path.chmod(0o640)
    file = await open_file()
    await file.write(insert("a"))
    assert await file.read(notes) == ["a"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["a b", "a?mode=ro", "a#b", "a%20b", "ä", ":memory:", "file:x"])
async def test_any_file_name_means_that_file(tmp_path: Path, name: str) -> None:
    file = SqliteFile.open(tmp_path / name)
    await file.prepare("notes", [NOTES])
    await file.close()
    assert [each.name for each in tmp_path.iterdir()] == [name]


async def test_a_relative_path_survives_a_change_of_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = SqliteFile.open("gateway.sqlite3")
    monkeypatch.chdir("/")
    await file.prepare("notes", [NOTES])
    await file.close()
    assert (tmp_path / "gateway.sqlite3").exists()


async def test_settings_of_the_connection(open_file: OpenFile) -> None:
    file = await open_file(busy_timeout=1.5)

    def settings(connection: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "temp_store", "busy_timeout")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    full, memory = 2, 2
    assert await file.read(settings) == ["wal", full, 1, memory, 1500]


async def test_prepare_may_be_run_again(open_file: OpenFile) -> None:
    file = await open_file()
    await file.write(insert("a"))
    await file.prepare("notes", [NOTES])
    assert await file.read(notes) == ["a"]


def test_processes_that_start_at_once_on_a_new_file_all_get_it(path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from gateway.sqlite_file import SqliteFile\n"
        "async def main():\n"
        "    file = SqliteFile.open(sys.argv[1])\n"
        "    await file.prepare('notes', [['CREATE TABLE notes (text TEXT NOT NULL UNIQUE)']])\n"
        "    await file.close()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "asyncio.run(main())\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=30)
    assert [process.returncode for process in processes] == [0, 0, 0, 0]


# Transactions


async def test_a_write_is_committed_whole_or_rolled_back_whole(open_file: OpenFile) -> None:
    file = await open_file()

    def half(connection: sqlite3.Connection) -> None:
        insert("half")(connection)
        raise UsageError("Not this one.")

    with pytest.raises(UsageError, match="Not this one"):
        await file.write(half)
    await file.write(insert("whole"))
    assert await file.read(notes) == ["whole"]


async def test_an_sqlite_error_is_translated_and_rolled_back(open_file: OpenFile) -> None:
    file = await open_file()
    await file.write(insert("a"))

    def twice(connection: sqlite3.Connection) -> None:
        insert("b")(connection)
        insert("a")(connection)

    assert "UNIQUE constraint failed: notes.text" in await refusal(file, twice)
    assert await file.read(notes) == ["a"]


async def test_work_runs_in_one_thread_that_is_not_the_loops(open_file: OpenFile) -> None:
    file = await open_file()
    threads = set(await asyncio.gather(*(file.read(lambda _: threading.get_ident()) for _ in range(20))))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_a_reader_is_not_stopped_by_another_processs_writer(path: Path, open_file: OpenFile) -> None:
    file = await open_file(busy_timeout=0.05)
    await file.write(insert("a"))
    with write_lock(path):
        assert await file.read(notes) == ["a"]


async def test_one_handle_serves_one_event_loop_after_another(path: Path) -> None:
    file = SqliteFile.open(path)

    def run_elsewhere() -> list[str]:
        async def use() -> list[str]:
            await file.prepare("notes", [NOTES])
            await file.write(insert("a"))
            return await file.read(notes)

        return asyncio.run(use())

    assert await asyncio.to_thread(run_elsewhere) == ["a"]
    assert await file.read(notes) == ["a"]
    await file.close()


# Cancellation


async def test_a_cancelled_caller_does_not_cut_a_transaction_that_runs(open_file: OpenFile) -> None:
    file = await open_file()
    began, go_on = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        insert("first half")(connection)
        began.set()
        go_on.wait(5)
        insert("second half")(connection)

    running = asyncio.create_task(file.write(slow))
    waiting = asyncio.create_task(file.write(insert("never begun")))
    await asyncio.to_thread(began.wait, 5)
    for task in (running, waiting):
        task.cancel()
    results = await asyncio.gather(running, waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 2
    go_on.set()
    assert await file.read(notes) == ["first half", "second half"]


# The lock of another process


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def test_a_locked_file_is_refused_after_the_busy_timeout_and_the_loop_runs_on(
    path: Path, open_file: OpenFile
) -> None:
    file = await open_file(busy_timeout=0.3)
    longest_gap = 0.0

    async def watch_the_loop() -> None:
        nonlocal longest_gap
        before = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            longest_gap, before = max(longest_gap, now - before), now

    watch = asyncio.create_task(watch_the_loop())
    began = time.monotonic()
    with write_lock(path):
        sentence = await refusal(file, insert("a"))
    assert sentence == f"{path} is locked by another process; look for a backup or an sqlite3 shell that holds it."
    assert 0.25 < time.monotonic() - began < 2
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
    assert longest_gap < 0.2
    await file.write(insert("b"))
    assert await file.read(notes) == ["b"]


async def test_many_callers_of_a_locked_file_do_not_add_up_their_waiting(path: Path, open_file: OpenFile) -> None:
    file = await open_file(busy_timeout=0.1)
    began = time.monotonic()
    with write_lock(path):
        callers = [file.write(insert(str(number))) for number in range(100)]
        results = await asyncio.gather(*callers, return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailable}
    assert time.monotonic() - began < 2  # not 100 × 0.1 s
    assert str(results[-1]) == f"{path} is too slow: a query waited 0.25 s for others."


# Files that cannot be used


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    path = folder / "gateway.sqlite3"
    expected = f"{path} cannot be made: the directory {folder} does not exist; create it."
    assert await refusal_of(path) == expected


async def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    path = tmp_path / "state" / "gateway.sqlite3"
    assert await refusal_of(path) == f"{path} cannot be opened: Not a directory."


async def test_a_directory_in_the_files_place(path: Path) -> None:
    path.mkdir()
    assert await refusal_of(path) == f"{path} is not a regular file; name a file for the database."


async def test_a_name_with_a_nul(tmp_path: Path) -> None:
    assert re.search(r"cannot be opened: .*\bnull\b", await refusal_of(tmp_path / "a\0b"))


@pytest.mark.parametrize("content", [b"no", b"users:\n  - alice\n", os.urandom(8192)], ids=["short", "text", "random"])
async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    expected = f"{path} is not an SQLite database; move it away or name another file."
    assert await refusal_of(path) == expected
    assert path.read_bytes() == content


async def test_another_programs_database_is_refused_and_left_as_it_is(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE auth_user (id INTEGER)")
    other.close()
    before = path.read_bytes()
    expected = f"{path} is another program's SQLite database; name a file of its own."
    assert await refusal_of(path) == expected
    assert path.read_bytes() == before


async def test_a_newer_format_is_refused(path: Path, open_file: OpenFile) -> None:
    await (await open_file()).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 3")
    other.close()
    expected = f"{path} was made by a newer gateway (format 3, this one knows 2); upgrade this gateway."
    assert await refusal_of(path) == expected


async def test_migrations_run_once_each_and_in_their_order(path: Path, open_file: OpenFile) -> None:
    file = await open_file()
    await file.prepare("words", [["CREATE TABLE words (word TEXT)"]])
    steps = [["CREATE TABLE words (word TEXT)"], ["INSERT INTO words VALUES ('a')", "INSERT INTO words VALUES ('b')"]]
    await file.prepare("words", steps)
    await file.prepare("words", steps)
    other = await open_file()
    await other.prepare("words", [*steps, ["DELETE FROM words WHERE word = 'a'"]])
    assert await file.read(lambda connection: connection.execute("SELECT word FROM words").fetchall()) == [("b",)]


async def test_a_migration_that_fails_leaves_everything_as_it_was(open_file: OpenFile) -> None:
    file = await open_file()
    await file.prepare("words", [["CREATE TABLE words (word TEXT)"]])
    bad = [["CREATE TABLE words (word TEXT)"], ["INSERT INTO words VALUES ('a')", "INSERT INTO nowhere VALUES (1)"]]
    with pytest.raises(StoreUnavailable):
        await file.prepare("words", bad)
    assert await file.read(lambda connection: connection.execute("SELECT word FROM words").fetchall()) == []
    await file.prepare("words", [bad[0], ["INSERT INTO words VALUES ('a')"]])


async def test_tables_of_a_newer_gateway_are_refused(path: Path, open_file: OpenFile) -> None:
    file = await open_file()
    await file.prepare("words", [[], []])
    with pytest.raises(StoreUnavailable) as caught:
        await file.prepare("words", [[]])
    assert str(caught.value) == (
        f"{path} was made by a newer gateway (words of version 2, this one knows 1); upgrade this gateway."
    )


async def test_a_file_of_the_first_format_is_taken_up_and_marked_for_older_gateways(
    path: Path, open_file: OpenFile
) -> None:
    old = sqlite3.connect(path)
    old.executescript(
        "CREATE TABLE notes (text TEXT NOT NULL UNIQUE); INSERT INTO notes VALUES ('old');"
        "PRAGMA application_id = 0x534A4757; PRAGMA user_version = 1;"
    )
    old.close()
    file = await open_file()
    assert await file.read(notes) == ["old"]
    assert await file.read(lambda connection: connection.execute("PRAGMA user_version").fetchone()) == (2,)


async def test_a_damaged_database_is_refused(path: Path, open_file: OpenFile) -> None:
    file = await open_file()
    await file.write(insert("a" * 100_000))
    await file.close()
    with path.open("r+b") as raw:
        raw.seek(4096)  # the first page stays: the header is good, the tables are not
        raw.write(b"\xff" * (path.stat().st_size - 4096))
    damaged = await open_file_again(path)
    assert await refusal(damaged, notes) == f"{path} is damaged; restore it from a backup."
    await damaged.close()


async def open_file_again(path: Path) -> SqliteFile:
    file = SqliteFile.open(path)
    await file.read(nothing)
    return file


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """File modes bind nobody who is root, so this thread (and those that it starts) gives up root's way with files."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None)
    libc.setfsuid(65534)
    try:
        yield
    finally:
        libc.setfsuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """tmp_path is below a directory that only its owner may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


async def test_a_read_only_file_is_refused_for_writing(open_folder: Path) -> None:
    path = open_folder / "gateway.sqlite3"
    path.touch(mode=0o444)
    with as_somebody_else():
        assert await refusal_of(path) == f"{path} cannot be written; check its owner, its mode and the mount."


async def test_an_unreadable_file_is_refused(open_folder: Path) -> None:
    path = open_folder / "gateway.sqlite3"
    path.touch()
    path.chmod(0)
    expected = f"{path} cannot be opened; check the mode and the owner of the file and of its directory."
    with as_somebody_else():
        assert await refusal_of(path) == expected


async def test_a_read_only_directory_is_refused(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    path = open_folder / "gateway.sqlite3"
    with as_somebody_else():
        assert await refusal_of(path) == f"{path} cannot be opened: Permission denied."


async def test_a_full_disk_is_named(path: Path, open_file: OpenFile) -> None:
    file = await open_file()

    def fill(connection: sqlite3.Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own means to run out of room
        insert("a" * 100_000)(connection)

    assert await refusal(file, fill) == f"{path} cannot grow; the disk is full."
    assert await file.read(notes) == []


# Files that change while they are open


def moved(path: Path) -> str:
    return f"{path} was moved away or replaced while in use; put it back, or restart to use what is there."


async def test_a_file_moved_away_is_refused_until_it_is_back(path: Path, open_file: OpenFile) -> None:
    file = await open_file()
    await file.write(insert("a"))
    away = path.rename(path.with_suffix(".away"))
    assert await refusal(file) == moved(path)
    assert not path.exists()  # no new, empty one is made in its place
    away.rename(path)
    assert await file.read(notes) == ["a"]


async def test_a_file_put_in_its_place_is_refused_until_a_restart_which_finds_it_clean(
    path: Path, open_file: OpenFile, tmp_path: Path
) -> None:
    replacement = SqliteFile.open(tmp_path / "replacement")
    await replacement.prepare("notes", [NOTES])
    await replacement.write(insert("new"))
    await replacement.close()

    file = await open_file()
    await file.write(insert("old"))
    away = path.rename(path.with_suffix(".away"))
    (tmp_path / "replacement").rename(path)
    assert await refusal(file) == moved(path)
    await file.close()

    restarted = await open_file()
    assert await restarted.read(notes) == ["new"]
    old = await open_file_again(away)
    assert await old.read(notes) == ["old"]  # whole without its WAL
    await old.close()


async def test_a_file_removed_after_its_connection_was_lost_is_not_made_anew(path: Path, open_file: OpenFile) -> None:
    file = await open_file()
    await file.close()
    good = path.read_bytes()
    file = await open_file_again(path)
    path.write_bytes(b"garbage" * 1000)
    await refusal(file, notes)
    path.unlink()
    assert await refusal(file) == f"{path} has been removed; put it back or restart."
    path.write_bytes(good)
    assert await file.read(notes) == []
    await file.close()


async def test_garbage_written_over_the_open_file_is_refused_until_it_is_repaired(
    path: Path, open_file: OpenFile
) -> None:
    file = await open_file()
    await file.write(insert("a"))
    await file.close()
    good = path.read_bytes()

    file = await open_file_again(path)
    path.write_bytes(b"garbage" * 1000)
    await refusal(file, notes)
    path.write_bytes(good)
    assert await file.read(notes) == ["a"]
    await file.close()


async def test_garbage_put_in_the_files_place_is_refused(path: Path, open_file: OpenFile, tmp_path: Path) -> None:
    file = await open_file()
    (tmp_path / "garbage").write_bytes(b"garbage" * 1000)
    (tmp_path / "garbage").rename(path)
    assert await refusal(file) == moved(path)
    assert await refusal(file) == moved(path)


# Closing


def sqlite_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("sqlite")}


async def test_closing_ends_the_thread_and_empties_the_wal(path: Path) -> None:
    before = sqlite_threads()
    file = SqliteFile.open(path)
    await file.prepare("notes", [NOTES])
    await file.write(insert("a"))
    (ours,) = sqlite_threads() - before
    await file.close()
    await asyncio.to_thread(ours.join, 5)
    assert not ours.is_alive()
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    await file.close()
    assert await refusal(file) == f"{path} has been closed by this process."


async def test_closing_waits_for_what_was_asked_before(path: Path, open_file: OpenFile) -> None:
    file = await open_file()
    writes = [asyncio.create_task(file.write(insert(str(number)))) for number in range(5)]
    await asyncio.sleep(0)
    await asyncio.gather(file.close(), file.close())
    await asyncio.gather(*writes)
    again = await open_file()
    assert len(await again.read(notes)) == 5


async def test_a_cancelled_close_still_closes(path: Path, open_file: OpenFile) -> None:
    file = await open_file()
    go_on = threading.Event()
    busy = asyncio.create_task(file.read(lambda _: go_on.wait(5)))
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(file.close())
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    go_on.set()
    await busy
    await file.close()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_closing_with_another_reader_loses_nothing(path: Path, open_file: OpenFile) -> None:
    file, other = await open_file(), await open_file()
    await file.write(insert("a"))
    await file.close()
    assert await other.read(notes) == ["a"]


def test_the_repr_shows_path_and_state(path: Path) -> None:
    file = SqliteFile.open(path)
    assert repr(file) == f"SqliteFile('{path}')"
    asyncio.run(file.close())
    assert repr(file) == f"SqliteFile('{path}', closed)"


async def test_a_glance_leaves_a_file_that_is_not_ours_as_it_is(path: Path) -> None:
    path.touch()
    glance = SqliteGlance.open(path)
    with pytest.raises(StoreUnavailable):
        await glance.read(lambda connection: connection.execute("SELECT 1 FROM users"))
    await glance.close()
    assert path.read_bytes() == b""
