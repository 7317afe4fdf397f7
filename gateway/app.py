"""The running gateway: puts together what `composition` makes, starts it in order, ends it in the opposite one."""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from gateway.auth.revocation import RevocationList
from gateway.composition.blueprint import Blueprint, draw
from gateway.composition.data_plane import build_admission, build_admission_rules, build_rules
from gateway.composition.endpoints import build_endpoints, build_hashing
from gateway.composition.foreign_issuers import FollowedIssuer, Issuers, foreign_of
from gateway.composition.metrics import Measured, Metering, Scrape, build_exposition, open_metering, sources
from gateway.composition.ports import open_ports
from gateway.composition.routes import RouteCounts, build_cors, build_routes
from gateway.composition.state import State, open_state
from gateway.composition.tokens import build_issuer, build_verifier
from gateway.composition.tracing import open_tracing
from gateway.composition.upstreams import RunningUpstream, Upstreams, build_endpoints_pool
from gateway.config.load import Document
from gateway.config.sections.listen import Listen
from gateway.config.sections.log import Log
from gateway.endpoints.admin import OK, build_admin_application
from gateway.endpoints.connection import require_c_parsers
from gateway.http.addresses import Networks
from gateway.http.fields import ResponseFieldUses
from gateway.http.responses import ResponseReader
from gateway.observability.access_log import AccessLog
from gateway.observability.audit import AuditLog
from gateway.observability.families import LEVELS
from gateway.observability.log_output import words_for
from gateway.observability.meters import UNROUTED, Meters
from gateway.observability.sampler import Sampler
from gateway.observability.tally import Tally
from gateway.observability.tracing import Tracing
from gateway.proxy.admission import Admission, AdmissionRules
from gateway.proxy.data_plane import DataPlane, PlaneRules
from gateway.proxy.long_exchanges import LongExchanges
from gateway.server.admin_listener import AdminListener
from gateway.server.audit_relay import AuditRelay
from gateway.server.certificates import ServerCertificate
from gateway.server.change_feed import ChangeFeed
from gateway.server.control_plane import ControlPlane
from gateway.server.drain import drain
from gateway.server.housekeeping import Housekeeping
from gateway.server.listener import Listener, ListenerRules
from gateway.server.sockets import Ports, Sockets
from gateway.tasks import spawn

logger: Final = logging.getLogger("gateway")


def build(document: Document) -> "Gateway":
    """Raises `ConfigError` for files that are refused, `GatewayError` as `Gateway` does."""
    return Gateway(draw(document))


def url_of(listen: Listen, port: int) -> str:
    """Where it listens; `port` is the one that it got."""
    host = f"[{listen.address}]" if ":" in listen.address else listen.address
    return f"{'http' if listen.tls is None else 'https'}://{host}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What a reload exchanges. Nobody is served by it until it is put in place."""

    rules: PlaneRules
    admission: AdmissionRules
    control_plane: ControlPlane
    upstreams: Mapping[str, RunningUpstream]
    issuers: Mapping[str, FollowedIssuer]
    counts: RouteCounts


