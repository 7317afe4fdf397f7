"""Each exchange is counted once, at its end, whatever that was."""

from gateway.errors import Reason
from tests.unit.proxy.plane import World, running
from tests.unit.proxy.transports import settle
from tests.unit.proxy.wire import GET, HANDSHAKE, NOWHERE, OK, SWITCH, bearer, request

REQUESTS = "gateway_http_requests_total"
DURATIONS = "gateway_http_request_duration_seconds"
UPSTREAM = "gateway_upstream_response_seconds"
ERRORS = "gateway_upstream_errors_total"
FAILURES = "gateway_upstream_server_failures_total"


async def test_an_answer_of_the_backends(world: World) -> None:
    await world.answered(request(b"/open/x"), OK)
    assert world.metering.series(REQUESTS) == {("/open", "GET", "200", ""): 1}
    assert world.metering.value(DURATIONS, route="/open") == 1
    assert world.metering.value(UPSTREAM, upstream="app") == 1


async def test_a_refusal_has_its_reason_and_no_upstream(world: World) -> None:
    await world.ask(request(b"/app/x"))
    assert world.metering.series(REQUESTS) == {("/app", "GET", "401", "not_authenticated"): 1}
    assert world.metering.value(UPSTREAM) == 0
    assert world.metering.series(ERRORS) == {}


async def test_s83_what_has_no_route_or_cannot_be_read_is_unrouted(world: World) -> None:
    await world.ask(NOWHERE)
    await world.ask(b"BREW / HTTP/1.1 x\r\n\r\n")
    routes = {(route, code) for route, _, code, _ in world.metering.series(REQUESTS)}
    assert routes == {("unrouted", "404"), ("unrouted", "400")}


async def test_a_client_that_leaves_is_counted_as_gone(world: World) -> None:
    client = await world.ask(request(b"/open/x"))
    client.leave()
    await settle()
    assert world.metering.series(REQUESTS) == {("/open", "GET", "499", "client_gone"): 1}


async def test_an_upstream_that_fails_is_an_error_of_it_and_of_its_server(world: World) -> None:
    await world.ask(request(b"/open/x", method=b"POST"))
    world.app.peer.leave()
    await settle()
    assert world.metering.value(REQUESTS, route="/open", code="502", reason=Reason.UPSTREAM_BROKEN) == 1
    assert world.metering.series(ERRORS) == {("app", "upstream_broken"): 1}
    assert world.metering.series(FAILURES) == {("app", "app0", "upstream_broken"): 1}


async def test_a_failure_that_another_server_makes_good_is_no_error() -> None:
    async with running(servers=2) as world:
        await world.ask(request(b"/open/x"))
        world.backends[0].peer.leave()
        await settle()
        world.backends[1].peer.send(OK)
        await settle()
        assert world.metering.series(REQUESTS) == {("/open", "GET", "200", ""): 1}
        assert world.metering.series(ERRORS) == {}
        assert world.metering.series(FAILURES) == {("app", "app0", "upstream_broken"): 1}


async def test_a_tunnel_is_counted_at_its_end_without_its_duration(world: World) -> None:
    client = await world.answered(HANDSHAKE, SWITCH)
    assert world.metering.series(REQUESTS) == {}
    assert (world.plane.in_flight, world.plane.long_exchanges.tunnels) == (0, 1)
    client.leave()
    await settle()
    assert world.metering.value(REQUESTS, route="/ws", code="101") == 1
    assert world.metering.value(DURATIONS) == 0
    assert world.plane.long_exchanges.tunnels == 0


async def test_what_is_in_flight(world: World) -> None:
    client = await world.ask(GET)
    world.connect()
    assert (world.plane.connections, world.plane.in_flight, world.plane.connections_limit) == (2, 1, 100)
    world.app.peer.send(OK)
    await settle()
    assert world.plane.in_flight == 0
    assert client.received


async def test_misses_of_the_token_cache(world: World) -> None:
    await world.warm_up()
    before = sum(cache.misses for cache in world.plane.admission.caches)
    await world.answered(request(b"/app/x", bearer()), OK)
    assert sum(cache.misses for cache in world.plane.admission.caches) == before
