"""The whole data plane between in-memory clients and backends, under a clock that the test turns.

Everything in it is the real thing but for the two ends: transports without sockets, and a user directory in memory.
"""

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.auth.policy import RoutePolicy
from gateway.auth.rate_limit import RateLimit
from gateway.auth.revocation import RevocationList
from gateway.errors import StoreUnavailable
from gateway.http.addresses import Networks, parse_address
from gateway.http.cors import CorsPolicy
from gateway.http.fields import RequestFieldUses, ResponseFieldUses
from gateway.http.forwarding import TrustedProxies
from gateway.http.prefixes import PrefixReplacement
from gateway.http.questions import NamedIn, Questions
from gateway.http.replies import Replies, challenge
from gateway.http.requests import RequestReader
from gateway.http.responses import ResponseReader
from gateway.http.routes import RouteTable
from gateway.http.targets import Target
from gateway.http.upgrades import HandshakeReader
from gateway.observability.access_log import AccessLog
from gateway.observability.meters import UNROUTED
from gateway.observability.tracing import Tracing
from gateway.proxy.admission import Admission
from gateway.proxy.balancer import round_robin
from gateway.proxy.connection_caps import CapRules
from gateway.proxy.data_plane import DataPlane, PlaneRules
from gateway.proxy.long_exchanges import LongExchanges
from gateway.proxy.plan import ClientLimits, RoutePlan, WebSocketPlan
from gateway.proxy.preparation import Preparation
from gateway.proxy.server_health import HealthRules
from gateway.proxy.upstream_pool import ExchangeTimeouts, UpstreamPool
from gateway.proxy.upstream_server import ConnectionLimits, ServerAddress
from gateway.types import Access, User
from tests.unit.auth.verifiers import keyring_of, verifier_of
from tests.unit.metering import Metering
from tests.unit.proxy.admissions import rules_with
from tests.unit.proxy.transports import Clock, Listening, Peer, connect, settle
from tests.unit.proxy.wire import ALICE, BOB, EPOCH, KEY, OK, ORIGIN, bearer, request

# Seconds, all different, so that a test sees which of them it was.
HEAD, BODY, KEEPALIVE = 20, 12, 75
SEND, RESPONSE, READ = 31, 61, 47
QUEUE, CONNECT = 3, 5
OPENING = QUEUE + CONNECT + 1  # as a pool with one server has it
LINGER = 3
MIN_RATE = 1000
MAX_HEAD, MAX_FIELDS, MAX_TARGET = 2048, 20, 1024


CORS_OPTIONS: dict[str, Any] = {
    "allow_origins": [ORIGIN.decode()],
    "allow_methods": ["GET"],
    "allow_headers": ["Authorization"],
    "expose_headers": [],
    "allow_credentials": False,
    "max_age": 600,
}
CORS = CorsPolicy(**CORS_OPTIONS)


class Defect(Exception):
    """What nobody expects."""


class Defective(PrefixReplacement):
    """Its one defect stands for any that the code on a request's way might have."""

    def apply(self, target: Target) -> bytes:
        raise Defect


class Stumbling(CorsPolicy):
    """Fails once: on the way of a response, say, but not of the refusal that takes its place."""

    __slots__ = ("has_stumbled",)

    def fields(self, origin: bytes | None) -> bytes:
        if not hasattr(self, "has_stumbled"):
            self.has_stumbled = True
            raise Defect
        return super().fields(origin)


