"""What the connections of a process share: their number, the end of all of them, the date, the ids of requests."""

import asyncio
import dataclasses
import re

import pytest

from gateway.http.addresses import Networks, parse_address
from gateway.http.forwarding import TrustedProxies
from gateway.http.routes import RouteTable
from gateway.proxy.data_plane import PlaneRules
from tests.unit.proxy.plane import CORS, LINGER, World, running
from tests.unit.proxy.plane import preparation as preparation_of
from tests.unit.proxy.transports import Peer, settle
from tests.unit.proxy.wire import EPOCH, GET, HANDSHAKE, NOWHERE, OK, ORIGIN, SWITCH, answer, bearer, post, request


def is_full(world: World) -> bool:
    connection = world.plane.new_connection()
    if connection is not None:
        world.plane.on_client_lost(connection)
    return connection is None


# The cap on connections (checklist 81).


async def test_s81_there_are_no_more_connections_than_the_cap() -> None:
    async with running(max_connections=2) as world:
        clients = [await world.ask(GET) for _ in range(2)]
        assert is_full(world)
        assert is_full(world)
        clients[0].leave()
        await settle()
        assert not is_full(world)


async def test_s81_at_the_cap_who_has_been_idle_longest_makes_room() -> None:
    async with running(max_connections=3) as world:
        busy = await world.ask(GET)
        idle = [world.connect() for _ in range(2)]
        newcomer = world.connect()
        await settle()
        assert [peer.ended for peer in (busy, *idle, newcomer)] == ["", "closed", "", ""]


async def test_s81_a_begun_head_and_an_answer_that_is_not_taken_are_not_idle() -> None:
    async with running(max_connections=3) as world:
        clients = [world.connect() for _ in range(3)]
        clients[0].send(GET[:5])
        clients[1].stop_taking()
        clients[1].send(NOWHERE)
        clients[2].send(post(b"/nowhere", b"", length=5))  # refused, and still read for a while
        assert clients[2].received
        assert is_full(world)
        assert [client.ended for client in clients] == ["", "", ""]


async def test_s81_who_has_not_been_introduced_yet_is_not_idle() -> None:
    async with running(max_connections=1) as world:
        connection = world.plane.new_connection()
        assert connection is not None
        assert is_full(world)
        world.plane.on_client_lost(connection)
        world.plane.on_client_lost(connection)  # whoever says so twice is heard once
        assert not is_full(world)


async def test_s81_where_nobody_is_idle_nobody_looks_again_for_a_moment() -> None:
    async with running(max_connections=1) as world:
        client = await world.ask(GET)
        assert is_full(world)
        world.app.peer.send(OK)
        assert answer(client).status == 200
        assert is_full(world)  # it is idle by now
        await world.clock.turn(0.1)
        assert not is_full(world)
        await settle()
        assert client.ended == "closed"


async def test_s81_one_address_has_no_more_connections_than_its_cap() -> None:
    async with running(max_per_address=2, trusted=("10.0.0.0/8",)) as world:
        clients = [world.connect("192.0.2.1") for _ in range(2)]
        connection = world.plane.new_connection()
        assert connection is not None
        assert not world.plane.introduce(connection, parse_address("192.0.2.1"), is_tls=False)
        world.plane.on_client_lost(connection)
        world.connect("192.0.2.2")
        for _ in range(3):
            world.connect("10.0.0.1")  # carries the requests of many
        clients[0].leave()
        await settle()
        world.connect("192.0.2.1")


async def test_s81_who_makes_room_has_gone_at_once() -> None:
    async with running(max_connections=2, max_per_address=2) as world:
        for _ in range(6):
            world.connect()
        await settle()
        assert [client.ended for client in world.clients] == ["closed"] * 4 + [""] * 2


# Where a connection comes from.


@pytest.mark.parametrize(("is_tls", "scheme"), [(False, b"http"), (True, b"https")])
async def test_s6_the_backend_is_told_the_peer_and_its_scheme(world: World, is_tls: bool, scheme: bytes) -> None:
    client = world.connect("2001:db8::1", is_tls=is_tls)
    client.send(GET)
    await settle()
    assert b"\r\nX-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: %b\r\n" % scheme in world.forwarded()


# Draining.


async def test_a_drain_closes_what_is_idle_and_lets_the_rest_end(world: World) -> None:
    idle, begun, busy = world.connect(), world.connect(), await world.ask(GET)
    begun.send(GET[:5])
    drained = asyncio.ensure_future(world.plane.drain(30))
    await settle()
    assert (idle.ended, busy.ended) == ("closed", "")
    assert begun.has_eof
    assert is_full(world)
    assert not drained.done()
    world.app.peer.send(OK)
    await settle()
    assert answer(busy).closes
    begun.leave()
    await settle()
    assert await drained == 0


