"""The table of routes: what is where, and with which rules."""

from collections.abc import AsyncIterator

import pytest

from gateway.composition.routes import RouteCounts, build_cors, build_routes
from gateway.composition.upstreams import build_pool
from gateway.config.model import Config
from gateway.errors import Reason, Refused
from gateway.http.fields import ResponseFieldUses
from gateway.http.responses import ResponseReader
from gateway.http.routes import RouteTable
from gateway.http.targets import parse_target
from gateway.proxy.plan import RoutePlan
from gateway.proxy.upstream_pool import UpstreamPool
from gateway.types import UNLIMITED_BYTES, Oddity, Principal
from tests.unit.composition.documents import config_with
from tests.unit.metering import Metering

ORIGIN = b"https://app.example.org"
ENDPOINTS = ("/api/token", "/api/token/refresh", "/api/token/verify", "/api/token/blacklist")


class Table:
    """A table of routes before two upstreams."""

    def __init__(self, config: Config, counts: RouteCounts | None = None) -> None:
        reader = ResponseReader(uses=ResponseFieldUses())
        self.metering = Metering()
        meters = self.metering.meters
        self.pools = {
            name: build_pool(name, upstream, tls=None, reader=reader, meters=meters)
            for name, upstream in config.upstreams.items()
        }
        self.endpoints = build_pool("endpoints", config.upstreams["app"], tls=None, reader=reader, meters=meters)
        self.cors = None if config.cors is None else build_cors(config.cors)
        self.routes: RouteTable[RoutePlan] = build_routes(
            config, pools=self.pools, endpoints=self.endpoints, cors=self.cors, meters=meters, counts=counts
        )

    def plan(self, path: str) -> RoutePlan:
        plan = self.routes.match(path)
        assert plan is not None
        return plan

    def close(self) -> None:
        for pool in (*self.pools.values(), self.endpoints):
            pool.close()


@pytest.fixture
async def tables() -> AsyncIterator[list[Table]]:
    made: list[Table] = []
    yield made
    for table in made:
        table.close()


def table(tables: list[Table], routes: str, **sections: str) -> Table:
    upstreams = '{app: {servers: ["http://app:81"]}, other: {servers: ["http://other"]}}'
    tables.append(Table(config_with(routes=routes, upstreams=upstreams, **sections)))
    return tables[-1]


def principal(*roles: str) -> Principal:
    return Principal(
        user_id="7", token_id="t", session_id=None, issued_at=0, expires_at=0, roles=frozenset(roles), identity=b""
    )


async def test_defaults_of_a_route(tables: list[Table]) -> None:
    it = table(tables, "[{path: /, upstream: app}]")
    plan = it.plan("/x")
    assert plan.pool is it.pools["app"]
    assert (plan.host, plan.cors, plan.prefix_replacement, plan.websocket) == (None, None, None, None)
    assert (plan.keeps_token, plan.reaches_endpoints, plan.outlives_token) == (False, False, False)
    assert plan.max_body_bytes == 1024**3
    assert not plan.allowed_oddities
    assert (plan.policy.reads_token, plan.policy.is_stateless) == (True, False)
    with pytest.raises(Refused) as refused:
        plan.policy.authorize(None, "GET")
    assert refused.value.reason is Reason.NOT_AUTHENTICATED


async def test_every_key_of_a_route_counts(tables: list[Table]) -> None:
    it = table(
        tables,
        "[{path: /a, upstream: other, access: optional, methods: [GET], roles: [staff], stateless: true,"
        " keep_authorization: true, host: upstream, upstream_path: /b, max_body_bytes: 1KiB,"
        " allow_in_path: [semicolon], outlive_token: true,"
        " websocket: {allow_origins: [https://app.example.org], idle_timeout: 7s, max_per_user: 3,"
        " max_message_bytes: 200B}}]",
    )
    plan = it.plan("/a/x")
    assert plan.pool is it.pools["other"]
    assert (plan.host, plan.max_body_bytes, plan.allowed_oddities) == (b"other", 1024, {Oddity.SEMICOLON})
    assert (plan.keeps_token, plan.outlives_token, plan.policy.is_stateless) == (True, True, True)
    assert plan.upstream_target(parse_target("/a/x?y")) == b"/b/x?y"
    plan.policy.authorize(principal("staff"), "GET")
    for who, method, reason in (
        (principal("staff"), "POST", Reason.METHOD_NOT_ALLOWED),
        (principal("guest"), "GET", Reason.PERMISSION_DENIED),
    ):
        with pytest.raises(Refused) as refused:
            plan.policy.authorize(who, method)
        assert refused.value.reason is reason
    assert plan.websocket is not None
    assert (plan.websocket.idle_timeout, plan.websocket.max_per_user, plan.websocket.max_message_bytes) == (7, 3, 200)
    assert it.routes.match("/elsewhere") is None