class Directory:
    """Users in memory. While `is_held` nobody gets an answer; `error` is what everybody gets."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def find_by_id(self, user_id: str) -> User | None:
        self.asked.append(user_id)
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        if user_id not in (ALICE, BOB):
            return None
        return User(id=user_id, username="u" + user_id, email="", roles=(), is_active=user_id == ALICE)

    def go_away(self) -> None:
        self.error = StoreUnavailable("The file is busy.")


class World:
    """One process's data plane before one backend, `app`; the gateway's own application is `endpoints`."""

    def __init__(
        self,
        *,
        servers: int = 1,
        max_requests: int | None = None,
        max_connections: int = 100,
        max_per_address: int | None = None,
        has_log: bool = True,
        cors: CorsPolicy | None = None,
        trusted: tuple[str, ...] = (),
        asking: tuple[str, ...] = (),
        tracing: Tracing | None = None,
    ) -> None:
        self.clock = Clock()
        self.directory = Directory()
        self.revocations = RevocationList()
        self.backends = [Listening() for _ in range(servers)]
        self.app = self.backends[0]
        self.endpoints = Listening()
        self.clients: list[Peer] = []
        self.metering = Metering()
        self._reader = ResponseReader(uses=ResponseFieldUses())
        self.pool = self._pool("app", self.backends)
        self._endpoints_pool = self._pool("endpoints", [self.endpoints])
        self._stream = io.StringIO()
        loop = asyncio.get_running_loop()
        self._access_log = AccessLog(stream=self._stream, clock=self.unix_time, loop=loop)
        self.long_exchanges = LongExchanges(
            revocations=self.revocations,
            directory=self.directory,  # type: ignore[arg-type]
            clock=self.unix_time,
            loop=loop,
        )
        proxies = Networks(trusted)
        self.routes = routes = self._routes()
        may_others_ask = False if asking else None
        self.rules = rules = PlaneRules(
            preparation=preparation(routes, may_ask=may_others_ask),
            listed=(
                *([(Networks(asking), preparation(routes, trusts_peer=True, may_ask=True))] if asking else []),
                *([(proxies, preparation(routes, trusts_peer=True, may_ask=may_others_ask))] if trusted else []),
            ),
            trusted_proxies=TrustedProxies(proxies) if trusted else None,
            replies=Replies(challenge=challenge("Bearer", "api")),
            cors=cors,
            limits=ClientLimits(
                max_head_bytes=MAX_HEAD,
                head_timeout=HEAD,
                body_timeout=BODY,
                idle_timeout=KEEPALIVE,
                min_rate=MIN_RATE,
                max_requests=max_requests,
            ),
            caps=CapRules(total=max_connections, per_address=max_per_address, exempt=proxies),
        )
        self.plane = DataPlane(
            rules=rules,
            admission=self._admission(),
            access_log=self._access_log if has_log else None,
            tracing=tracing,
            unrouted=self.metering.meters.route(UNROUTED),
            long_exchanges=self.long_exchanges,
            clock=self.unix_time,
            loop=loop,
        )

    def unix_time(self) -> float:
        return EPOCH + self.clock.now

    # Its parts

    def _pool(self, name: str, backends: list[Listening]) -> UpstreamPool:
        return UpstreamPool(
            name=name,
            servers=[
                ServerAddress(label=f"{name}{index}", host=b"%b.internal" % name.encode(), connect=backend.connect)
                for index, backend in enumerate(backends)
            ],
            balance=round_robin,
            timeouts=ExchangeTimeouts(send=SEND, response=RESPONSE, read=READ),
            limits=ConnectionLimits(
                max_open=None,
                max_idle=8,
                idle_timeout=100_000,
                connect_timeout=CONNECT,
                max_queued=0,
                queue_timeout=QUEUE,
            ),
            rules=HealthRules(falls=1, rises=1, pause=100_000, max_pause=100_000),
            reader=self._reader,
            meter=self.metering.meters.upstream(name),
        )

    def _admission(self) -> Admission:
        return Admission(
            rules=rules_with(verifier_of(keyring_of(KEY))),
            revocations=self.revocations,
            directory=self.directory,  # type: ignore[arg-type]
            max_tokens=100,
        )

    def _routes(self) -> RouteTable[RoutePlan]:
        public, required = RoutePolicy(access=Access.PUBLIC), RoutePolicy(access=Access.REQUIRED)
        sockets = WebSocketPlan(
            handshakes=HandshakeReader(allow_origins=(), token_query=None, scheme="Bearer"),
            idle_timeout=600,
            max_per_user=1,
            max_message_bytes=1000,
        )

        def plan(name: str, **options: Any) -> RoutePlan:
            return RoutePlan(name=name, pool=self.pool, meter=self.metering.meters.route(name), **options)

        prefixes = {
            "/open": plan(name="/open", policy=public),
            "/app": plan(name="/app", policy=required),
            "/known": plan(name="/known", policy=RoutePolicy(access=Access.REQUIRED, is_stateless=True)),
            "/get": plan(name="/get", policy=RoutePolicy(access=Access.PUBLIC, methods=frozenset({"GET", "HEAD"}))),
            "/admin": plan(
                name="/admin", policy=RoutePolicy(access=Access.REQUIRED, roles=frozenset({"admin"}), is_stateless=True)
            ),
            "/small": plan(name="/small", policy=public, max_body_bytes=10),
            "/limited": plan(
                name="/limited",
                policy=required,
                rate_limit=RateLimit(requests=1, per=60, burst=2, by_user=True, max_clients=10),
            ),
            "/cors": plan(name="/cors", policy=required, cors=CORS),
            "/moved": plan(
                name="/moved",
                policy=public,
                prefix_replacement=PrefixReplacement(prefix="/moved", replacement="/old"),
                host=b"old",
            ),
            "/defect": plan(
                name="/defect", policy=public, prefix_replacement=Defective(prefix="/defect", replacement="/")
            ),
            "/stumbling": plan(name="/stumbling", policy=public, cors=Stumbling(**CORS_OPTIONS)),
            "/ws": plan(name="/ws", policy=RoutePolicy(access=Access.REQUIRED, is_stateless=True), websocket=sockets),
        }
        obtain = self.metering.meters.route("obtain")
        endpoints = RoutePlan(
            name="obtain", policy=public, pool=self._endpoints_pool, meter=obtain, reaches_endpoints=True
        )
        return RouteTable(exact={"/api/token/": endpoints}, prefixes=prefixes)

    # What happens in it

    def connect(self, address: str = "192.0.2.1", *, is_tls: bool = False, **options: Any) -> Peer:
        """A client that is let in."""
        connection = self.plane.new_connection()
        assert connection is not None
        assert self.plane.introduce(connection, parse_address(address), is_tls=is_tls)
        client = connect(connection, knows_halves=not is_tls, **options)
        self.clients.append(client)
        return client

    def forwarded(self) -> bytes:
        """What `app` got on its newest connection since the last look."""
        return self.app.peer.read()

    async def ask(self, *pieces: bytes) -> Peer:
        """A client that has sent this; whatever it brings about without time passing has happened."""
        client = self.connect()
        client.send(*pieces)
        await settle()
        return client

    async def answered(self, raw: bytes, response: bytes) -> Peer:
        """A client that has asked this and whose backend has sent that."""
        client = await self.ask(raw)
        self.app.peer.send(response)
        await settle()
        return client

    async def warm_up(self, count: int = 1) -> None:
        """Leave so many idle connections to `app`, and a token of Alice's that is known."""
        clients = [self.connect() for _ in range(count)]
        for client in clients:
            client.send(request(b"/app/warm", bearer()))
            await settle()
        for backend in self.backends:
            for peer in backend.peers:
                peer.send(OK)
                peer.read()
        for client in clients:
            assert client.read().endswith(b"ok")
            client.leave()
        await settle()
        self.log_lines()

    def log_lines(self) -> list[dict[str, Any]]:
        """The lines of the access log since the last look."""
        self._access_log.flush()
        lines = self._stream.getvalue().splitlines()
        self._stream.seek(0)
        self._stream.truncate()
        return [json.loads(line) for line in lines]

    def outcomes(self) -> list[tuple[int, str | None]]:
        """Status and reason in the lines of the access log since the last look."""
        return [(line["status"], line.get("reason")) for line in self.log_lines()]

    async def close(self) -> None:
        """Whatever happened: when the clients have left, nothing of them is left, on no side."""
        for client in self.clients:
            client.leave()
        await settle()
        assert [server.busy for pool in (self.pool, self._endpoints_pool) for server in pool.servers] == [
            0 for _ in (*self.backends, self.endpoints)
        ]
        assert await self.plane.drain(0) == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        for pool in (self.pool, self._endpoints_pool):
            pool.close()
        self.long_exchanges.close()
        await settle()
        assert not [
            peer for listening in (*self.backends, self.endpoints) for peer in listening.peers if not peer.ended
        ]
        self.log_lines()


def preparation(
    routes: RouteTable[RoutePlan], *, trusts_peer: bool = False, may_ask: bool | None = None
) -> Preparation:
    """`may_ask` None: there is no endpoint to ask at."""
    uses = RequestFieldUses(
        token_field="Authorization",
        managed={"X-User-Id", "Remote-User"},
        trusts_peer=trusts_peer,
        told={"X-User-Id"} if may_ask else None,
    )
    return Preparation(
        reader=RequestReader(uses=uses, max_fields=MAX_FIELDS),
        routes=routes,
        max_target_bytes=MAX_TARGET,
        token_field="Authorization",
        questions=None
        if may_ask is None
        else Questions(path="/forward-auth", named_in=NamedIn.FIELDS if may_ask else None),
    )


@contextlib.asynccontextmanager
async def running(**options: Any) -> AsyncIterator[World]:
    """Asserts, when the test has not failed, that nothing is left of it."""
    world = World(**options)
    try:
        yield world
        await world.close()
    finally:
        world.clock.give_back()


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the operator's log says from warnings on."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
