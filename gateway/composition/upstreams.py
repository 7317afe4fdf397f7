"""Configuration → servers, pools of connections to them, and their health checks."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from gateway.composition.blueprint import Blueprint
from gateway.composition.credentials import ClientTls
from gateway.config.sections.upstreams import Balance, Upstream
from gateway.config.sections.users import Users
from gateway.http.responses import ResponseReader
from gateway.observability.meters import Meters
from gateway.proxy.balancer import least_connections, round_robin
from gateway.proxy.health_checks import CheckSettings, HealthChecks
from gateway.proxy.server_health import HealthRules
from gateway.proxy.upstream_pool import ExchangeTimeouts, UpstreamPool
from gateway.proxy.upstream_server import ConnectionLimits, ServerAddress
from gateway.server.dialling import application_connector, tcp_connector, unix_connector
from gateway.tasks import spawn

_BALANCES: Final = {Balance.ROUND_ROBIN: round_robin, Balance.LEAST_CONNECTIONS: least_connections}
ENDPOINTS: Final = "gateway:endpoints"  # in the metrics; no configured upstream has a colon in its name
_ENDPOINT_TIMEOUT: Final = 60.0  # a login may wait for its turn in the hashing pool
_BESIDE_HASHING: Final = 8  # connections that are kept for what does not hash: refresh, verify, log-out


@dataclass(slots=True, kw_only=True)
class RunningUpstream:
    """`upstream` and `tls` are the terms that its pool was made on. `checks` is None also while it does not run yet."""

    upstream: Upstream
    tls: ClientTls | None
    pool: UpstreamPool
    checks: asyncio.Task[Any] | None = None


class Upstreams:
    """The pools of a running gateway. Those whose terms stay keep connections, health and queue in a reload."""

    def __init__(self, *, reader: ResponseReader, meters: Meters) -> None:
        self._reader = reader
        self._meters = meters
        self._running: Mapping[str, RunningUpstream] = {}

    def draw(self, blueprint: Blueprint) -> Mapping[str, RunningUpstream]:
        """By name; the new ones among them do not run yet, and hold nothing that would have to be closed."""
        tls = blueprint.credentials.upstreams
        return {
            name: self._draw(name, upstream, tls.get(name)) for name, upstream in blueprint.config.upstreams.items()
        }

    def _draw(self, name: str, upstream: Upstream, tls: ClientTls | None) -> RunningUpstream:
        running = self._running.get(name)
        if running is not None and (running.upstream, running.tls) == (upstream, tls):
            return running
        context = None if tls is None else tls.context
        pool = build_pool(name, upstream, tls=context, reader=self._reader, meters=self._meters)
        return RunningUpstream(upstream=upstream, tls=tls, pool=pool)

    def pools(self) -> list[UpstreamPool]:
        """Of what runs now."""
        return [running.pool for running in self._running.values()]

    def run(self, drawn: Mapping[str, RunningUpstream]) -> None:
        """These from now on: start what is new; what is not among them ends with the requests that it has."""
        before, self._running = self._running, drawn
        kept = {id(running) for running in drawn.values()}
        for running in before.values():
            if id(running) not in kept:
                _end(running)
        started = {id(running) for running in before.values()}
        for running in drawn.values():
            if id(running) not in started:
                checks = build_checks(running.pool, running.upstream, reader=self._reader)
                running.checks = None if checks is None else spawn(checks.run(), name="health_checks")

    def close(self) -> None:
        self.run({})


def _end(running: RunningUpstream) -> None:
    running.pool.close()
    if running.checks is not None:
        running.checks.cancel()


def build_pool(
    name: str, upstream: Upstream, *, tls: ssl.SSLContext | None, reader: ResponseReader, meters: Meters
) -> UpstreamPool:
    """The pool of a configured upstream; `tls` is for its https servers."""
    connections, health = upstream.connections, upstream.health
    return UpstreamPool(
        name=name,
        servers=[_address(url, tls, upstream.tls.server_name) for url in upstream.servers],
        balance=_BALANCES[upstream.balance],
        timeouts=ExchangeTimeouts(
            send=upstream.send_timeout, response=upstream.response_timeout, read=upstream.read_timeout
        ),
        limits=ConnectionLimits(
            max_open=connections.max,
            max_idle=connections.max_idle,
            idle_timeout=connections.idle_timeout,
            connect_timeout=upstream.connect_timeout,
            max_queued=connections.queue,
            queue_timeout=connections.queue_timeout,
        ),
        rules=HealthRules(falls=health.falls, rises=health.rises, pause=health.pause, max_pause=health.max_pause),
        reader=reader,
        meter=meters.upstream(name),
    )


def build_checks(pool: UpstreamPool, upstream: Upstream, *, reader: ResponseReader) -> HealthChecks | None:
    """The active checks of an upstream that has some."""
    health = upstream.health
    if health.path is None:
        return None
    settings = CheckSettings(path=health.path.encode(), interval=health.interval, timeout=health.timeout)
    return HealthChecks(pool=pool, settings=settings, reader=reader)


def build_endpoints_pool(
    runner: web.AppRunner, users: Users, *, reader: ResponseReader, meters: Meters
) -> UpstreamPool:
    """The gateway's own application as an upstream."""
    timeout = _ENDPOINT_TIMEOUT
    return UpstreamPool(
        name="endpoints",
        servers=[ServerAddress(label="gateway", host=b"gateway", connect=application_connector(runner))],
        balance=round_robin,
        timeouts=ExchangeTimeouts(send=timeout, response=timeout, read=timeout),
        limits=ConnectionLimits(
            max_open=None,
            max_idle=users.hash_workers + _BESIDE_HASHING,
            idle_timeout=timeout,
            connect_timeout=timeout,
            max_queued=0,
            queue_timeout=timeout,
        ),
        rules=HealthRules(falls=1, rises=1, pause=1.0, max_pause=1.0),
        reader=reader,
        meter=meters.upstream(ENDPOINTS),
    )


def _address(url: str, tls: ssl.SSLContext | None, server_name: str | None) -> ServerAddress:
    scheme, _, path = url.partition(":")
    if scheme == "unix":
        return ServerAddress(label=url, host=b"localhost", connect=unix_connector(path))
    parts = urlsplit(url)
    host = parts.hostname or ""
    if scheme == "http":
        connect = tcp_connector(host, parts.port or 80)
    else:
        connect = tcp_connector(host, parts.port or 443, tls=tls, server_name=server_name or host)
    return ServerAddress(label=url, host=parts.netloc.encode(), connect=connect)
