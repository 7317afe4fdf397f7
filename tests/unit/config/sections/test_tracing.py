"""`tracing`: nothing is sent anywhere until the operator says where."""

import pytest

from gateway.config.sections.tracing import Tracing
from tests.unit.config.sample import parse_with, refusals


def test_by_default_nothing_is_recorded_and_then_little() -> None:
    assert parse_with().tracing is None
    assert parse_with(tracing="{otlp_endpoint: 'http://127.0.0.1:4318'}").tracing == Tracing(
        otlp_endpoint="http://127.0.0.1:4318", one_in=100, follow_clients=False, service_name="gateway"
    )


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("{}", "otlp_endpoint"),
        ("{otlp_endpoint: nowhere}", "otlp_endpoint"),
        ("{otlp_endpoint: 'http://a', one_in: 0}", "one_in"),
    ],
)
def test_what_is_no_collector_is_refused(section: str, key: str) -> None:
    (refused,) = refusals(tracing=section)
    assert refused.startswith(f"tracing.{key}: ")
