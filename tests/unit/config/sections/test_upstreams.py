"""`upstreams`: verified, bounded in time, and never without a server."""

import pytest

from gateway.config.sections.upstreams import Balance, Upstream, UpstreamConnections, UpstreamHealth, UpstreamTls
from tests.unit.config.sample import parse_with, refusals


def test_defaults() -> None:
    upstream = parse_with().upstreams["app"]
    assert upstream == Upstream(servers=("http://app",))
    assert upstream.balance is Balance.ROUND_ROBIN
    assert (upstream.connections, upstream.health) == (UpstreamConnections(), UpstreamHealth())
    assert upstream.health.path is None


def test_a_server_is_verified_unless_somebody_says_otherwise() -> None:
    assert UpstreamTls().verify
    assert UpstreamTls().ca is None


@pytest.mark.parametrize(
    ("servers", "speaks_tls"),
    [("[http://a]", False), ("['unix:/https:']", False), ("[https://a]", True), ("[http://a, https://b]", True)],
)
def test_tls_is_spoken_where_one_server_does(servers: str, speaks_tls: bool) -> None:
    upstreams = parse_with(upstreams=f"{{app: {{servers: {servers}}}}}").upstreams
    assert upstreams["app"].speaks_tls is speaks_tls


def test_there_must_be_an_upstream_and_a_server() -> None:
    assert "upstreams: must have at least 1 entry" in refusals(upstreams="{}")
    assert "upstreams.app.servers: must have at least 1 entry" in refusals(upstreams="{app: {servers: []}}")


@pytest.mark.parametrize(
    "key",
    [
        "connect_timeout: 0s",
        "send_timeout: 0s",
        "response_timeout: 0s",
        "read_timeout: 0s",
        "connections: {max: 0}",
        "connections: {idle_timeout: 0s}",
        "connections: {queue_timeout: 0s}",
        "health: {interval: 0s}",
        "health: {timeout: 0s}",
        "health: {falls: 0}",
        "health: {rises: 0}",
        "health: {pause: 0s}",
    ],
)
def test_bounds(key: str) -> None:
    assert len(refusals(upstreams=f"{{app: {{servers: [http://app], {key}}}}}")) == 1
