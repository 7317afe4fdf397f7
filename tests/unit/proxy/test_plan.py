"""What a route says of itself, ready for a request."""

from typing import Any

import pytest

from gateway.auth.policy import RoutePolicy
from gateway.http.prefixes import PrefixReplacement
from gateway.http.targets import parse_target
from gateway.proxy.plan import RoutePlan
from gateway.types import UNLIMITED_BYTES, Access
from tests.unit.metering import new_meters


def plan(methods: frozenset[str] | None = None, **options: Any) -> RoutePlan:
    pool: Any = None  # no request ever asks for one here
    policy, meter = RoutePolicy(access=Access.PUBLIC, methods=methods), new_meters().route("/app")
    return RoutePlan(name="/app", policy=policy, pool=pool, meter=meter, **options)


@pytest.mark.parametrize(
    ("methods", "line"),
    [
        (frozenset({"POST", "GET", "DELETE"}), b"Allow: DELETE, GET, POST\r\n"),
        (frozenset({"GET"}), b"Allow: GET\r\n"),
        (frozenset(), b"Allow: \r\n"),  # RFC 9110 §10.2.1: an empty one is a valid one
        (None, b"Allow: \r\n"),
    ],
)
def test_a_405_names_the_methods_always_in_the_same_order(methods: frozenset[str] | None, line: bytes) -> None:
    assert plan(methods).allow_line == line


def test_the_upstream_gets_the_canonical_path_and_the_query_as_it_came() -> None:
    target = parse_target("/app/%7Ex?a=%7E&b")
    assert plan().upstream_target(target) == b"/app/~x?a=%7E&b"
    replacement = PrefixReplacement(prefix="/app", replacement="/old")
    assert plan(prefix_replacement=replacement).upstream_target(target) == b"/old/~x?a=%7E&b"


def test_what_nobody_has_said_is_the_least() -> None:
    bare = plan()
    assert not bare.keeps_token
    assert not bare.reaches_endpoints
    assert not bare.outlives_token
    assert (bare.websocket, bare.cors, bare.host, bare.allowed_oddities) == (None, None, None, frozenset())
    assert bare.max_body_bytes == UNLIMITED_BYTES
