"""Active health checks: asks each server of an upstream, time and again, whether it takes requests."""

import asyncio
from dataclasses import dataclass
from typing import NoReturn

from gateway.errors import Reason, Refused
from gateway.http.bodies import Body
from gateway.http.responses import Response, ResponseReader
from gateway.proxy.upstream_connection import UpstreamConnection
from gateway.proxy.upstream_pool import UpstreamPool
from gateway.proxy.upstream_server import UpstreamServer


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """A GET of `path` to each server every `interval` seconds; an answer has `timeout` seconds."""

    path: bytes
    interval: float
    timeout: float


class _Check:
    """Waits for the answer to one check, on a connection of its own that no request ever gets."""

    label = "health check"
    request_method = "GET"
    is_request_sent = True
    is_suspect = False

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def _settle(self, status: int) -> None:
        if not self.status.done():
            self.status.set_result(status)

    def on_response_head(self, response: Response, body: Body, payload: bytes) -> None:
        self._settle(response.status)

    def on_upstream_failed(self, reason: Reason) -> None:
        self._settle(0)

    def on_switch(self, response: Response) -> NoReturn:
        raise Refused(Reason.UPSTREAM_BROKEN)  # nobody asked for another protocol

    def on_idle(self, connection: UpstreamConnection) -> None:
        connection.close()

    def on_interim_response(self, response: Response) -> None: ...
    def on_response_body(self, payload: bytes) -> None: ...
    def on_response_end(self) -> None: ...
    def on_upstream_writable(self, *, is_writable: bool) -> None: ...
    def on_answer(self) -> None: ...
    def on_closed(self, connection: UpstreamConnection) -> None: ...
    def on_request_failed(self, connection: UpstreamConnection, reason: Reason, since: float) -> None: ...


class HealthChecks:
    """Checks the servers of `pool` and tells it what each check has found."""

    def __init__(self, *, pool: UpstreamPool, settings: CheckSettings, reader: ResponseReader) -> None:
        self._pool = pool
        self._settings = settings
        self._reader = reader

    async def run(self) -> None:
        """Check all servers at the same time, again and again until cancelled."""
        while True:
            await asyncio.gather(*(self._check(server) for server in self._pool.servers))
            await asyncio.sleep(self._settings.interval)

    async def _check(self, server: UpstreamServer) -> None:
        self._pool.on_check(server, passed=200 <= await self._status_of(server) < 400)

    async def _status_of(self, server: UpstreamServer) -> int:
        """The status of the answer, 0 for none."""
        check = _Check()
        connection = UpstreamConnection(owner=check, reader=self._reader)
        request = b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: gateway-health-check\r\nConnection: close\r\n\r\n"
        try:
            async with asyncio.timeout(self._settings.timeout):
                await server.connect(lambda: connection)
                connection.begin(check, request % (self._settings.path, server.host))
                return await check.status
        except (OSError, TimeoutError, Refused):
            return 0
        finally:
            connection.close()
