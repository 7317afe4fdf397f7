"""`routes`: what nobody said is what lets nobody through."""

import pytest

from gateway.config.sections.cors import RouteCors
from gateway.config.sections.routes import HostField, LimitedBy, RateLimit, WebSocket
from gateway.types import Access
from tests.unit.config.sample import parse_with, refusals


def test_s23_by_default_a_route_asks_for_a_token_and_passes_no_upgrade() -> None:
    (route,) = parse_with().routes
    assert route.access is Access.REQUIRED
    assert (route.websocket, route.allow_in_path, route.upstream_path) == (None, frozenset(), None)
    assert not any((route.stateless, route.keep_authorization, route.outlive_token))
    assert (route.host, route.cors, route.max_body_bytes) == (HostField.CLIENT, RouteCors.INHERIT, None)


@pytest.mark.parametrize("key", ["path", "upstream"])
def test_a_route_says_what_it_is_for(key: str) -> None:
    keys = {"path": "/", "upstream": "app"}
    del keys[key]
    found = refusals(routes="[{" + ", ".join(f"{name}: {value}" for name, value in keys.items()) + "}]")
    assert any(message.startswith(f"routes[0].{key}: is missing") for message in found)


def test_there_must_be_a_route() -> None:
    assert refusals(routes="[]") == ["routes: must have at least 1 entry"]


@pytest.mark.parametrize("key", ["methods", "roles"])
def test_an_empty_list_of_who_may_pass_is_no_list(key: str) -> None:
    assert refusals(routes=f"[{{path: /, upstream: app, {key}: []}}]") == [
        f"routes[0].{key}: must have at least 1 entry"
    ]


def test_s63_websocket_names_its_origins_of_which_there_may_be_none() -> None:
    (missing,) = refusals(routes="[{path: /, upstream: app, websocket: {}}]")
    assert missing.startswith("routes[0].websocket.allow_origins: is missing")
    (route,) = parse_with(routes="[{path: /, upstream: app, websocket: {allow_origins: []}}]").routes
    assert route.websocket == WebSocket(allow_origins=())


def test_s71_messages_and_websockets_of_a_user_are_bounded_by_default() -> None:
    websocket = WebSocket(allow_origins=())
    assert websocket.max_message_bytes == 16 * 1024**2
    assert websocket.max_per_user == 100
    assert websocket.token_query is None
    # A Close frame holds 125 bytes, so a smaller bound would refuse what RFC 6455 §5.5 allows.
    found = refusals(routes="[{path: /, upstream: app, websocket: {allow_origins: [], max_message_bytes: 124B}}]")
    assert found[0].startswith("routes[0].websocket.max_message_bytes: must be a size from 125B")


def test_a_rate_limit_says_how_many_and_counts_users() -> None:
    (route,) = parse_with(routes="[{path: /, upstream: app, rate_limit: {requests: 100}}]").routes
    assert route.rate_limit == RateLimit(requests=100, per=60, burst=None, by=LimitedBy.USER)
    (missing,) = refusals(routes="[{path: /, upstream: app, rate_limit: {}}]")
    assert missing.startswith("routes[0].rate_limit.requests: is missing")
    (refused,) = refusals(routes="[{path: /, upstream: app, rate_limit: {requests: 1, burst: 0}}]")
    assert refused.startswith("routes[0].rate_limit.burst: must be a whole number from 1")
