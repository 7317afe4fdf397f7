"""A backend that answers by script, for all that no well-behaved server can be made to do.

It runs in a thread of its own, keeps the exact bytes that the gateway sent, and asks the current script for the answer
to each request. A script is a coroutine function of the connection (`Link`) and the request (`Received`); those that
several tests need stand below, others are written where they are used.
"""

import asyncio
import contextlib
import dataclasses
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

TIMEOUT = 5.0
READ_BYTES = 256 * 1024
KEPT_BYTES = 1024 * 1024  # of each connection; the streaming tests keep digests instead
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Cut(Exception):
    """The gateway ended the connection inside a request."""


@dataclasses.dataclass(kw_only=True)
class Received:
    """One request as it came: `head` are its exact bytes up to the empty line, `body` is its payload so far.

    `is_whole` is set once its end has come. `link` is the number of the connection, `attempt` the request's on it.
    """

    link: int
    attempt: int
    head: bytes
    body: bytes = b""
    size: int = 0
    is_whole: bool = False

    @property
    def request_line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def method(self) -> str:
        return self.request_line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.request_line.split(" ")[1]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """(name as sent, value) in their order."""
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        return [(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)]

    def values(self, name: str) -> list[str]:
        """The values of a field, its name compared without case."""
        return [value for other, value in self.fields if other.lower() == name.lower()]

    def folded(self, name: str) -> list[str]:
        """The values of all fields that a CGI-like backend takes for `name`."""

        def fold(text: str) -> str:
            return "".join(char if char.isascii() and char.isalnum() else "_" for char in text).upper()

        return [value for other, value in self.fields if fold(other) == fold(name)]


class Link:
    """One connection from the gateway, as a script sees it. Reading raises `Cut` when the gateway ends it."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.raw = b""
        self.attempts = 0
        self.is_open = True
        self._may_send = True
        self._reader = reader
        self._writer = writer
        self._buffer = b""

    async def _more(self) -> None:
        data = await self._reader.read(READ_BYTES)
        if not data:
            raise Cut
        if len(self.raw) < KEPT_BYTES:
            self.raw += data
        self._buffer += data

    async def read_head(self) -> Received:
        while b"\r\n\r\n" not in self._buffer:
            await self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.attempts += 1
        return Received(link=self.number, attempt=self.attempts, head=head + b"\r\n\r\n")

    async def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            await self._more()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    async def _exactly(self, count: int) -> AsyncIterator[bytes]:
        while count:
            if not self._buffer:
                await self._more()
            piece, self._buffer = self._buffer[:count], self._buffer[count:]
            count -= len(piece)
            yield piece

    async def _pieces(self, received: Received) -> AsyncIterator[bytes]:
        lengths, codings = received.values("content-length"), received.values("transfer-encoding")
        assert len(lengths) + len(codings) <= 1, received.head
        if codings:
            assert codings == ["chunked"], received.head
            while size := int(await self._line(), 16):
                async for piece in self._exactly(size):
                    yield piece
                assert await self._line() == b"", "a chunk does not end where it should"
            assert await self._line() == b"", "the gateway passed a trailer on"
        elif lengths:
            async for piece in self._exactly(int(lengths[0])):
                yield piece

    async def body(self, received: Received) -> AsyncIterator[bytes]:
        """The payload as it comes; sets `is_whole` at its end."""
        async for piece in self._pieces(received):
            received.size += len(piece)
            yield piece
        received.is_whole = True

    async def read_body(self, received: Received) -> None:
        async for piece in self.body(received):
            received.body += piece

    async def take(self, count: int) -> bytes:
        """Bytes of a tunnel."""
        return b"".join([piece async for piece in self._exactly(count)])

    async def send(self, data: bytes) -> None:
        if not self._may_send:
            # A request that was on its way when this side was ended.
            raise Cut
        self._writer.write(data)
        await self._writer.drain()

    async def wait_for_end(self) -> None:
        """Read on until the gateway ends the connection."""
        with contextlib.suppress(Cut, ConnectionError):
            while True:
                await self._more()
                self._buffer = b""

    def half_close(self) -> None:
        self._may_send = False
        self._writer.write_eof()

    def close(self) -> None:
        self.is_open = False
        self._writer.close()

    def reset(self) -> None:
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.is_open = False
        self._writer.transport.abort()


Script = Callable[[Link, Received], Awaitable[None]]


def plain(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer with a length."""
    lines = [b"HTTP/1.1 " + status, *fields, b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*lines, b"", body])


async def echo(link: Link, received: Received) -> None:
    """The usual script: read all, answer with the target."""
    await link.read_body(received)
    body = received.target.encode("latin-1")
    await link.send(plain(b"" if received.method == "HEAD" else body))


