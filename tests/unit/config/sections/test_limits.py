"""`limits`: nothing that a client may take is without bound by default."""

import pytest

from gateway.config.sections.limits import ClientConnections, Limits
from tests.unit.config.sample import parse_with, refusals


def test_s78_s79_s81_everything_is_bounded_by_default() -> None:
    limits = parse_with().limits
    assert limits == Limits()
    assert (limits.max_target_bytes, limits.max_head_bytes, limits.max_fields) == (8192, 32768, 100)
    assert limits.max_body_bytes == 1024**3
    assert 0 < max(limits.head_timeout, limits.body_timeout, limits.connections.idle_timeout) <= 60
    assert limits.min_rate == 240
    assert limits.connections == ClientConnections(max=10_000, max_per_address=None, max_requests=None)


@pytest.mark.parametrize(
    ("broken", "path"),
    [
        ("max_target_bytes: 511B", "max_target_bytes"),
        ("max_head_bytes: 1023B", "max_head_bytes"),
        ("max_head_bytes: 2MiB", "max_head_bytes"),
        ("max_fields: 7", "max_fields"),
        ("max_head_bytes: unlimited", "max_head_bytes"),
        ("head_timeout: 0s", "head_timeout"),
        ("body_timeout: 2d", "body_timeout"),
        ("min_rate: 2MiB", "min_rate"),
        ("connections: {max: 0}", "connections.max"),
        ("connections: {max: null}", "connections.max"),
        ("connections: {max_per_address: 0}", "connections.max_per_address"),
        ("connections: {max_requests: 0}", "connections.max_requests"),
        ("connections: {idle_timeout: 0s}", "connections.idle_timeout"),
    ],
)
def test_bounds(broken: str, path: str) -> None:
    found = refusals(limits=f"{{{broken}}}")
    assert any(message.startswith(f"limits.{path}: ") for message in found)
