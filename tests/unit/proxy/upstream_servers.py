"""Backends on real sockets for the unit tests of pools, in the same event loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway.errors import Reason
from gateway.http.bodies import Body
from gateway.http.fields import ResponseFieldUses
from gateway.http.responses import Response, ResponseReader
from gateway.proxy.balancer import Balance, round_robin
from gateway.proxy.server_health import HealthRules
from gateway.proxy.upstream_connection import UpstreamConnection
from gateway.proxy.upstream_pool import ExchangeTimeouts, UpstreamPool
from gateway.proxy.upstream_server import ConnectionLimits, ServerAddress
from gateway.server.dialling import tcp_connector
from tests.unit.metering import new_meters

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Backend:
    """Answers each request with `answer`, None: never. `open` connections and `requests` are counted."""

    def __init__(self) -> None:
        self.answer: bytes | None = OK
        self.requests = 0
        self.open = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        while self._writers:
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                if self.answer is not None:
                    writer.write(self.answer)
        self.open -= 1
        self._writers.discard(writer)
        writer.close()


class Asker:
    """An exchange's part: `outcome` is the status of the answer or the reason of the failure."""

    request_method = "GET"
    is_request_sent = True

    def __init__(self) -> None:
        self.status = 0
        self.outcome: asyncio.Future[int | Reason] = asyncio.get_running_loop().create_future()

    def on_response_head(self, response: Response, body: Body, payload: bytes) -> None:
        self.status = response.status

    def on_response_end(self) -> None:
        self.outcome.set_result(self.status)

    def on_upstream_failed(self, reason: Reason) -> None:
        self.outcome.set_result(reason)

    def on_interim_response(self, response: Response) -> None: ...
    def on_response_body(self, payload: bytes) -> None: ...
    def on_upstream_writable(self, *, is_writable: bool) -> None: ...


def begin(connection: UpstreamConnection) -> Asker:
    asker = Asker()
    connection.begin(asker, REQUEST)
    return asker


async def ask(connection: UpstreamConnection) -> int | Reason:
    """One exchange on the connection."""
    return await begin(connection).outcome


def reader() -> ResponseReader:
    return ResponseReader(uses=ResponseFieldUses())


def limits(
    *,
    max_open: int | None = None,
    max_idle: int = 8,
    idle_timeout: float = 60.0,
    connect_timeout: float = 1.0,
    max_queued: int = 4,
    queue_timeout: float = 1.0,
) -> ConnectionLimits:
    return ConnectionLimits(
        max_open=max_open,
        max_idle=max_idle,
        idle_timeout=idle_timeout,
        connect_timeout=connect_timeout,
        max_queued=max_queued,
        queue_timeout=queue_timeout,
    )


def address(port: int) -> ServerAddress:
    return ServerAddress(
        label=f"http://127.0.0.1:{port}", host=b"127.0.0.1:%d" % port, connect=tcp_connector("127.0.0.1", port)
    )


@contextlib.asynccontextmanager
async def running(
    count: int,
    *,
    balance: Balance = round_robin,
    pause: float = 60.0,
    connections: ConnectionLimits | None = None,
) -> AsyncIterator[tuple[UpstreamPool, list[Backend]]]:
    """A pool before so many backends; a pause of a minute is longer than any test."""
    backends = [Backend() for _ in range(count)]
    for backend in backends:
        await backend.start()
    pool = UpstreamPool(
        name="app",
        servers=[address(backend.port) for backend in backends],
        balance=balance,
        timeouts=ExchangeTimeouts(send=1.0, response=1.0, read=1.0),
        limits=connections or limits(),
        rules=HealthRules(falls=1, rises=1, pause=pause, max_pause=60.0),
        reader=reader(),
        meter=new_meters().upstream("app"),
    )
    try:
        yield pool, backends
    finally:
        pool.close()
        for backend in backends:
            await backend.stop()