async def test_a_drain_cuts_what_does_not_end_in_time(world: World) -> None:
    clients = [await world.ask(GET) for _ in range(2)]
    drained = asyncio.ensure_future(world.plane.drain(30))
    await settle()
    await world.clock.turn(29)
    assert not drained.done()
    await world.clock.turn(1)
    assert await drained == 2
    await settle()
    assert [client.ended for client in clients] == ["cut", "cut"]
    assert world.outcomes() == [(499, "client_gone")] * 2


async def test_a_drain_gives_up_who_has_not_even_begun(world: World) -> None:
    connection = world.plane.new_connection()
    assert connection is not None
    assert await world.plane.drain(0) == 1
    world.plane.on_client_lost(connection)


async def test_a_drain_of_nobody_is_over_at_once(world: World) -> None:
    assert await world.plane.drain(30) == 0


async def test_a_drain_waits_for_who_still_reads_its_refusal(world: World) -> None:
    client = await world.ask(post(b"/nowhere", b"", length=5))
    drained = asyncio.ensure_future(world.plane.drain(30))
    await settle()
    assert (client.ended, drained.done()) == ("", False)
    await world.clock.turn(LINGER)
    assert await drained == 0


# Tunnels.


async def tunnel(world: World) -> Peer:
    client = await world.ask(HANDSHAKE)
    world.app.peer.send(SWITCH)
    await settle()
    return client


async def test_a_tunnel_is_counted_watched_and_logged_once(world: World) -> None:
    client = await tunnel(world)
    assert repr(world.long_exchanges) == "<LongExchanges watched=1 tunnels=1>"
    assert world.log_lines() == []
    client.leave()
    await settle()
    assert repr(world.long_exchanges) == "<LongExchanges watched=0 tunnels=0>"
    (line,) = world.log_lines()
    assert (line["status"], line["user_id"], line["close_code"], line["reason"]) == (101, "7", 1006, "client_gone")


async def test_a_drain_ends_tunnels_with_a_frame(world: World) -> None:
    client = await tunnel(world)
    client.read()
    drained = asyncio.ensure_future(world.plane.drain(30))
    await settle()
    assert client.read() == b"\x88\x0a\x03\xf4stopping"
    await world.clock.turn(3)
    assert await drained == 0
    assert world.outcomes() == [(101, "stopping")]


async def test_a_tunnel_that_comes_during_the_drain_ends_at_once(world: World) -> None:
    client = await world.ask(HANDSHAKE)
    drained = asyncio.ensure_future(world.plane.drain(30))
    await settle()
    world.app.peer.send(SWITCH)
    assert client.read().endswith(b"\r\n\r\n\x88\x0a\x03\xf4stopping")
    await world.clock.turn(3)
    assert await drained == 0


# Dates, ids, the log.


async def test_the_date_is_made_once_a_second_and_is_right(world: World) -> None:
    world.clock.now = 0.25
    client = await world.ask(NOWHERE)
    assert EPOCH == 1_800_000_000
    assert answer(client).fields["date"] == "fri, 15 jan 2027 08:00:00 gmt"
    assert world.plane.date_line() is world.plane.date_line()
    await world.clock.turn(0.7)
    client.send(NOWHERE)
    assert answer(client).fields["date"] == "fri, 15 jan 2027 08:00:00 gmt"
    await world.clock.turn(0.1)
    client.send(NOWHERE)
    assert answer(client).fields["date"] == "fri, 15 jan 2027 08:00:01 gmt"


async def test_ids_of_requests_are_unique_and_of_one_process() -> None:
    ids = []
    for _ in range(2):
        async with running() as world:
            ids.append([world.plane.new_request_id() for _ in range(1000)])
    assert len(set(ids[0] + ids[1])) == 2000
    assert all(re.fullmatch(rb"[0-9a-f]{16}-[0-9a-f]{8}", found) for found in ids[0])
    assert [len({found[:16] for found in process}) for process in ids] == [1, 1]


@pytest.mark.parametrize(
    ("sent", "is_kept"), [(b"client-chosen.id_1", True), (b"short", False), (b'in"jected!', False)]
)
async def test_the_id_is_the_clients_where_it_may_stand_in_logs(world: World, sent: bytes, is_kept: bool) -> None:
    client = await world.ask(request(b"/open/x", b"X-Request-Id: " + sent))
    world.app.peer.send(OK)
    found = answer(client).fields["x-request-id"]
    assert (found == sent.decode()) is is_kept
    assert b"\r\nX-Request-Id: %b\r\n" % found.encode() in world.forwarded()
    assert [line["request_id"] for line in world.log_lines()] == [found]


