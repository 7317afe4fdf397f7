"""What is measured of a process, and how the metrics of all of them are told."""

import asyncio
import os
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families as parse

from gateway.auth.key_set import KeySet
from gateway.auth.keys import build_key, generate_key
from gateway.composition.foreign_issuers import build_foreign_issuers
from gateway.composition.metrics import Measured, Scrape, build_exposition, sources
from gateway.observability.families import FAMILIES, LEVELS, Family, Kind
from gateway.observability.meters import ReloadMeter
from gateway.observability.sampler import Sampler
from gateway.observability.tally import Tally, open_regions
from gateway.proxy.upstream_pool import UpstreamPool
from gateway.server.issuer_keys import IssuerKeys
from gateway.types import Secret
from tests.unit.composition.documents import config_with
from tests.unit.proxy.plane import World, running
from tests.unit.proxy.transports import settle
from tests.unit.proxy.wire import GET, OK

END = datetime(2030, 1, 1, tzinfo=UTC)


def world_reloads(world: World) -> ReloadMeter:
    meter = ReloadMeter(world.metering.tally)
    meter.begin(17, 100.0)
    return meter


def issuer_keys(world: World) -> IssuerKeys:
    config = config_with(foreign_issuers="{corp: {issuer: i, audience: [a], jwks_url: 'https://i/'}}")
    keys = IssuerKeys(
        name="corp",
        issuer=build_foreign_issuers(config)["corp"],
        url="https://i/",
        tls=ssl.create_default_context(),
        max_key_age=60,
        on_keys_gone=lambda: None,
        meter=world.metering.meters.issuer("corp"),
    )
    keys._on_success(KeySet([build_key("EdDSA", Secret(generate_key("EdDSA")), None)]), (), 60)
    return keys


def measured(world: World, *, pools: Sequence[UpstreamPool], end: datetime | None = END) -> Measured:
    return Measured(
        plane=world.plane,
        pools=lambda: pools,
        staleness=lambda: 1.5,
        revocations=world.revocations,
        given_back=lambda: 7,
        certificate_end=lambda: end,
        seats=2,
        reloads=world_reloads(world),
        issuers=lambda: [issuer_keys(world)],
    )


def said(of: Measured) -> dict[tuple[str, ...], float]:
    return {(family.name, *labels): value for source in sources(of) for family, labels, value in source()}


async def test_every_level_is_measured_with_its_labels() -> None:
    async with running() as world:
        found: dict[str, Family] = {}
        for source in sources(measured(world, pools=[world.pool])):
            for family, labels, _ in source():
                assert len(labels) == len(family.labels)
                found[family.name] = family
        levels = {name for name, family in FAMILIES.items() if family.kind is Kind.LEVEL}
        assert levels <= found.keys()
        assert found.keys() - levels == {
            "gateway_token_cache_misses_total",
            "gateway_revocations_given_back_total",
            "gateway_worker_starts_total",
        }


async def test_what_is_said_is_what_there_is() -> None:
    async with running(servers=2) as world:
        await world.ask(GET)
        now = said(measured(world, pools=[world.pool]))
        assert now[("gateway_http_requests_in_flight",)] == 1
        assert now[("gateway_upstream_connections", "app", "app0", "busy")] == 1
        assert now[("gateway_upstream_connections", "app", "app1", "busy")] == 0
        assert now[("gateway_state_staleness_seconds",)] == 1.5
        assert now[("gateway_issuer_keys", "corp")] == 1
        assert abs(now[("gateway_issuer_keys_fetched_timestamp_seconds", "corp")] - time.time()) < 60
        assert now[("gateway_certificate_expiry_timestamp_seconds",)] == END.timestamp()
        assert now[("gateway_workers_configured",)] == 2
        assert now[("gateway_config_hash",)] == 17
        world.app.peer.send(OK)
        await settle()
        now = said(measured(world, pools=[world.pool]))
        assert now[("gateway_http_requests_in_flight",)] == 0
        assert now[("gateway_upstream_connections", "app", "app0", "idle")] == 1
        world.pool.on_check(world.pool.servers[0], passed=False)
        assert said(measured(world, pools=[world.pool]))[("gateway_upstream_server_up", "app", "app0")] == 0


async def test_without_tls_there_is_no_end_of_a_certificate() -> None:
    async with running() as world:
        assert ("gateway_certificate_expiry_timestamp_seconds",) not in said(measured(world, pools=[], end=None))


async def test_a_scrape_tells_of_this_moment_and_of_the_other_workers() -> None:
    regions = open_regions(2)
    async with running() as world:
        tallies = [Tally(region, pid=os.getpid(), levels=LEVELS) for region in regions]
        other = tallies[1]
        other.cells[other.first_cell(("gateway_client_connections_open",))] = 5
        other.beat(time.monotonic())
        sampler = Sampler(tallies[0], sources(measured(world, pools=[world.pool])))
        scrape = Scrape(sampler, build_exposition(regions))
        for connections in (1, 2):
            world.connect()
            answers = await asyncio.gather(scrape(""), scrape("application/openmetrics-text"))
            [text, _] = (body.decode() for body, _ in answers)
            samples = {sample.name: sample.value for family in parse(text) for sample in family.samples}
            assert samples["gateway_client_connections_open"] == connections + 5
