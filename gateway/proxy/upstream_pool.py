"""The servers of one upstream: which of them takes a request, who waits for a place, who is left alone for a while.

Theory of operation. `_live` holds the servers that may be chosen; requests choose among them and look at no clock.
A server that fails leaves the list; a timer puts it back *on trial*, and the first request that chooses it takes it out
again and tries it alone. An answer makes it live for good, a failure doubles the pause. Where nobody is live, servers
that failed are tried all the same: an attempt costs less than a refusal, and the first answer ends the outage. Servers
that the operator's health checks have taken out are not.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import Reason, Refused
from gateway.http.responses import ResponseReader
from gateway.observability.meters import UpstreamMeter
from gateway.proxy.balancer import NOBODY, Balance
from gateway.proxy.server_health import HealthRules
from gateway.proxy.upstream_connection import ConnectionOwner, UpstreamConnection
from gateway.proxy.upstream_server import ConnectionLimits, ServerAddress, UpstreamServer

logger: Final = logging.getLogger("gateway")

# How many servers may fail one request after it was sent. Each try that fails late has cost its server work.
_MAX_TRIES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeTimeouts:
    """Seconds of silence: while a request is sent, until the first byte of the answer, between its bytes."""

    send: float
    response: float
    read: float


class UpstreamPool:
    """`host` is the Host field for routes that send the upstream's own. The timeouts are in seconds;
    `opening_timeout` is the longest that `open` can take."""

    def __init__(
        self,
        *,
        name: str,
        servers: Sequence[ServerAddress],
        balance: Balance,
        timeouts: ExchangeTimeouts,
        limits: ConnectionLimits,
        rules: HealthRules,
        reader: ResponseReader,
        meter: UpstreamMeter,
    ) -> None:
        self.name = name
        self.meter = meter
        self.host = servers[0].host
        self.send_timeout = timeouts.send
        self.response_timeout = timeouts.response
        self.read_timeout = timeouts.read
        self.opening_timeout = limits.queue_timeout + limits.connect_timeout * len(servers) + 1.0
        self.servers = tuple(
            UpstreamServer(server, limits=limits, rules=rules, reader=reader, observer=self) for server in servers
        )
        self._balance = balance
        self._max_queued = limits.max_queued
        self._queue_timeout = limits.queue_timeout
        self._live = list(self.servers)
        self._turn = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return f"<UpstreamPool {self.name} live={len(self._live)} waiting={len(self._waiters)} {self.servers}>"

    @property
    def has_waiters(self) -> bool:
        return bool(self._waiters)

    @property
    def queued(self) -> int:
        return len(self._waiters)

    @property
    def is_busy(self) -> bool:
        """Whether a request is on one of its connections, or waits for one."""
        return bool(self._waiters) or any(server.busy for server in self.servers)

    # Connections

    def take(self) -> UpstreamConnection | None:
        """An idle connection of the server whose turn it is; None when `open` must be awaited."""
        live = self._live
        if self._waiters:
            return None  # first come, first served
        if len(live) == 1:
            return live[0].take()
        at = self._balance(live, self._turn)
        if at == NOBODY:
            return None
        connection = live[at].take()
        if connection is not None:
            self._turn = at + 1
        return connection

    async def open(self, failed: Sequence[ConnectionOwner] | None = None) -> UpstreamConnection:
        """A connection, where needed after a wait for a place; servers that cannot be reached are left for the next.

        `failed` are the servers that this request has been sent to in vain; with it, also empty, only a new connection
        will do: a kept one may be as dead as the one before. Raises `Refused` with the reason of the last attempt:
        UPSTREAM_UNREACHABLE, UPSTREAM_TLS_FAILED, UPSTREAM_CONNECT_TIMEOUT; UPSTREAM_BUSY when the wait was in vain.
        """
        tried: list[ConnectionOwner] = list(failed or ())
        reason = Reason.UPSTREAM_UNREACHABLE
        deadline = self._loop.time() + self._queue_timeout
        must_wait = bool(self._waiters)
        while (server := self._next_server(tried)) is not None:
            if must_wait or not server.has_room:
                must_wait = False
                await self._wait_for_room(deadline)
                continue
            self._begin(server)
            connection = server.take() if failed is None else None
            if connection is not None:
                return connection
            try:
                connection = await server.open()
            except OSError as error:
                reason = _reason_of(error)
                tried.append(server)
                self.on_failure(server, reason)
                continue
            if connection.is_available:
                return connection
            tried.append(server)
        raise Refused(reason)

    def _next_server(self, tried: Sequence[ConnectionOwner]) -> UpstreamServer | None:
        servers = [server for server in self._live if server not in tried] or [
            server for server in self.servers if server not in tried and not server.health.is_checked_out
        ]
        if not servers:
            return None
        at = self._balance(servers, self._turn)
        if at == NOBODY:
            return servers[0]
        self._turn = at + 1
        return servers[at]

    def _begin(self, server: UpstreamServer) -> None:
        """A server on trial is tried by one request; should nobody hear of it again, by another one later."""
        if server.is_on_trial:
            server.is_on_trial = False
            server.is_being_tried = True
            self._live.remove(server)
            self._plan_trial(server)

    # The queue

    async def _wait_for_room(self, deadline: float) -> None:
        """Returns when there may be a place. Raises `Refused(UPSTREAM_BUSY)`.

        Whoever waits stays in the queue until it runs again, so that nobody takes the place before it.
        """
        if len(self._waiters) >= self._max_queued:
            raise Refused(Reason.UPSTREAM_BUSY)
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(deadline):
                await waiter
        except (TimeoutError, asyncio.CancelledError) as ended:
            if waiter.done() and not waiter.cancelled():
                self.on_room()  # the place is for the next one
            if isinstance(ended, TimeoutError):
                raise Refused(Reason.UPSTREAM_BUSY) from None
            raise
        finally:
            self._waiters.remove(waiter)

    def on_room(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
                return

    def _wake_all(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    # Health

    def may_try_again(self, failed: Sequence[ConnectionOwner]) -> bool:
        """Whether a request that these servers have failed may go to another one."""
        return len(failed) < _MAX_TRIES and any(
            server not in failed and not server.health.is_checked_out for server in self.servers
        )

    def on_failure(self, server: UpstreamServer, reason: Reason) -> None:
        """A connection could not be opened, or a request failed in a way that speaks of the server."""
        self.meter.failed(server.label, reason)
        if server.health.failures and not server.is_being_tried:
            return  # known already: requests from before, or attempts because nobody is live
        was_up = server.health.is_up
        server.is_being_tried = False
        server.health.on_failure()
        server.suspect()
        self._leave(server)
        self._plan_trial(server)
        if was_up:
            self._log_down(server, reason.value)

    def on_answer(self, server: UpstreamServer) -> None:
        server.health.on_answer()
        self._settle(server, was_up=False)

    def on_check(self, server: UpstreamServer, *, passed: bool) -> None:
        """The outcome of one health check."""
        was_up = server.health.is_up
        server.health.on_check(passed=passed)
        self._settle(server, was_up=was_up)

    def _settle(self, server: UpstreamServer, *, was_up: bool) -> None:
        """Make the lists say what the server's health says now."""
        health = server.health
        if health.is_up:
            server.trust()
            if server not in self._live:
                self._live.append(server)
                self._wake_all()
            if not was_up:
                logger.warning("upstream_up name=%s server=%s", self.name, server.label)
        elif health.is_checked_out:
            server.suspect()
            self._leave(server)
            if was_up:
                self._log_down(server, "health_check")

    def _leave(self, server: UpstreamServer) -> None:
        if server in self._live:
            self._live.remove(server)
            self._wake_all()

    def _log_down(self, server: UpstreamServer, reason: str) -> None:
        logger.error("upstream_down name=%s server=%s reason=%s", self.name, server.label, reason)

    def _plan_trial(self, server: UpstreamServer) -> None:
        server.cancel_trial()
        server.trial_timer = self._loop.call_later(server.health.pause, self._put_on_trial, server)

    def _put_on_trial(self, server: UpstreamServer) -> None:
        server.trial_timer = None
        if server.health.failures and not server.health.is_checked_out and not server.is_on_trial:
            server.is_on_trial = True
            server.is_being_tried = False
            self._live.append(server)
            self._wake_all()

    def close(self) -> None:
        """Keep nothing from now on. Requests that have begun go on, also those that wait, each on a connection that
        ends with it."""
        for server in self.servers:
            server.close()


def _reason_of(error: Exception) -> Reason:
    if isinstance(error, TimeoutError):
        return Reason.UPSTREAM_CONNECT_TIMEOUT
    if isinstance(error, ssl.SSLError):
        return Reason.UPSTREAM_TLS_FAILED
    return Reason.UPSTREAM_UNREACHABLE
