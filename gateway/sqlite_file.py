"""One SQLite file, shared by the user directory and the state store, by this process and by others.

Theory of operation. A `SqliteFile` owns one connection, and one thread owns the connection: every transaction runs
there, in the order of asking, so the event loop never waits for a disk and nothing here needs a lock. The file is made
or opened by the first transaction, and each transaction first looks whether the path still means the file that is open
(a `stat`, 2 µs): users disabled in the file that is there now would live on in the one that we hold, so from then on
nothing can be told. A caller that is cancelled abandons its result, not its transaction: what has begun is committed or
rolled back whole, what has not begun never will.

WAL lets readers and the one writer of several processes work at once. synchronous=FULL, not the usual NORMAL: with
NORMAL a power cut takes the last commits back, and a spent refresh token, a log-out or a disabled user would come to
life again. It costs one fsync a commit (0.54 ms against 0.05 ms on a cloud disk), paid by log-outs, rotations and
operators only; reads pay nothing.
"""

import asyncio
import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self, TypeVar

from gateway.errors import StoreUnavailable

Result = TypeVar("Result")

_APPLICATION_ID: Final = 0x53_4A_47_57  # "SJGW" in the header's field for it: another program's file is left alone

# PRAGMA user_version: how the file as a whole is kept. 1 had no versions of its tables, see `prepare`.
_FORMAT: Final = 2

_VERSIONS: Final = """
    CREATE TABLE IF NOT EXISTS schema_versions (part TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID
"""

_BUSY_TIMEOUT: Final = 2.0  # our own transactions last milliseconds; what holds the file longer is a backup or a shell

_QUEUE_TIMEOUTS: Final = 2.5  # in busy timeouts; else the n-th caller of a locked file would wait for n of them

_SENTENCES: Final = {
    sqlite3.SQLITE_BUSY: "is locked by another process; look for a backup or an sqlite3 shell that holds it",
    sqlite3.SQLITE_READONLY: "cannot be written; check its owner, its mode and the mount",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the mode and the owner of the file and of its directory",
    sqlite3.SQLITE_NOTADB: "is not an SQLite database; move it away or name another file",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore it from a backup",
    sqlite3.SQLITE_FULL: "cannot grow; the disk is full",
    sqlite3.SQLITE_IOERR: "cannot be read or written; the disk reports an error",
}
"""Primary result code → what the operator reads after the path."""

_CONNECTION_LOST: Final = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_IOERR,
    }
)
"""After these the next caller gets a fresh connection, so that a repaired file is taken up without a restart."""


