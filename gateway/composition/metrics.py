"""The parts of a process → what is measured of it, and the answer to whoever asks for metrics."""

import asyncio
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.auth.revocation import RevocationList
from gateway.observability import families
from gateway.observability.families import LEVELS
from gateway.observability.meters import ReloadMeter
from gateway.observability.sampler import Measurement, Sampler, Source
from gateway.observability.tally import Region, Tally, open_regions
from gateway.proxy.data_plane import DataPlane
from gateway.proxy.upstream_pool import UpstreamPool
from gateway.server.issuer_keys import IssuerKeys

if TYPE_CHECKING:
    from gateway.observability.exposition import Exposition


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a process has that is measured. `pools` and `issuers` are those of the moment; `certificate_end` is None
    without TLS."""

    plane: DataPlane
    pools: Callable[[], Iterable[UpstreamPool]]
    staleness: Callable[[], float]
    revocations: RevocationList
    given_back: Callable[[], int]
    certificate_end: Callable[[], datetime | None]
    issuers: Callable[[], Iterable[IssuerKeys]]
    seats: int
    reloads: ReloadMeter


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """What all processes of a gateway count in: a region for each of the `seats`, and the last one for `reloads`.

    Opened before the fork, so that the memory is one, and with `exposition` the import is there once.
    """

    regions: Sequence[Region]
    reloads: ReloadMeter
    exposition: "Exposition | None"

    @property
    def seats(self) -> int:
        return len(self.regions) - 1


def open_metering(seats: int, *, is_exposed: bool) -> Metering:
    """`is_exposed`: whether somebody can ask for it."""
    regions = open_regions(seats + 1)
    return Metering(
        regions=regions,
        reloads=ReloadMeter(Tally(regions[-1], pid=os.getpid(), levels=LEVELS)),
        exposition=build_exposition(regions) if is_exposed else None,
    )


def build_exposition(regions: Sequence[Region]) -> "Exposition":
    """As `Metering` has it."""
    from gateway.observability.exposition import Exposition  # see its docstring

    return Exposition(regions)


def sources(measured: Measured) -> list[Source]:
    """What a `Sampler` asks."""
    return [
        lambda: _of_clients(measured.plane),
        lambda: (measurement for pool in measured.pools() for measurement in _of_pool(pool)),
        lambda: _of_tokens(measured),
        lambda: (measurement for keys in measured.issuers() for measurement in _of_issuer(keys)),
        lambda: _of_process(measured),
    ]


class Scrape:
    """Answers with the metrics of all workers, one after the other: a thread renders, and requests go on meanwhile."""

    def __init__(self, sampler: Sampler, exposition: "Exposition") -> None:
        self._sampler = sampler
        self._exposition = exposition
        self._lock = asyncio.Lock()

    async def __call__(self, accept: str) -> tuple[bytes, str]:
        async with self._lock:
            self._sampler.sample()
            return await asyncio.to_thread(self._exposition.render, accept)


def _of_clients(plane: DataPlane) -> Iterable[Measurement]:
    yield families.IN_FLIGHT, (), plane.in_flight
    yield families.WEBSOCKETS, (), plane.long_exchanges.tunnels
    yield families.CONNECTIONS, (), plane.connections
    yield families.CONNECTIONS_LIMIT, (), plane.connections_limit


def _of_pool(pool: UpstreamPool) -> Iterable[Measurement]:
    yield families.UPSTREAM_QUEUE, (pool.name,), pool.queued
    for server in pool.servers:
        labels = (pool.name, server.label)
        yield families.SERVER_UP, labels, server.health.is_up
        yield families.SERVER_CONNECTIONS, (*labels, "busy"), server.busy
        yield families.SERVER_CONNECTIONS, (*labels, "idle"), server.idle


def _of_tokens(measured: Measured) -> Iterable[Measurement]:
    caches = measured.plane.admission.caches
    yield families.TOKENS_CACHED, (), sum(len(cache) for cache in caches)
    yield families.TOKENS_MISSED, (), sum(cache.misses for cache in caches)
    yield families.REVOCATIONS, (), len(measured.revocations)
    yield families.REVOCATIONS_GIVEN_BACK, (), measured.given_back()


def _of_issuer(keys: IssuerKeys) -> Iterable[Measurement]:
    yield families.ISSUER_KEYS, (keys.name,), keys.usable
    if keys.fetched_at is not None:
        yield families.ISSUER_FETCHED_AT, (keys.name,), keys.fetched_at


def _of_process(measured: Measured) -> Iterable[Measurement]:
    yield families.STALENESS, (), measured.staleness()
    yield families.WORKERS, (), 1
    yield families.WORKERS_WANTED, (), measured.seats
    yield families.WORKER_STARTS, (), 1
    yield families.RELOAD_OK, (), measured.reloads.was_good
    yield families.RELOADED_AT, (), measured.reloads.read_at
    yield families.CONFIG_HASH, (), measured.reloads.digest
    yield families.BUILD, (__version__, platform.python_version()), 1
    end = measured.certificate_end()
    if end is not None:
        yield families.CERTIFICATE_END, (), end.timestamp()