async def test_a_log_line_says_what_happened(world: World) -> None:
    client = await world.ask(request(b"/app/x?secret", bearer()))
    await world.clock.turn(0.125)
    world.app.peer.send(OK)
    size = len(client.read())
    (line,) = world.log_lines()
    assert line.pop("request_id")
    assert line == {
        "time": "2027-01-15T08:16:40.125Z",
        "level": "info",
        "logger": "gateway.access",
        "event": "request_ended",
        "client": "192.0.2.1",
        "method": "GET",
        "path": "/app/x",
        "route": "/app",
        "status": 200,
        "bytes": size,
        "ms": 125.0,
        "upstream": "app0",
        "upstream_ms": 125.0,
        "user_id": "7",
    }


async def test_without_a_log_nothing_is_written() -> None:
    async with running(has_log=False) as world:
        clients = [await world.ask(NOWHERE), await tunnel(world)]
        clients[1].leave()
        await settle()
        assert answer(clients[0]).status == 404
        assert world.log_lines() == []


async def test_where_no_route_is_found_a_browser_can_read_so() -> None:
    async with running(cors=CORS) as world:
        client = await world.ask(request(b"/nowhere", b"Origin: " + ORIGIN))
        assert answer(client).fields["access-control-allow-origin"] == ORIGIN.decode()


# Other rules


def nowhere(world: World) -> PlaneRules:
    """As they are, without a route."""
    preparation = preparation_of(RouteTable(exact={}, prefixes={}), trusts_peer=False)
    return dataclasses.replace(world.rules, preparation=preparation)


async def test_a_connection_forgets_what_was_made_of_its_last_head() -> None:
    async with running() as world:
        client = await world.answered(GET, OK)
        assert client.read().endswith(b"ok")
        world.plane.swap(nowhere(world))
        client.send(GET)
        await settle()
        assert answer(client).status == 404
        world.plane.swap(world.rules)
        client.send(GET)
        await settle()
        world.app.peer.send(OK)
        await settle()
        assert client.read().endswith(b"ok")


async def test_what_has_begun_goes_on_where_it_is() -> None:
    async with running() as world:
        client = await world.ask(GET)
        world.plane.swap(nowhere(world))
        world.app.peer.send(OK)
        await settle()
        assert client.read().endswith(b"ok")


async def test_half_a_head_is_read_by_the_rules_of_its_end() -> None:
    async with running() as world:
        client = await world.ask(GET[:10])
        world.plane.swap(nowhere(world))
        client.send(GET[10:])
        await settle()
        assert answer(client).status == 404


async def test_s24_who_may_ask_is_asked_anew_of_open_connections() -> None:
    question = request(b"/forward-auth", b"X-Forwarded-Method: GET", b"X-Forwarded-Uri: /open")
    networks = Networks(["10.0.0.7"])
    async with running(asking=("10.0.0.7",), trusted=("10.0.0.7",)) as world:
        client = world.connect("10.0.0.7")
        elsewhere = ((networks, preparation_of(world.routes, trusts_peer=True, may_ask=False)),)
        for rules, status in (
            (world.rules, 200),
            (dataclasses.replace(world.rules, listed=elsewhere), 403),
            (world.rules, 200),
        ):
            world.plane.swap(rules)
            client.send(question)
            await settle()
            assert answer(client).status == status


async def test_s24_who_is_trusted_is_asked_anew_of_open_connections() -> None:
    told = request(b"/open", b"X-Forwarded-For: 203.0.113.7")
    networks = Networks(["192.0.2.0/24"])
    async with running() as world:
        trusting = dataclasses.replace(
            world.rules,
            trusted_proxies=TrustedProxies(networks),
            listed=((networks, preparation_of(world.routes, trusts_peer=True)),),
        )
        client, newcomer = world.connect("192.0.2.1"), world.plane.new_connection()
        assert newcomer is not None
        for rules, seen in (
            (trusting, b"X-Forwarded-For: 203.0.113.7, 192.0.2.1"),
            (world.rules, b"X-Forwarded-For: 192.0.2.1"),
        ):
            world.plane.swap(rules)
            client.send(told)
            await settle()
            assert seen + b"\r\n" in world.forwarded()
            world.app.peer.send(OK)
            await settle()
            assert client.read()
        world.plane.on_client_lost(newcomer)


async def test_s81_the_caps_are_the_new_ones_and_who_is_there_stays() -> None:
    async with running(max_connections=2) as world:
        client = await world.ask(GET)
        assert not is_full(world)
        world.plane.swap(dataclasses.replace(world.rules, caps=dataclasses.replace(world.rules.caps, total=1)))
        assert world.plane.connections_limit == 1
        assert is_full(world)
        world.app.peer.send(OK)
        await settle()
        assert client.read().endswith(b"ok")
