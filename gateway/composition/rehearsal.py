"""One request through the real data plane, with memory in the place of both sockets: what would become of it, and why.

Everything in between is what serves clients: the connection cuts and reads the head, the exchange routes, admits,
rewrites and refuses. So nothing here can say something else than a running gateway does. No server is asked: the
connections of the pools lead into memory, and what is written to one is what the backend would get.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from gateway.auth.policy import RoutePolicy
from gateway.auth.revocation import RevocationList
from gateway.composition.blueprint import Blueprint
from gateway.composition.data_plane import build_admission_rules, build_rules
from gateway.composition.foreign_issuers import build_foreign_issuers, foreign_of
from gateway.composition.metrics import open_metering
from gateway.composition.routes import build_cors, build_routes
from gateway.composition.tokens import build_verifier
from gateway.composition.upstreams import Upstreams, build_endpoints_pool
from gateway.errors import GatewayError, Reason
from gateway.http.addresses import parse_address
from gateway.http.fields import ResponseFieldUses
from gateway.http.responses import ResponseReader
from gateway.http.routes import RouteTable
from gateway.interfaces import UserLookUp
from gateway.observability.families import LEVELS
from gateway.observability.meters import UNROUTED, Meters
from gateway.observability.tally import Tally
from gateway.proxy.admission import Admission, UnknownUser
from gateway.proxy.data_plane import DataPlane
from gateway.proxy.exchange import Exchange
from gateway.proxy.long_exchanges import LongExchanges
from gateway.proxy.plan import RoutePlan
from gateway.proxy.tunnel import Tunnel
from gateway.proxy.upstream_pool import UpstreamPool
from gateway.proxy.upstream_server import Connector, ProtocolFactory
from gateway.types import Principal

REQUEST_ID: Final = b"<request-id>"
"""Stands for the id that a running gateway would make."""

_END: Final = b"\r\n\r\n"
_PATIENCE: Final = 10.0  # seconds, for a user directory that does not answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What became of a request.

    `head` is what `server` would get, None for one that goes no further; then `answer` is the client's, and `reason`
    why (None for an answer that is no refusal). `plan` is the route as far as one was found,
    `principal` whose token was good, whatever the route then said. `asked_about` is the target that a proxy's question
    is about, None for a request that is none.
    """

    plan: RoutePlan | None
    principal: Principal | None
    reason: Reason | None
    answer: bytes
    server: str | None
    head: bytes | None
    asked_about: str | None


