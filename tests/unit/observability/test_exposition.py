"""How the numbers of several workers become one text."""

import os
import time

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from gateway.observability.exposition import Exposition
from gateway.observability.families import FAMILIES, LEVELS, Family, Join, Kind
from gateway.observability.meters import Meters
from gateway.observability.sampler import ALIVE_SECONDS
from gateway.observability.tally import ABSENT, Tally, open_regions

JOINED = {Join.SUM: 7, Join.LEAST: 3, Join.MOST: 4}


class Workers:
    """Two workers that live; one process plays both."""

    def __init__(self) -> None:
        self.regions = open_regions(2)
        self.exposition = Exposition(self.regions)
        self.tallies = [Tally(region, pid=os.getpid(), levels=LEVELS) for region in self.regions]
        for tally in self.tallies:
            tally.beat(time.monotonic())

    def set(self, family: Family, labels: tuple[str, ...], *values: float) -> None:
        for tally, value in zip(self.tallies, values):
            tally.cells[tally.first_cell((family.name, *labels), width=family.width)] = value

    def samples(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        text = self.exposition.render("")[0].decode()
        samples = [sample for family in parse(text) for sample in family.samples]
        return {tuple(sorted(sample.labels.items())): sample.value for sample in samples if sample.name == name}


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.kind is not Kind.DURATIONS])
def test_one_number_of_two(workers: Workers, name: str) -> None:
    family = FAMILIES[name]
    labels = tuple(f"a {label}" for label in family.labels)
    workers.set(family, labels, 4.0, 3.0)
    expected = tuple(sorted(zip(family.labels, labels, strict=True)))
    assert workers.samples(name) == {expected: JOINED[family.join]}


def test_durations_of_both_are_one_histogram(workers: Workers) -> None:
    for tally, duration in zip(workers.tallies, (0.004, 3.0)):
        Meters(tally).upstream("app").answered(duration)
    buckets = workers.samples("gateway_upstream_response_seconds_bucket")
    assert [buckets[("le", bound), ("upstream", "app")] for bound in ("0.001", "0.005", "2.5", "10.0", "+Inf")] == [
        *(0, 1, 1, 2, 2),
    ]
    assert workers.samples("gateway_upstream_response_seconds_sum") == {(("upstream", "app"),): 3.004}
    assert workers.samples("gateway_upstream_response_seconds_count") == {(("upstream", "app"),): 2}


def test_a_worker_that_is_gone_has_counted_but_measures_nothing(workers: Workers) -> None:
    requests, level = FAMILIES["gateway_http_requests_total"], FAMILIES["gateway_workers"]
    workers.set(requests, ("/", "GET", "200", ""), 4.0, 3.0)
    workers.set(level, (), 1.0, 1.0)
    assert workers.samples(level.name) == {(): 2}
    workers.tallies[0].leave()
    workers.tallies[1].beat(time.monotonic() - ALIVE_SECONDS)
    assert workers.samples(level.name) == {}
    assert list(workers.samples(requests.name).values()) == [7]
    assert workers.samples("process_start_time_seconds") == {}


def test_a_level_that_one_cannot_tell_is_the_others(workers: Workers) -> None:
    workers.set(FAMILIES["gateway_workers"], (), ABSENT, 1.0)
    assert workers.samples("gateway_workers") == {(): 1}


def test_process_metrics_are_of_each_worker(workers: Workers) -> None:
    assert workers.samples("process_resident_memory_bytes").keys() == {(("worker", "1"),), (("worker", "2"),)}


def test_every_family_is_there_from_the_beginning(workers: Workers) -> None:
    body, content_type = workers.exposition.render("text/plain")
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    names = {family.name for family in parse(body.decode())}
    assert {name.removesuffix("_total") for name in FAMILIES} <= names


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=x", "text/plain, application/openmetrics-text"]
)
def test_openmetrics_for_those_who_ask(workers: Workers, accept: str) -> None:
    workers.set(FAMILIES["gateway_build_info"], ("1.0", "3.11"), 1.0, 1.0)
    Meters(workers.tallies[0]).route('/"\\\n').observe("GET", 200, None, 0.5)
    body, content_type = workers.exposition.render(accept)
    assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    routes = {sample.labels.get("route") for family in parse_openmetrics(body.decode()) for sample in family.samples}
    assert '/"\\\n' in routes