def answers(raw: bytes, *, end: str = "keep") -> Script:
    """Read all, send `raw`, then `keep`, `close`, `half-close`, `reset` or `stall`."""

    async def script(link: Link, received: Received) -> None:
        await link.read_body(received)
        await link.send(raw)
        await _end(link, end)

    return script


def answers_early(raw: bytes, *, end: str = "keep") -> Script:
    """As `answers`, but without waiting for the body, which is read and thrown away after."""

    async def script(link: Link, received: Received) -> None:
        await link.send(raw)
        await _end(link, end)
        await link.read_body(received)

    return script


async def _end(link: Link, end: str) -> None:
    if end == "close":
        link.close()
    elif end == "half-close":
        link.half_close()
    elif end == "reset":
        # What was sent must have left this side, or the reset would take it along.
        await asyncio.sleep(0.05)
        link.reset()
    elif end == "stall":
        await link.wait_for_end()


async def silent(link: Link, received: Received) -> None:
    """Take the request and never answer."""
    await link.read_body(received)
    await link.wait_for_end()


async def deaf(link: Link, received: Received) -> None:
    """Take the head and never read on nor answer; ends when the test is over."""
    await asyncio.sleep(TIMEOUT)


class ScriptedUpstream:
    """`requests` is everything that came since the last `begin`, in order.

    It listens on `port` of 127.0.0.1 (0: any), with TLS if there is a context, or on the Unix socket `path`.
    """

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None, path: str | None = None) -> None:
        self.requests: list[Received] = []
        self.links: list[Link] = []
        self.faults: list[BaseException] = []
        self.port = port
        self._tls = tls
        self._path = path
        self._server: asyncio.Server | None = None
        self._script: Script = echo
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        if self._path is not None:
            return f"unix:{self._path}"
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    def play(self, script: Script) -> None:
        """Answer by `script` from now on."""
        self._script = script

    def begin(self) -> None:
        """A new test: the usual script, no connections, nothing remembered."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(TIMEOUT)
        self._script = echo
        self.requests, self.links, self.faults = [], [], []

    def targets(self) -> list[str]:
        return [received.target for received in self.requests]

    def only_started(self) -> Received:
        """The one request that came, whole or not."""
        (received,) = self.requests
        return received

    def only(self) -> Received:
        """The one request that came, whole."""
        received = self.only_started()
        self.wait_until(lambda: received.is_whole)
        return received

    def open_links(self) -> int:
        return sum(link.is_open for link in self.links)

    def wait_until(self, is_so: Callable[[], bool], timeout: float = TIMEOUT) -> float:
        """Wait until something is so here; gives the seconds that it took, fails when it never is."""
        begun = time.monotonic()
        while not is_so():
            assert time.monotonic() - begun < timeout, (self.requests, self.faults)
            time.sleep(0.002)
        return time.monotonic() - begun

    def die(self) -> None:
        """As a killed process: nobody listens any more, every connection is reset."""

        async def die() -> None:
            assert self._server is not None
            self._server.close()
            for link in self.links:
                if link.is_open:
                    link.reset()
            for task in tuple(self._tasks):
                task.cancel()

        asyncio.run_coroutine_threadsafe(die(), self._loop).result(TIMEOUT)

    async def _hang_up(self) -> None:
        """End all connections and wait until the gateway has done so too: none of them may be used again."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link(len(self.links), reader, writer)
        self.links.append(link)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._converse(link)
        except (Cut, ConnectionError):
            pass
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                link.half_close()
                await asyncio.wait_for(link.wait_for_end(), 1)
        except Exception as fault:
            self.faults.append(fault)
        finally:
            self._tasks.discard(task)
            link.close()

    async def _converse(self, link: Link) -> None:
        while link.is_open:
            received = await link.read_head()
            self.requests.append(received)
            await self._script(link, received)

    async def _start(self) -> asyncio.Server:
        if self._path is not None:
            return await asyncio.start_unix_server(self._serve, self._path, limit=READ_BYTES)
        # A backlog for the tests that open hundreds of connections at once.
        return await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=READ_BYTES, backlog=1024, ssl=self._tls
        )

    @contextlib.contextmanager
    def running(self) -> Iterator["ScriptedUpstream"]:
        self._thread.start()
        self._server = server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(TIMEOUT)
        if self._path is None:
            self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(server.close)
            self.begin()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(TIMEOUT)
            self._loop.close()


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """A port on which connections are refused: bound, so that nobody else takes it, and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def never_accepting_port() -> Iterator[int]:
    """A port whose backlog is full: connections are neither accepted nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