class SqliteFile:
    """The way to one SQLite file. All methods belong to the event loop; work is done in the file's own thread."""

    def __init__(self, path: Path, *, busy_timeout: float) -> None:
        self._path = path
        self._busy_timeout = busy_timeout
        self._queue_timeout = busy_timeout * _QUEUE_TIMEOUTS
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._closing: Future[None] | None = None

        # Of the thread alone.
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None  # device and inode of the file that is or was open

    @classmethod
    def open(cls, path: str | Path, *, busy_timeout: float = _BUSY_TIMEOUT) -> Self:
        """A handle on the file at `path`. Nothing is touched before the first transaction, which makes the file
        (mode 0600, as its -wal and -shm) when it is absent; so a handle may be made where no file may be, as by
        `gateway check`. `busy_timeout`: seconds to wait for another process's lock.
        """
        return cls(Path(path).absolute(), busy_timeout=busy_timeout)

    def __repr__(self) -> str:
        return f"SqliteFile({str(self._path)!r}{', closed' if self._closing else ''})"

    async def prepare(self, part: str, migrations: Sequence[Sequence[str]]) -> None:
        """Bring the tables of one part of the file (`users`, `state`) up to date, in one transaction.

        The n-th of `migrations` are the statements that lead from version n - 1 to n; what was published is never
        changed again. The first has to bear tables that are there: files of format 1 had them and no version. Raises
        `StoreUnavailable`, also when a newer gateway has brought the file further than this one knows.
        """

        def migrate(connection: sqlite3.Connection) -> None:
            connection.execute(_VERSIONS)
            row = connection.execute("SELECT version FROM schema_versions WHERE part = ?", (part,)).fetchone()
            version = int(row[0]) if row else 0
            if version > len(migrations):
                raise self._is_newer(f"{part} of version {version}, this one knows {len(migrations)}")
            if version == len(migrations):
                return
            for statement in (statement for migration in migrations[version:] for statement in migration):
                connection.execute(statement)
            connection.execute("REPLACE INTO schema_versions (part, version) VALUES (?, ?)", (part, len(migrations)))

        await self.write(migrate)

    async def read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """`work(connection)` on one snapshot of the file, in the thread.

        Raises `StoreUnavailable` for whatever SQLite raises; what `work` itself raises passes through.
        """
        return await self._run("BEGIN", work)

    async def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """As `read`, with the file's one write lock: committed when `work` returns, rolled back when it raises."""
        # IMMEDIATE: a transaction that begins as a reader and then writes is refused at once, whatever the busy
        # timeout, when another process has committed in between (SQLITE_BUSY_SNAPSHOT).
        return await self._run("BEGIN IMMEDIATE", work)

    async def close(self) -> None:
        """End the thread and the connection after what was asked before; the last one out empties the WAL into the
        file. May be called again, and by each of those who share the file: it is closed for all of them.
        """
        if self._closing is None:
            self._closing = self._thread.submit(self._disconnect)
            self._thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(self._closing))  # a cancelled caller must not cancel the closing

    async def _run(self, begin: str, work: Callable[[sqlite3.Connection], Result]) -> Result:
        if self._closing is not None:
            raise StoreUnavailable(f"{self._path} has been closed by this process.")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._transact, begin, work, time.monotonic())

    # Everything below runs in the thread.

    def _transact(self, begin: str, work: Callable[[sqlite3.Connection], Result], asked_at: float) -> Result:
        if time.monotonic() - asked_at > self._queue_timeout:
            raise StoreUnavailable(f"{self._path} is too slow: a query waited {self._queue_timeout:g} s for others.")
        try:
            connection = self._connected()
            connection.execute(begin)
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite has rolled back by itself after some errors
                    connection.execute("ROLLBACK")
                raise
            return result
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the upper bits are details
            if code in _CONNECTION_LOST:
                self._disconnect()
            raise StoreUnavailable(f"{self._path} {_SENTENCES.get(code, f'cannot be used: {error}')}.") from error

    def _connected(self) -> sqlite3.Connection:
        try:
            identity = self._identify()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = error.strerror if isinstance(error, OSError) else error
            raise StoreUnavailable(f"{self._path} cannot be opened: {reason}.") from error
        if self._connection is None:
            if identity is None:
                # Making a new one would turn "cannot tell" into "no such user".
                raise StoreUnavailable(f"{self._path} has been removed; put it back or restart.")
            self._connection = self._connect()
            self._identity = identity
        elif identity != self._identity:
            # SQLite would read our WAL, found by its name, as part of the new file. So it is emptied, into the file
            # that it belongs to, and the operator's restart finds the new one clean.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raise StoreUnavailable(
                f"{self._path} was moved away or replaced while in use; put it back, or restart to use what is there."
            )
        return self._connection

    def _identify(self) -> tuple[int, int] | None:
        """Device and inode of the file at the path, which is made if none has ever been open; None without one."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            if self._identity is not None:
                return None
            self._create()
            status = self._path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise StoreUnavailable(f"{self._path} is not a regular file; name a file for the database.")
        return status.st_dev, status.st_ino

    def _create(self) -> None:
        """Not left to SQLite, which obeys the umask only. The -wal and -shm files take the mode of this one."""
        if not self._path.parent.is_dir():
            raise StoreUnavailable(
                f"{self._path} cannot be made: the directory {self._path.parent} does not exist; create it."
            )
        with contextlib.suppress(FileExistsError):  # another process came first
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode=rw", uri=True, timeout=self._busy_timeout, isolation_level=None
        )
        try:
            self._claim(connection)
            self._use_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA temp_store = MEMORY")  # the container has no /tmp to write to
        except BaseException:
            connection.close()
            raise
        return connection

    def _claim(self, connection: sqlite3.Connection) -> None:
        """Mark a new file as ours; refuse another program's, and one of a format that is not known here yet."""
        is_ours, version = self._identify_format(connection, "BEGIN")
        if is_ours and version < _FORMAT:
            is_ours, version = self._identify_format(
                connection, "BEGIN IMMEDIATE"
            )  # of two that find it so, one marks it
        if not is_ours:
            raise StoreUnavailable(f"{self._path} is another program's SQLite database; name a file of its own.")
        if version > _FORMAT:
            raise self._is_newer(f"format {version}, this one knows {_FORMAT}")

    def _is_newer(self, what: str) -> StoreUnavailable:
        return StoreUnavailable(f"{self._path} was made by a newer gateway ({what}); upgrade this gateway.")

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        give_up_at = time.monotonic() + self._busy_timeout
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                # The one statement that does not wait by itself: another process is doing the same.
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up_at:
                    raise
                time.sleep(0.005)
        if mode != "wal":
            raise StoreUnavailable(f"{self._path} is on a file system without WAL (NFS?); move it to a local disk.")

    @staticmethod
    def _identify_format(connection: sqlite3.Connection, begin: str) -> tuple[bool, int]:
        """Whether the file is ours, or empty and may be, and its format; with the write lock it is marked as ours.

        In one transaction: another process may be making the file.
        """
        connection.execute(begin)
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        is_ours = application_id == _APPLICATION_ID or (application_id, version, objects) == (0, 0, 0)
        if is_ours and version < _FORMAT and begin == "BEGIN IMMEDIATE":
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
            version = _FORMAT
        connection.execute("COMMIT")
        return is_ours, version

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # A last checkpoint that fails loses nothing: what was committed stays in the WAL.
            with contextlib.suppress(sqlite3.Error):
                connection.close()


class ExistingSqliteFile(SqliteFile):
    """The same where the file must not be made: of whoever does it, it might be closed to the gateway."""

    def _create(self) -> None:
        raise StoreUnavailable(f"{self._path} does not exist yet.")


class SqliteGlance(ExistingSqliteFile):
    """The same for who only looks: the file is never made, marked or written.

    SQLite may leave an empty -wal and its -shm beside it, which the next who writes takes away.
    """

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode=ro", uri=True, timeout=self._busy_timeout, isolation_level=None
        )
        try:
            self._claim(connection)
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
        return connection
