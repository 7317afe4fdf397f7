"""The running gateway: puts together what `composition` makes, starts it in order, ends it in the opposite one."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from gateway.auth.foreign_issuer import ForeignIssuer, ForeignIssuers
from gateway.auth.revocation import RevocationList
from gateway.composition.credentials import Credentials, read_credentials
from gateway.composition.data_plane import build_admission, build_caps, build_rules
from gateway.composition.endpoints import build_endpoints, build_hashing
from gateway.composition.foreign_issuers import build_foreign_issuers, build_issuer_keys
from gateway.composition.metrics import Measured, Scrape, build_exposition, sources
from gateway.composition.ports import open_ports
from gateway.composition.routes import build_cors, build_routes
from gateway.composition.state import State, open_state
from gateway.composition.tokens import build_issuer, build_verifier
from gateway.composition.upstreams import build_checks, build_endpoints_pool, build_pool
from gateway.config.load import Document
from gateway.config.model import Config
from gateway.config.sections.listen import Listen
from gateway.config.sections.upstreams import Upstream
from gateway.endpoints.admin import OK, build_admin_application
from gateway.endpoints.connection import require_c_parsers
from gateway.http.addresses import Networks
from gateway.http.fields import ResponseFieldUses
from gateway.http.responses import ResponseReader
from gateway.observability.access_log import AccessLog
from gateway.observability.families import LEVELS
from gateway.observability.meters import UNROUTED, Meters
from gateway.observability.sampler import Sampler
from gateway.observability.tally import Tally, open_regions
from gateway.proxy.admission import Admission
from gateway.proxy.data_plane import DataPlane
from gateway.proxy.long_exchanges import LongExchanges
from gateway.proxy.upstream_pool import UpstreamPool
from gateway.server.admin_listener import AdminListener
from gateway.server.change_feed import ChangeFeed
from gateway.server.drain import drain
from gateway.server.listener import Listener
from gateway.server.sockets import Ports, Sockets
from gateway.tasks import spawn

_ISSUER_PATIENCE: Final = 3.0  # seconds


def build(document: Document, *, seats: int = 1) -> "Gateway":
    """Before the fork where there are several workers, each of which then takes one of the `seats`.

    Raises `ConfigError` for files that are refused, `GatewayError` when the installation itself is not fit.
    """
    require_c_parsers()
    return Gateway(document.config, read_credentials(document), seats=seats)


def url_of(listen: Listen, port: int) -> str:
    """Where it listens; `port` is the one that it got."""
    host = f"[{listen.address}]" if ":" in listen.address else listen.address
    return f"{'http' if listen.tls is None else 'https'}://{host}:{port}"


class Gateway:
    """A running gateway: an async context manager that listens while it is entered and drains when it is left."""

    def __init__(self, config: Config, credentials: Credentials, *, seats: int = 1) -> None:
        self._config = config
        self._credentials = credentials
        self._verifier = build_verifier(config, credentials.keyring)
        self._revocations = RevocationList()
        self._responses = ResponseReader(uses=ResponseFieldUses())
        self._exit = contextlib.AsyncExitStack()
        self._ports: Ports | None = None
        self._port = 0
        self._seat = 0
        self._regions = open_regions(seats)
        self._exposition = build_exposition(self._regions) if config.admin.enabled else None
        self._pools: dict[str, UpstreamPool] = {}

    def take_seat(self, seat: int, ports: Ports) -> None:
        """Count there, and use these ports, which then belong to it, instead of opening the configured ones itself."""
        self._seat = seat
        self._ports = ports

    @property
    def url(self) -> str:
        """Where it listens, once started."""
        return url_of(self._config.listen, self._port)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    async def _start(self) -> None:
        """Things are pushed onto the exit stack in the order in which they start, so they end in the opposite one."""
        config, loop = self._config, asyncio.get_running_loop()
        ports = self._take_ports()
        tally = self._begin_tally()
        state = await self._exit.enter_async_context(open_state(config))
        issuers = build_foreign_issuers(config)
        admission = build_admission(
            config,
            verifier=self._verifier,
            foreign=ForeignIssuers(issuers.values()) if issuers else None,
            revocations=self._revocations,
            directory=state.directory,
        )
        await self._start_issuer_keys(issuers, admission)
        long_exchanges = LongExchanges(
            revocations=self._revocations, directory=state.directory, clock=time.time, loop=loop
        )
        self._exit.callback(long_exchanges.close)
        feed = await self._start_change_feed(state, admission, long_exchanges)
        meters = Meters(tally)
        runner = await self._start_endpoints(state, meters)
        plane = self._start_data_plane(runner, admission, long_exchanges, loop, meters)
        listener = self._build_listener(ports.clients, plane)
        if ports.admin:
            await self._start_admin(ports.admin, feed, plane, listener, tally)
        self._exit.push_async_callback(drain, plane, listener, delay=config.drain.delay, patience=config.drain.timeout)
        listener.start()

    def _take_ports(self) -> Ports:
        ports = self._ports or open_ports(self._config)[0]
        for sock in ports:
            self._exit.callback(sock.close)
        self._port = ports.clients[0].getsockname()[1]
        return ports

    def _begin_tally(self) -> Tally:
        tally = Tally(self._regions[self._seat], pid=os.getpid(), levels=LEVELS)
        self._exit.callback(tally.leave)
        return tally

    async def _start_admin(
        self, sockets: Sockets, feed: ChangeFeed, plane: DataPlane, listener: Listener, tally: Tally
    ) -> None:
        """Before clients are listened to, and until they have been drained: nobody is told `ready` outside of that."""
        application = build_admin_application(
            readiness={
                "listener": lambda: OK if listener.is_listening else "closed",
                "state": lambda: OK if feed.is_current else "unreachable",
                "drain": lambda: "draining" if plane.is_draining else OK,
            },
            scrape=self._start_sampling(tally, plane, feed),
        )
        admin = AdminListener(sockets=sockets, application=application)
        self._exit.push_async_callback(admin.close)
        await admin.start()

    def _start_sampling(self, tally: Tally, plane: DataPlane, feed: ChangeFeed) -> Scrape:
        certificates = self._credentials.certificates
        measured = Measured(
            plane=plane,
            pools=self._pools.values,
            feed=feed,
            revocations=self._revocations,
            certificate_end=lambda: None if certificates is None else certificates.ends_at,
            seats=len(self._regions),
        )
        sampler = Sampler(tally, sources(measured))
        self._exit.callback(spawn(sampler.follow(), name="metrics").cancel)
        return Scrape(sampler, self._exposition or build_exposition(self._regions))

    async def _start_issuer_keys(self, issuers: Mapping[str, ForeignIssuer], admission: Admission) -> None:
        """Waits for the first ones, so that their tokens pass from the first request on, but not for long."""
        followed = build_issuer_keys(
            self._config,
            issuers,
            contexts=self._credentials.issuer_contexts,
            on_keys_gone=admission.forget_tokens,
        )
        for keys in followed:
            self._exit.callback(spawn(keys.follow(), name="issuer_keys").cancel)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ISSUER_PATIENCE):
                for keys in followed:
                    await keys.wait()

    async def _start_change_feed(self, state: State, admission: Admission, long_exchanges: LongExchanges) -> ChangeFeed:
        feed = ChangeFeed(
            directory=state.directory,
            store=state.store,
            known_users=admission.known_users,
            revocations=self._revocations,
            long_exchanges=long_exchanges,
            clock=time.time,
        )
        await feed.catch_up()
        self._exit.callback(spawn(feed.follow(), name="change_feed").cancel)
        return feed

    async def _start_endpoints(self, state: State, meters: Meters) -> web.AppRunner:
        hashing = build_hashing(self._config)
        self._exit.callback(hashing.close)
        application = build_endpoints(
            self._config,
            state=state,
            hashing=hashing,
            verifier=self._verifier,
            issuer=build_issuer(self._config, self._credentials.keyring),
            keyring=self._credentials.keyring,
            revocations=self._revocations,
            meters=meters,
        )
        runner = web.AppRunner(application, handle_signals=False)
        await runner.setup()
        self._exit.push_async_callback(runner.cleanup)
        return runner

    def _start_data_plane(
        self,
        runner: web.AppRunner,
        admission: Admission,
        long_exchanges: LongExchanges,
        loop: asyncio.AbstractEventLoop,
        meters: Meters,
    ) -> DataPlane:
        config = self._config
        cors = None if config.cors is None else build_cors(config.cors)
        self._pools = {name: self._start_pool(name, upstream, meters) for name, upstream in config.upstreams.items()}
        routes = build_routes(
            config, pools=self._pools, endpoints=self._start_endpoints_pool(runner, meters), cors=cors, meters=meters
        )
        return DataPlane(
            rules=build_rules(config, admission=admission, routes=routes, cors=cors),
            caps=build_caps(config),
            access_log=self._open_access_log(loop),
            unrouted=meters.route(UNROUTED),
            long_exchanges=long_exchanges,
            clock=time.time,
            loop=loop,
        )

    def _start_pool(self, name: str, upstream: Upstream, meters: Meters) -> UpstreamPool:
        tls = self._credentials.upstream_contexts.get(name)
        pool = build_pool(name, upstream, tls=tls, reader=self._responses, meters=meters)
        self._exit.callback(pool.close)
        checks = build_checks(pool, upstream, reader=self._responses)
        if checks is not None:
            self._exit.callback(spawn(checks.run(), name="health_checks").cancel)
        return pool

    def _start_endpoints_pool(self, runner: web.AppRunner, meters: Meters) -> UpstreamPool:
        pool = build_endpoints_pool(runner, self._config.users, reader=self._responses, meters=meters)
        self._exit.callback(pool.close)
        return pool

    def _open_access_log(self, loop: asyncio.AbstractEventLoop) -> AccessLog | None:
        if not self._config.listen.access_log:
            return None
        access_log = AccessLog(stream=sys.stdout, clock=time.time, loop=loop)
        self._exit.callback(access_log.flush)
        return access_log

    def _build_listener(self, sockets: Sockets, plane: DataPlane) -> Listener:
        """With the certificate of each moment, which is followed as long as it listens."""
        certificates = self._credentials.certificates
        if certificates is not None:
            self._exit.callback(spawn(certificates.follow(), name="certificates").cancel)
        return Listener(
            sockets=sockets,
            plane=plane,
            context=None if certificates is None else lambda: certificates.context,
            balancers=Networks(self._config.listen.proxy_protocol_from),
            opening_timeout=self._config.limits.head_timeout,
        )