class Stage:
    """The data plane of `blueprint`. Made inside of a running loop."""

    def __init__(self, blueprint: Blueprint, *, directory: UserLookUp, revocations: RevocationList) -> None:
        config = blueprint.config
        metering = open_metering(1, is_exposed=False)
        meters = Meters(Tally(metering.regions[0], pid=0, levels=LEVELS))
        self._sent: list[tuple[str, bytes]] = []
        self._is_tls = config.listen.tls is not None
        self._happened = asyncio.Event()
        self._pools = self._build_pools(blueprint, meters)
        cors = None if config.cors is None else build_cors(config.cors)
        *upstreams, endpoints = self._pools
        self.routes: RouteTable[RoutePlan] = build_routes(
            config,
            pools=dict(zip(config.upstreams, upstreams, strict=True)),
            endpoints=endpoints,
            cors=cors,
            meters=meters,
        )
        foreign = foreign_of(build_foreign_issuers(config))
        verifier = build_verifier(config, blueprint.credentials.keyring)
        self._admission = _Admission(
            rules=build_admission_rules(config, verifier, foreign),
            revocations=revocations,
            directory=directory,
            max_tokens=1,
        )
        loop = asyncio.get_running_loop()
        self._long_exchanges = LongExchanges(revocations=revocations, directory=directory, clock=time.time, loop=loop)
        self._plane = _Plane(
            rules=build_rules(config, routes=self.routes, cors=cors),
            admission=self._admission,
            access_log=None,
            tracing=None,
            unrouted=meters.route(UNROUTED),
            long_exchanges=self._long_exchanges,
            clock=time.time,
            loop=loop,
        )

    def _build_pools(self, blueprint: Blueprint, meters: Meters) -> Sequence[UpstreamPool]:
        """Those of the upstreams in their order, then the gateway's own."""
        reader = ResponseReader(uses=ResponseFieldUses())
        drawn = Upstreams(reader=reader, meters=meters).draw(blueprint)
        runner = web.AppRunner(web.Application())
        own = build_endpoints_pool(runner, blueprint.config.users, reader=reader, meters=meters)
        pools = [*(running.pool for running in drawn.values()), own]
        for server in (server for pool in pools for server in pool.servers):
            server.connect = self._connector_to(server.label)
        return pools

    def _connector_to(self, label: str) -> Connector:
        def take(data: bytes) -> None:
            self._sent.append((label, data))
            self._happened.set()

        async def connect(factory: ProtocolFactory) -> object:
            protocol = factory()
            protocol.connection_made(_Memory(take))
            return protocol

        return connect

    async def rehearse(self, request: bytes, address: str) -> Rehearsal:
        """`request` as it comes from `address`: its head to the empty line. Raises `GatewayError` when nothing comes of
        it in time."""
        answers: list[bytes] = []

        def take(data: bytes) -> None:
            answers.append(data)
            self._happened.set()

        connection = self._plane.new_connection()
        if connection is None or not self._plane.introduce(connection, parse_address(address), is_tls=self._is_tls):
            raise GatewayError(f"The configured limits leave no room for a connection from {address}.")
        connection.connection_made(_Memory(take))
        connection.data_received(request)
        try:
            await self._outcome()
            exchange = self._plane.last or connection.exchange
            return _told(exchange, self._admission.admitted, b"".join(answers), self._sent)
        finally:
            connection.connection_lost(None)
            self._long_exchanges.close()
            for pool in self._pools:
                pool.close()

    async def _outcome(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                while not self._sent and self._plane.last is None:
                    self._happened.clear()
                    await self._happened.wait()
        except TimeoutError:
            raise GatewayError("The request was neither answered nor sent on in time; is its head whole?") from None


def _told(
    exchange: Exchange | Tunnel | None, admitted: Principal | None, answer: bytes, sent: Sequence[tuple[str, bytes]]
) -> Rehearsal:
    if not isinstance(exchange, Exchange):
        raise TypeError("no backend answers here, so nothing becomes a tunnel")
    server, data = sent[0] if sent else (None, None)
    return Rehearsal(
        plan=exchange.plan,
        principal=admitted,
        reason=exchange.reason,
        answer=answer,
        server=server,
        head=None if data is None else data[: data.index(_END) + len(_END)],
        asked_about=None if exchange.request.asked_by is None else exchange.request.target,
    )


class _Admission(Admission):
    """Keeps whom it admitted, also when the route then asks for more than he is."""

    admitted: Principal | None = None

    def recognise(
        self, policy: RoutePolicy, token_fields: list[bytes] | None, now: float
    ) -> Principal | UnknownUser | None:
        found = super().recognise(policy, token_fields, now)
        if isinstance(found, Principal):
            self.admitted = found
        return found

    async def look_up(self, unknown: UnknownUser) -> Principal:
        self.admitted = await super().look_up(unknown)
        return self.admitted


class _Plane(DataPlane):
    """Keeps the exchange that ended last."""

    last: Exchange | None = None

    def new_request_id(self) -> bytes:
        return REQUEST_ID

    def on_exchange_end(self, exchange: Exchange) -> None:
        self.last = exchange
        super().on_exchange_end(exchange)


class _Memory(asyncio.Transport):
    """A connection whose other side takes everything and never speaks."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        super().__init__()
        self._take = take
        self._is_closing = False

    def write(self, data: Any) -> None:
        self._take(bytes(data))

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Nobody waits for it."""

    def pause_reading(self) -> None:
        """Nothing comes."""

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0
