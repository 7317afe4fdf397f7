"""What a scrape of a real gateway says, with one worker and with two: the same, whichever worker answers."""

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.integration.data_plane import bearer, get, post
from tests.integration.raw_client import ask
from tests.integration.test_admin import SEVERAL, Probed, probed, wait_until
from tests.unit.test_metrics_page import rows

USER = "alice"
REQUESTS = "gateway_http_requests_total"
RELOADS = "gateway_config_reloads_total"


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {family.name: family for family in parse(text)}
        self._samples = [sample for family in self.families.values() for sample in family.samples]

    def of(self, name: str, **labels: str) -> float:
        """Of all series that have these labels, together."""
        return sum(
            sample.value for sample in self._samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, label: str) -> set[str]:
        return {sample.labels[label] for sample in self._samples if label in sample.labels}

    @property
    def counters(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """But for those of one process (`process_…`): they end with it."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            if family.type in ("counter", "histogram") and family.name.startswith("gateway_")
            for sample in family.samples
        }


def scrape(gateway: Probed) -> Scrape:
    answer = gateway.probe("/metrics")
    assert answer.status == 200
    return Scrape(answer.body.decode())


@pytest.fixture(scope="module", params=[1, 2], ids=["1 worker", "2 workers"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    with probed(tmp_path_factory.mktemp("metrics"), request.param, users=[USER]) as it:
        yield it


def workers_of(gateway: Probed) -> list[int]:
    supervisor = gateway.plane.gateway.process.pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(pid) for pid in children]


def scrape_behind(gateway: Probed, before: Scrape, requests: int) -> Scrape:
    """A request is counted when its answer has been written, a few microseconds after its client may have it."""
    wait_until(lambda: scrape(gateway).of(REQUESTS) >= before.of(REQUESTS) + requests)
    return scrape(gateway)


def difference(gateway: Probed, before: Scrape, name: str, **labels: str) -> float:
    return scrape(gateway).of(name, **labels) - before.of(name, **labels)


def test_requests_are_counted_by_route_method_code_and_reason(gateway: Probed) -> None:
    before = scrape(gateway)
    for _ in range(SEVERAL):
        assert gateway.plane.ask(get("/public/x")).status == 200
    for _ in range(3):
        assert gateway.plane.ask(get("/required/x")).status == 401
    assert gateway.plane.ask(get("/required/x", bearer(), method="DELETE")).status == 200
    assert gateway.plane.ask(get("/nowhere")).status == 404

    scrape_behind(gateway, before, SEVERAL + 5)

    def counted(**labels: str) -> float:
        return difference(gateway, before, REQUESTS, **labels)

    assert counted(route="/public", method="GET", code="200", reason="") == SEVERAL
    assert counted(route="/required", method="GET", code="401", reason="not_authenticated") == 3
    assert counted(route="/required", method="DELETE", code="200", reason="") == 1
    assert counted(route="unrouted", method="GET", code="404", reason="no_route") == 1
    assert counted() == SEVERAL + 5
    assert difference(gateway, before, "gateway_http_request_duration_seconds_count", route="/public") == SEVERAL
    assert difference(gateway, before, "gateway_upstream_response_seconds_count", upstream="main") == SEVERAL + 1


def test_the_metrics_are_those_of_the_page(gateway: Probed) -> None:
    found = {name: family for name, family in scrape(gateway).families.items() if name.startswith("gateway_")}
    page = {name.removesuffix("_total"): (kind, labels) for name, (kind, labels) in rows().items()}
    assert {name: family.type for name, family in found.items()} == {name: kind for name, (kind, _) in page.items()}
    for name, family in found.items():
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(page[name][1])


def test_every_worker_says_the_same(gateway: Probed) -> None:
    before = scrape(gateway)
    for _ in range(SEVERAL):
        assert gateway.plane.ask(get("/public/x")).status == 200
    first = scrape_behind(gateway, before, SEVERAL)
    for _ in range(SEVERAL):
        again = scrape(gateway)
        assert again.counters == first.counters
        assert again.of("gateway_workers") == again.of("gateway_workers_configured")
        assert again.labels("worker") == first.labels("worker")


def test_s83_strangers_make_no_series(gateway: Probed) -> None:
    gateway.plane.ask(get("/nowhere/at/all", method="BREW"))
    before = set(scrape(gateway).counters)
    for number in range(SEVERAL):
        gateway.plane.ask(get(f"/nowhere/{number}", b"X-Odd: %d" % number, method=f"BREW{number}"))
        gateway.plane.ask(b"NONSENSE%d\r\n\r\n" % number)
    after = scrape(gateway)
    assert len(set(after.counters) - before) <= 1  # of heads that cannot be read
    assert after.labels("method") <= {"GET", "POST", "DELETE", "other"}


@pytest.mark.parametrize("line", [b"User-Agent: Prometheus/3.0", b"Accept: application/openmetrics-text"])
def test_s87_clients_have_no_way_to_metrics(gateway: Probed, line: bytes) -> None:
    assert gateway.plane.ask(get("/metrics", line)).status == 404
    assert gateway.plane.ask(get("/required/metrics", line)).status == 401


def test_openmetrics_for_those_who_ask_for_it(gateway: Probed) -> None:
    for accept in (
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
        "application/openmetrics-text; version=x",
    ):
        answer = ask(gateway.port, get("/metrics", b"Accept: " + accept.encode(), b"Connection: close"))
        assert answer.field("content-type") == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert "gateway_http_requests" in {family.name for family in parse_openmetrics(answer.body.decode())}


def test_logins_and_their_failures_are_counted(gateway: Probed) -> None:
    before = scrape(gateway)
    for password, status in ((f"{USER}-password", 200), ("wrong", 401), ("wrong", 401)):
        body = b'{"username": "%b", "password": "%b"}' % (USER.encode(), password.encode())
        answer = gateway.plane.ask(post("/api/token/", body, b"Content-Type: application/json"))
        assert answer.status == status

    scrape_behind(gateway, before, 3)

    def counted(**labels: str) -> float:
        return difference(gateway, before, "gateway_auth_events_total", **labels)

    assert counted(event="login_succeeded", reason="") == 1
    assert counted(event="login_failed", reason="wrong_credentials") == 2
    assert difference(gateway, before, REQUESTS, route="obtain", code="200") == 1


def test_what_is_open_is_seen_wherever_it_is(gateway: Probed) -> None:
    with gateway.plane.connect() as client:
        client.send(get("/public/x"))
        client.read()
        wait_until(lambda: scrape(gateway).of("gateway_client_connections_open") >= 1)
        wait_until(lambda: scrape(gateway).of("gateway_upstream_connections", upstream="main", state="idle") >= 1)
    wait_until(lambda: scrape(gateway).of("gateway_client_connections_open") == 0)
    assert scrape(gateway).of("gateway_upstream_server_up", upstream="main") == 1


def test_a_worker_that_is_killed_takes_no_count_with_it(tmp_path: Path) -> None:
    with probed(tmp_path, 2) as gateway:
        for _ in range(SEVERAL):
            assert gateway.plane.ask(get("/public/x")).status == 200
        before = scrape_behind(gateway, Scrape(""), SEVERAL)
        victim = max(workers_of(gateway))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: gateway.plane.gateway.output().count(" worker_started ") == 3)
        wait_until(lambda: scrape(gateway).of("gateway_workers") == 2)
        assert_not_decreased(before.counters, scrape(gateway).counters)
        for _ in range(SEVERAL):
            assert gateway.plane.ask(get("/public/x")).status == 200
        after = scrape_behind(gateway, before, SEVERAL)
        assert after.of(REQUESTS, route="/public") == 2 * SEVERAL
        assert after.of("gateway_worker_starts_total") == 3


def assert_not_decreased(before: Mapping[Any, float], after: Mapping[Any, float]) -> None:
    assert {key: value for key, value in before.items() if after.get(key, -1.0) < value} == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_reloads_are_counted_for_all(tmp_path: Path, workers: int) -> None:
    with probed(tmp_path, workers) as gateway:
        config = gateway.plane.gateway.log.with_name("gateway.yaml")
        process, good = gateway.plane.gateway.process, config.read_text()
        first = scrape(gateway)
        assert first.of(RELOADS, result="ok") == first.of(RELOADS, result="failed") == 0
        config.write_text(good + "nonsense: 1\n")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: scrape(gateway).of(RELOADS, result="failed") >= 1)
        wait_until(lambda: scrape(gateway).of("gateway_config_last_reload_successful") == 0)
        config.write_text(good.replace("/public", "/open"))
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: scrape(gateway).of(RELOADS, result="ok") >= 1)
        wait_until(lambda: scrape(gateway).of("gateway_config_last_reload_successful") == 1)
        after = scrape(gateway)
        assert after.of("gateway_config_hash") != first.of("gateway_config_hash")
        assert gateway.plane.ask(get("/open/x")).status == 200
        wait_until(lambda: scrape(gateway).of(REQUESTS, route="/open", code="200") == 1)
