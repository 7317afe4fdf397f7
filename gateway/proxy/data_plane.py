"""What all client connections of a process share, and their number."""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from gateway.errors import Reason
from gateway.http.addresses import Address, Networks, parse_address
from gateway.http.cors import CorsPolicy
from gateway.http.forwarding import NOWHERE, TrustedProxies, connection_origin
from gateway.http.replies import Replies
from gateway.observability.access_log import AccessLog
from gateway.observability.meters import RouteMeter
from gateway.observability.tracing import Tracing
from gateway.proxy import spans
from gateway.proxy.admission import Admission
from gateway.proxy.client_connection import ClientConnection
from gateway.proxy.connection_caps import CapRules, ConnectionCaps
from gateway.proxy.exchange import Exchange
from gateway.proxy.long_exchanges import LongExchanges
from gateway.proxy.plan import ClientLimits
from gateway.proxy.preparation import Preparation
from gateway.proxy.tunnel import Tunnel

_NO_ROOM_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneRules:
    """What follows from the configuration alone, made and exchanged as a whole.

    `listed` are preparations for the heads of peers that may say more than others, so that nobody else pays for them;
    the first counts whose networks hold the peer. `cors` speaks where no route was found: a browser must be able to
    read that answer, too.
    """

    preparation: Preparation
    listed: tuple[tuple[Networks, Preparation], ...]
    trusted_proxies: TrustedProxies | None
    replies: Replies
    cors: CorsPolicy | None
    limits: ClientLimits
    caps: CapRules