async def test_a_rate_limit_counts_users_or_addresses_and_holds_all_its_requests_at_once(tables: list[Table]) -> None:
    it = table(
        tables,
        "[{path: /a, upstream: app, rate_limit: {requests: 2, per: 10s}},"
        " {path: /b, upstream: app, rate_limit: {requests: 9, per: 90s, burst: 1, by: address}}, {path: /c, upstream: app}]",
    )

    def passes(path: str, *addresses: str) -> list[int]:
        rate_limit, outcomes = it.plan(path).rate_limit, []
        assert rate_limit is not None
        for address in addresses:
            try:
                rate_limit.admit("7", address, 0.0)
                outcomes.append(0)
            except Refused as refused:
                outcomes.append(refused.retry_after)
        return outcomes

    assert passes("/a", "192.0.2.1", "192.0.2.2", "192.0.2.3") == [0, 0, 5]
    assert passes("/b", "192.0.2.1", "192.0.2.1", "192.0.2.2") == [0, 10, 0]
    assert it.plan("/c").rate_limit is None


async def test_body_limits_are_the_routes_or_else_the_global_one(tables: list[Table]) -> None:
    it = table(
        tables,
        "[{path: /a, upstream: app}, {path: /b, upstream: app, max_body_bytes: 0B},"
        " {path: /c, upstream: app, max_body_bytes: unlimited}]",
        limits="{max_body_bytes: 5B}",
    )
    assert [it.plan(path).max_body_bytes for path in ("/a", "/b", "/c")] == [5, 0, UNLIMITED_BYTES]


async def test_s28_token_endpoints_are_the_gateways_own_with_and_without_the_slash(tables: list[Table]) -> None:
    it = table(tables, "[{path: /, upstream: app}]")
    for path in ENDPOINTS:
        for spelling in (path, path + "/"):
            plan = it.plan(spelling)
            assert (plan.pool, plan.reaches_endpoints) == (it.endpoints, True)
            assert not plan.policy.reads_token
        assert it.plan(path + "/x").pool is it.pools["app"]
    assert not it.plan("/x").reaches_endpoints


async def test_an_endpoint_may_be_the_root(tables: list[Table]) -> None:
    it = table(tables, "[{path: /app, upstream: app}]", login="{obtain_path: /}")
    assert it.plan("/").reaches_endpoints
    assert it.routes.match("") is None
    assert it.routes.match("/other") is None


async def test_cross_origin_rules_are_inherited_replaced_or_left_to_the_backend(tables: list[Table]) -> None:
    it = table(
        tables,
        "[{path: /a, upstream: app}, {path: /b, upstream: app, cors: upstream},"
        " {path: /c, upstream: app, cors: {allow_origins: [https://other.example]}}]",
        cors="{allow_origins: [https://app.example.org], allow_methods: [GET], allow_headers: [x-a],"
        " expose_headers: [x-b], allow_credentials: true, max_age: 9s}",
    )
    assert it.plan("/a").cors is it.cors
    assert it.plan("/api/token/").cors is it.cors
    assert it.plan("/b").cors is None
    own = it.plan("/c").cors
    assert own is not None
    assert b"Allow-Origin" not in own.fields(ORIGIN)
    assert b"Access-Control-Allow-Origin: https://other.example\r\n" in own.fields(b"https://other.example")
    assert it.cors is not None
    fields = it.cors.fields(ORIGIN)
    for line in (b"-Origin: https://app.example.org\r\n", b"-Credentials: true\r\n", b"-Expose-Headers: x-b\r\n"):
        assert line in fields
    preflight = it.cors.preflight_fields(ORIGIN)
    for line in (b"-Methods: GET\r\n", b"-Headers: x-a\r\n", b"-Max-Age: 9\r\n"):
        assert line in preflight


async def test_a_pool_for_every_upstream_is_asked_for(tables: list[Table]) -> None:
    it = table(tables, "[{path: /a, upstream: app}, {path: /b, upstream: other}]")
    pools: list[UpstreamPool] = [it.plan(path).pool for path in ("/a", "/b")]
    assert pools == [it.pools["app"], it.pools["other"]]


async def test_what_is_counted_outlives_the_table() -> None:
    routes = (
        "[{path: /, upstream: app, rate_limit: {requests: 1, per: 60s}, websocket: {allow_origins: ['*']}}]",
        "[{path: /, upstream: app, roles: [a], rate_limit: {requests: 1, per: 60s}, websocket: {allow_origins: ['*']}}]",
        "[{path: /, upstream: app, rate_limit: {requests: 2, per: 60s}}, {path: /b, upstream: app}]",
    )
    counts, plans = RouteCounts(), []
    for yaml in routes:
        counts = RouteCounts(counts)
        made = Table(config_with(routes=yaml), counts)
        plans.append(made.plan("/"))
        made.close()
    assert plans[0].rate_limit is plans[1].rate_limit is not None
    assert plans[0].websocket is plans[1].websocket is not None
    assert plans[2].rate_limit is not plans[1].rate_limit
    assert plans[2].websocket is None