class Gateway:
    """A running gateway: an async context manager that listens while it is entered and drains when it is left.

    `metering` is what it shares with other workers. Raises `GatewayError` when the installation itself is not fit.
    """

    def __init__(self, blueprint: Blueprint, metering: Metering | None = None) -> None:
        require_c_parsers()
        self._blueprint = blueprint
        self._shared_metering = metering
        self._seat = 0
        self._revocations = RevocationList()
        self._responses = ResponseReader(uses=ResponseFieldUses())
        self._counts = RouteCounts()
        self._retiring: dict[ControlPlane, asyncio.Task[None]] = {}
        self._exit = contextlib.AsyncExitStack()
        self._ports: Ports | None = None
        self._port = 0

    def take_seat(self, seat: int, ports: Ports) -> None:
        """Count there, and use these ports, which then belong to it, instead of opening the configured ones itself."""
        self._seat = seat
        self._ports = ports

    @property
    def url(self) -> str:
        """Where it listens, once started."""
        return url_of(self._blueprint.config.listen, self._port)

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
        config, loop = self._blueprint.config, asyncio.get_running_loop()
        ports = self._take_ports()
        self._metering = self._shared_metering or open_metering(1, is_exposed=config.admin.enabled)
        tally = self._begin_tally()
        self._meters = Meters(tally)
        self._upstreams = Upstreams(reader=self._responses, meters=self._meters)
        self._state = state = await self._exit.enter_async_context(open_state(config))
        self._issuers = Issuers(meters=self._meters, on_keys_gone=self._forget_tokens)
        self._exit.callback(self._issuers.close)
        self._hashing = build_hashing(config)
        self._exit.callback(self._hashing.close)
        parts = await self._make_parts(self._blueprint)
        self._exit.push_async_callback(self._close_control_planes)
        self._exit.callback(self._upstreams.close)
        self._use(parts)
        self._admission = admission = build_admission(
            parts.admission, revocations=self._revocations, directory=state.directory
        )
        self._long_exchanges = long_exchanges = LongExchanges(
            revocations=self._revocations, directory=state.directory, clock=time.time, loop=loop
        )
        self._exit.callback(long_exchanges.close)
        feed = await self._start_change_feed(state, admission, long_exchanges)
        tracing = await self._exit.enter_async_context(open_tracing(config.tracing))
        self._plane = plane = self._build_data_plane(parts.rules, tracing, loop)
        self._exit.callback(self._flush_access_log)
        _note_certificate(self._blueprint.credentials.certificate)
        self._listener = listener = Listener(sockets=ports.clients, plane=plane, rules=_listener_rules(self._blueprint))
        if ports.admin:
            await self._start_admin(ports.admin, feed, plane, listener, tally)
        self._exit.push_async_callback(self._drain)
        listener.start()

    async def reload(self, blueprint: Blueprint) -> None:
        """Be what `blueprint` says; exchanges that have begun go on with the route that they have.

        First all is made that can fail or takes time. Then one is put in the place of the other, and no request comes
        in between. The caller has seen to it that nothing differs which cannot be exchanged (`restart_paths`).
        """
        parts = await self._make_parts(blueprint)
        before, self._blueprint = self._blueprint, blueprint
        retired = self._control_plane
        has_other_tokens = _tells_tokens(before) != _tells_tokens(blueprint)
        if has_other_tokens:
            self._admission.swap(parts.admission)
        self._plane.swap(parts.rules)
        self._use(parts)
        if before.config.log != blueprint.config.log:
            self._swap_access_log(_open_access_log(blueprint.config.log, asyncio.get_running_loop()))
        self._listener.rules = _listener_rules(blueprint)
        if before.credentials.certificate != blueprint.credentials.certificate:
            _note_certificate(blueprint.credentials.certificate)
        self._retire(retired)
        if has_other_tokens:
            self._long_exchanges.ask_again(self._admission.recognise)

    async def _make_parts(self, blueprint: Blueprint) -> _Parts:
        config = blueprint.config
        control_plane = await self._start_control_plane(blueprint)
        cors = None if config.cors is None else build_cors(config.cors)
        counts, upstreams = RouteCounts(self._counts), self._upstreams.draw(blueprint)
        routes = build_routes(
            config,
            pools={name: running.pool for name, running in upstreams.items()},
            endpoints=control_plane.pool,
            cors=cors,
            meters=self._meters,
            counts=counts,
        )
        issuers = self._issuers.draw(blueprint)
        await self._issuers.fetch(issuers)
        verifier = build_verifier(config, blueprint.credentials.keyring)
        foreign = foreign_of({name: followed.issuer for name, followed in issuers.items()})
        return _Parts(
            rules=build_rules(config, routes=routes, cors=cors),
            admission=build_admission_rules(config, verifier, foreign),
            control_plane=control_plane,
            upstreams=upstreams,
            issuers=issuers,
            counts=counts,
        )

    def _use(self, parts: _Parts) -> None:
        self._control_plane = parts.control_plane
        self._counts = parts.counts
        self._upstreams.run(parts.upstreams)
        self._issuers.run(parts.issuers)

    def _retire(self, control_plane: ControlPlane) -> None:
        task = spawn(control_plane.retire(), name="retire_endpoints")
        self._retiring[control_plane] = task
        task.add_done_callback(lambda _: self._retiring.pop(control_plane, None))

    async def _close_control_planes(self) -> None:
        retiring = tuple(self._retiring.items())
        for control_plane, task in retiring:
            task.cancel()
            await control_plane.close()
        await self._control_plane.close()

    async def _drain(self) -> None:
        """As the configuration of that moment says."""
        times = self._blueprint.config.drain
        await drain(self._plane, self._listener, delay=times.delay, patience=times.timeout)

    def _take_ports(self) -> Ports:
        ports = self._ports or open_ports(self._blueprint.config)[0]
        for sock in ports:
            self._exit.callback(sock.close)
        self._port = ports.clients[0].getsockname()[1]
        return ports

    def _begin_tally(self) -> Tally:
        tally = Tally(self._metering.regions[self._seat], pid=os.getpid(), levels=LEVELS)
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
        metering = self._metering
        measured = Measured(
            plane=plane,
            pools=self._upstreams.pools,
            staleness=lambda: feed.staleness,
            revocations=self._revocations,
            given_back=lambda: feed.given_back,
            certificate_end=self._certificate_end,
            issuers=lambda: self._issuers.keys,
            seats=metering.seats,
            reloads=metering.reloads,
        )
        sampler = Sampler(tally, sources(measured))
        self._exit.callback(spawn(sampler.follow(), name="metrics").cancel)
        return Scrape(sampler, metering.exposition or build_exposition(metering.regions))

    def _certificate_end(self) -> datetime | None:
        certificate = self._blueprint.credentials.certificate
        return None if certificate is None else certificate.ends_at

    def _forget_tokens(self) -> None:
        self._admission.forget_tokens()

    async def _start_change_feed(self, state: State, admission: Admission, long_exchanges: LongExchanges) -> ChangeFeed:
        max_staleness = self._blueprint.config.state.max_staleness
        feed = ChangeFeed(
            directory=state.directory,
            store=state.store,
            admission=admission,
            revocations=self._revocations,
            long_exchanges=long_exchanges,
            clock=time.time,
            max_staleness=float("inf") if max_staleness is None else max_staleness,
            relay=self._build_audit_relay(state),
        )
        await feed.catch_up()
        self._exit.callback(spawn(feed.follow(), name="change_feed").cancel)
        housekeeping = Housekeeping(store=state.store, revocations=self._revocations, clock=time.time)
        self._exit.callback(spawn(housekeeping.follow(), name="housekeeping").cancel)
        return feed

    def _build_audit_relay(self, state: State) -> AuditRelay | None:
        if self._seat != 0:  # all workers write to the same log, and one is enough to ask
            return None
        return AuditRelay(outbox=state.store, audit=AuditLog(clock=time.time, meter=self._meters.auth()))

    async def _start_control_plane(self, blueprint: Blueprint) -> ControlPlane:
        config, keyring = blueprint.config, blueprint.credentials.keyring
        application = build_endpoints(
            config,
            state=self._state,
            hashing=self._hashing,
            verifier=build_verifier(config, keyring),
            issuer=build_issuer(config, keyring),
            keyring=keyring,
            revocations=self._revocations,
            meters=self._meters,
        )
        runner = web.AppRunner(application, handle_signals=False)
        await runner.setup()
        return ControlPlane(
            runner, build_endpoints_pool(runner, config.users, reader=self._responses, meters=self._meters)
        )

    def _build_data_plane(
        self, rules: PlaneRules, tracing: Tracing | None, loop: asyncio.AbstractEventLoop
    ) -> DataPlane:
        return DataPlane(
            rules=rules,
            admission=self._admission,
            access_log=_open_access_log(self._blueprint.config.log, loop),
            tracing=tracing,
            unrouted=self._meters.route(UNROUTED),
            long_exchanges=self._long_exchanges,
            clock=time.time,
            loop=loop,
        )

    def _swap_access_log(self, access_log: AccessLog | None) -> None:
        self._flush_access_log()
        self._plane.access_log = access_log

    def _flush_access_log(self) -> None:
        if self._plane.access_log is not None:
            self._plane.access_log.flush()


def _open_access_log(log: Log, loop: asyncio.AbstractEventLoop) -> AccessLog | None:
    if not log.access:
        return None
    return AccessLog(stream=sys.stdout, clock=time.time, loop=loop, words=words_for(sys.stdout, log.format))


def _tells_tokens(blueprint: Blueprint) -> tuple[object, ...]:
    """What verified tokens were verified by, and what the backend was told of them."""
    config = blueprint.config
    return config.tokens, config.bearer, config.identity, config.foreign_issuers, blueprint.credentials.issuers


def _listener_rules(blueprint: Blueprint) -> ListenerRules:
    config, certificate = blueprint.config, blueprint.credentials.certificate
    return ListenerRules(
        context=None if certificate is None else certificate.context,
        balancers=Networks(config.listen.proxy_protocol_from),
        opening_timeout=config.limits.head_timeout,
    )


def _note_certificate(certificate: ServerCertificate | None) -> None:
    if certificate is None:
        return
    if certificate.has_expired:
        logger.warning("certificate_expired %s", certificate.ends_at.isoformat())
    logger.info("certificate_loaded valid until %s", certificate.ends_at.isoformat())