class DataPlane:
    """The shared values of the hot path: made at start, exchanged by `swap`, only read in between.

    `clock` gives Unix seconds; `now` is the loop's clock.
    """

    def __init__(
        self,
        *,
        rules: PlaneRules,
        admission: Admission,
        access_log: AccessLog | None,
        tracing: Tracing | None,
        unrouted: RouteMeter,
        long_exchanges: LongExchanges,
        clock: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.admission = admission
        self.long_exchanges = long_exchanges
        self.clock = clock
        self.loop = loop
        self.now = loop.time
        self.is_draining = False  # from the moment on when the gateway is told to stop
        self.tracing = tracing
        self.access_log = access_log
        self._unrouted = unrouted
        self._caps = ConnectionCaps(rules.caps)
        self._connections: dict[ClientConnection, None] = {}  # a set that knows who came first
        self._is_room_sought_from = 0.0
        self._date_second = -1
        self._date_line = b""
        self._drained: asyncio.Event | None = None  # set once no connection is accepted any more
        # Unique, not secret: a random part for the process, a count for the request.
        self._request_id_prefix = secrets.token_hex(8).encode()
        self._request_count = itertools.count()
        self.swap(rules)

    def swap(self, rules: PlaneRules) -> None:
        """From the next request on, also of connections that are open; exchanges go on with the route that they have.

        A connection cannot keep what was prepared of its last head, and is told so here: to ask on each request whether
        that is of the past would cost each request.
        """
        self.preparation = rules.preparation
        self.trusted_proxies = rules.trusted_proxies
        self.replies = rules.replies
        self.cors = rules.cors
        self.limits = rules.limits
        self._listed = rules.listed
        self._caps.rules = rules.caps
        for connection in self._connections:
            if not self._listed or connection.origin is NOWHERE:
                connection.prepare_by(self.preparation)
            else:
                connection.prepare_by(self._preparation_for(parse_address(connection.origin.address)))

    def _preparation_for(self, address: Address) -> Preparation:
        for networks, preparation in self._listed:
            if address in networks:
                return preparation
        return self.preparation

    def new_request_id(self) -> bytes:
        return b"%b-%08x" % (self._request_id_prefix, next(self._request_count) & 0xFFFFFFFF)

    def date_line(self) -> bytes:
        """The Date line of the gateway's own answers (RFC 9110 §6.6.1), made once a second."""
        second = int(self.clock())
        if second != self._date_second:
            self._date_second = second
            self._date_line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._date_line

    def new_connection(self) -> ClientConnection | None:
        """Of a client that was accepted, to be introduced next; None when there are too many or the port is closed."""
        if self._drained is not None:
            return None
        if not self._caps.has_room(len(self._connections)) and not self._make_room():
            return None
        connection = ClientConnection(self)
        self._connections[connection] = None
        return connection

    def _make_room(self) -> bool:
        """Close connections that nothing happens on, the oldest first: whoever opens many and waits keeps nobody out.

        A few at once, so that a look at all of them is paid for by many clients; where there were none, the next look
        waits a little.
        """
        if self.now() < self._is_room_sought_from:
            return False
        wanted = self._caps.share
        idle = tuple(itertools.islice((connection for connection in self._connections if connection.is_idle), wanted))
        for connection in idle:
            connection.drain()
            self.on_client_lost(connection)
        if len(idle) < wanted:
            self._is_room_sought_from = self.now() + _NO_ROOM_SECONDS
        return bool(idle)

    def introduce(self, connection: ClientConnection, address: Address, *, is_tls: bool) -> bool:
        """Tell a connection whose it is; False when this address has too many already."""
        group = self._caps.take(address)
        if group is None:
            return False
        connection.introduce(connection_origin(str(address), is_tls=is_tls), self._preparation_for(address), group)
        return True

    def on_client_lost(self, connection: ClientConnection) -> None:
        """The connection has ended, or has never begun."""
        if connection not in self._connections:
            return
        del self._connections[connection]
        self._caps.give_back(connection.group)
        if self._drained is not None and not self._connections:
            self._drained.set()

    def on_tunnel_start(self, tunnel: Tunnel) -> None:
        self.long_exchanges.open_tunnel(tunnel)
        if self._drained is not None:
            tunnel.end_early(Reason.STOPPING)

    def on_tunnel_end(self, tunnel: Tunnel) -> None:
        self.long_exchanges.discard(tunnel)
        exchange, plan = tunnel.exchange, tunnel.plan
        if plan is not None:
            plan.meter.count(exchange.request.method, exchange.status, exchange.reason)
        self._tell(exchange, self.now(), tunnel)

    def on_exchange_end(self, exchange: Exchange) -> None:
        if self.long_exchanges.watched:
            self.long_exchanges.discard(exchange)
        now, plan, reason = self.now(), exchange.plan, exchange.reason
        meter = self._unrouted if plan is None else plan.meter
        meter.observe(exchange.request.method, exchange.status, reason, now - exchange.started_at)
        if plan is not None:
            if exchange.answered_at is not None:
                plan.pool.meter.answered(exchange.answered_at - exchange.sent_at)
            if reason is not None:
                plan.pool.meter.ended(reason)
        self._tell(exchange, now)

    def _tell(self, exchange: Exchange, now: float, tunnel: Tunnel | None = None) -> None:
        if self.access_log is not None:
            self.access_log.write(exchange, now, tunnel)
        trace = exchange.trace
        if trace is not None and trace.is_sampled and self.tracing is not None:
            spans.record(self.tracing.sink, trace, exchange, now)

    @property
    def connections(self) -> int:
        return len(self._connections)

    @property
    def connections_limit(self) -> int:
        return self._caps.total

    @property
    def in_flight(self) -> int:
        """Requests that have begun and not ended: a walk, so that no request has to be counted twice."""
        return sum(type(connection.exchange) is Exchange for connection in self._connections)

    def begin_draining(self) -> None:
        """Be not ready, and end each connection with its next answer. New ones are still welcome."""
        self.is_draining = True

    async def drain(self, seconds: float) -> int:
        """Accept nobody, close what is idle, let exchanges end for at most `seconds`, cut what is left: how many."""
        self.is_draining = True
        self._drained = asyncio.Event()
        self.long_exchanges.end_tunnels()
        for connection in tuple(self._connections):
            connection.drain()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), seconds)
        left = tuple(self._connections)
        for connection in left:
            connection.abort()
        return len(left)
