"""What is counted, under which labels."""

import pytest

from gateway.errors import Reason
from gateway.observability.families import DURATION_BOUNDS
from gateway.observability.meters import ReloadMeter
from tests.unit.metering import Metering


@pytest.fixture
def metering() -> Metering:
    return Metering()


def test_requests_are_counted_by_what_became_of_them(metering: Metering) -> None:
    meter = metering.meters.route("/api")
    for _ in range(3):
        meter.observe("GET", 200, None, 0.004)
    meter.observe("GET", 401, Reason.TOKEN_EXPIRED, 0.001)
    meter.count("GET", 101, None)
    assert metering.series("gateway_http_requests_total") == {
        ("/api", "GET", "200", ""): 3,
        ("/api", "GET", "401", "token_expired"): 1,
        ("/api", "GET", "101", ""): 1,
    }
    assert metering.series("gateway_http_request_duration_seconds") == {("/api",): 4}


def test_two_meters_of_one_route_count_into_one_series(metering: Metering) -> None:
    for _ in range(2):
        metering.meters.route("/api").observe("GET", 200, None, 0.004)
    assert metering.series("gateway_http_requests_total") == {("/api", "GET", "200", ""): 2}


@pytest.mark.parametrize("method", ["", "BREW", "get", "TRACE", "x" * 1000])
def test_s83_methods_that_are_not_everybodys_are_one_series(metering: Metering, method: str) -> None:
    meter = metering.meters.route("/api")
    for _ in range(2):
        meter.observe(method, 404, Reason.NO_ROUTE, 0.0)
    meter.observe("OTHERS", 404, Reason.NO_ROUTE, 0.0)
    assert metering.series("gateway_http_requests_total") == {("/api", "other", "404", "no_route"): 3}


def test_s83_codes_that_nobody_has_registered_are_one_series_a_class(metering: Metering) -> None:
    """Where a backend answers with what its client asks for, strangers would fill the region."""
    meter = metering.meters.route("/api")
    for status in (*range(100, 1000), 499):
        meter.observe("GET", status, None, 0.0)
    counted = metering.series("gateway_http_requests_total")
    assert counted[("/api", "GET", "499", "")] == 2
    assert counted[("/api", "GET", "4xx", "")] + sum("400" <= code < "500" for _, _, code, _ in counted) - 1 == 100
    assert {code for _, _, code, _ in counted if "xx" in code} == {f"{first}xx" for first in range(1, 10)}
    assert len(counted) < 100


@pytest.mark.parametrize(
    ("duration", "bucket"), [(0.0, 0), (0.001, 0), (0.0011, 1), (60.0, 11), (60.1, 12), (100_000.0, 12)]
)
def test_a_duration_falls_below_its_bound_or_on_it(metering: Metering, duration: float, bucket: int) -> None:
    metering.meters.route("/api").observe("GET", 200, None, duration)
    metering.meters.upstream("app").answered(duration)
    cells = metering.tally.cells
    for key in (("gateway_http_request_duration_seconds", "/api"), ("gateway_upstream_response_seconds", "app")):
        first = metering.tally.first_cell(key, width=len(DURATION_BOUNDS) + 2)
        assert cells[first] == duration
        assert [at for at in range(len(DURATION_BOUNDS) + 1) if cells[first + 1 + at]] == [bucket]


def test_only_the_upstreams_own_faults_are_its_errors(metering: Metering) -> None:
    meter = metering.meters.upstream("app")
    for reason in Reason:
        meter.ended(reason)
    meter.ended(Reason.UPSTREAM_TIMEOUT)
    errors = metering.series("gateway_upstream_errors_total")
    assert errors[("app", "upstream_timeout")] == 2
    assert {reason for _, reason in errors} == {reason.value for reason in Reason if reason.startswith("upstream_")}


def test_a_servers_failures_are_counted_by_server_and_reason(metering: Metering) -> None:
    metering.meters.upstream("app").failed("http://a:1", Reason.UPSTREAM_UNREACHABLE)
    labels = ("app", "http://a:1", "upstream_unreachable")
    assert metering.series("gateway_upstream_server_failures_total") == {labels: 1}


def test_what_the_audit_log_tells_is_counted(metering: Metering) -> None:
    meter = metering.meters.auth()
    meter.count("login_failed", "wrong_credentials")
    meter.count("login_succeeded", None)
    assert metering.series("gateway_auth_events_total") == {
        ("login_failed", "wrong_credentials"): 1,
        ("login_succeeded", ""): 1,
    }


def levels(metering: Metering) -> tuple[float, ...]:
    names = ("last_reload_successful", "last_reload_success_timestamp_seconds", "hash")
    return tuple(metering.series(f"gateway_config_{name}")[()] for name in names)


def test_the_last_good_configuration_is_told_beside_a_refused_one(metering: Metering) -> None:
    meter = ReloadMeter(metering.tally)
    assert metering.series("gateway_config_reloads_total") == {("ok",): 0, ("failed",): 0}
    meter.begin(17, 100.0)
    assert levels(metering) == (1, 100, 17)
    meter.failed()
    assert levels(metering) == (0, 100, 17)
    meter.succeeded(18, 120.0)
    assert levels(metering) == (meter.was_good, meter.read_at, meter.digest) == (1, 120, 18)
    assert metering.series("gateway_config_reloads_total") == {("ok",): 1, ("failed",): 1}


def test_an_issuers_fetches_are_there_from_the_beginning(metering: Metering) -> None:
    meter = metering.meters.issuer("corp")
    fetches = "gateway_issuer_key_fetches_total"
    assert metering.series(fetches) == {("corp", "ok"): 0, ("corp", "failed"): 0}
    meter.fetched()
    meter.failed()
    metering.meters.issuer("corp").failed()
    assert metering.series(fetches) == {("corp", "ok"): 1, ("corp", "failed"): 2}
