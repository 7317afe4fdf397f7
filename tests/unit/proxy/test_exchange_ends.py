"""However a request ends, it ends once: clients that leave, upstreams that fail, time that is up."""

import pytest

from gateway.types import Revocation, RevokedKind
from tests.unit.proxy.plane import BODY, CONNECT, READ, RESPONSE, SEND, World, messages, running
from tests.unit.proxy.transports import HIGH_WATER, Peer, settle
from tests.unit.proxy.wire import CHUNKED, GET, HINTS, ID, OK, SWITCH, answer, bearer, fresh_bearer, post, request

# Clients that leave (checklist 82).


async def test_s82_a_client_that_leaves_during_the_look_up(world: World) -> None:
    world.directory.may_answer.clear()
    client = await world.ask(request(b"/app/x", fresh_bearer()))
    client.leave()
    await settle()
    assert world.outcomes() == [(499, "client_gone")]
    world.directory.may_answer.set()
    await settle()
    assert world.app.attempts == 0
    assert world.log_lines() == []


async def test_s82_a_client_that_leaves_during_the_connect(world: World) -> None:
    world.app.hold()
    client = await world.ask(GET)
    client.leave()
    await settle()
    assert world.outcomes() == [(499, "client_gone")]
    world.app.go_on()
    await settle()
    assert world.app.peers == []
    assert world.log_lines() == []


@pytest.mark.parametrize(
    ("raw", "sent", "status"),
    [
        (post(b"/open/x", b"he", length=5), b"", 499),
        (GET, b"", 499),
        (GET, OK[:10], 499),
        (GET, OK[:-1], 200),
        (GET, CHUNKED[:-5], 200),
    ],
)
async def test_s82_a_client_that_leaves_takes_the_upstreams_request_along(
    world: World, raw: bytes, sent: bytes, status: int
) -> None:
    client = await world.ask(raw)
    if sent:
        world.app.peer.send(sent)
    client.leave()
    await settle()
    assert world.app.peer.ended == "cut"
    assert world.outcomes() == [(status, "client_gone")]
    assert (world.app.attempts, world.pool.servers[0].busy) == (1, 0)
    assert world.pool.servers[0].health.is_up


async def test_s43_the_same_head_again_is_decided_on_again(world: World) -> None:
    await world.warm_up()
    raw = post(b"/app/x", b"", bearer(), length=1)
    client = world.connect()
    ids = set()
    for body in (b"1", b"2", b"3"):
        client.send(raw + body)
        assert world.forwarded().endswith(b"\r\n\r\n" + body)
        world.app.peer.send(OK)
        found = answer(client)
        assert found.status == 200
        ids.add(found.fields["x-request-id"])
    assert len(ids) == 3
    world.revocations.add(Revocation(kind=RevokedKind.TOKEN, id="t1", expires_at=2**40))
    client.send(raw + b"4")
    assert answer(client).status == 401
    assert world.forwarded() == b""


# Upstreams that fail.


async def test_an_upstream_that_cannot_be_reached_is_a_502(world: World) -> None:
    world.app.error = ConnectionRefusedError()
    client = await world.ask(GET)
    assert (found := answer(client)).code == "upstream_unreachable"
    assert not found.closes
    assert world.outcomes() == [(502, "upstream_unreachable")]


async def test_a_response_that_is_cut_before_its_head_is_a_502(world: World) -> None:
    client = await world.answered(post(b"/open/x", b"hello"), OK[:10])
    world.app.peer.send_eof()
    await settle()
    assert (found := answer(client)).code == "upstream_broken"
    assert not found.closes
    assert world.outcomes() == [(502, "upstream_broken")]


@pytest.mark.parametrize("sent", [OK[:-1], CHUNKED[:-5], CHUNKED[:-5] + b"z\r\n"])
async def test_s72_a_response_that_is_cut_after_its_head_is_cut(world: World, sent: bytes) -> None:
    client = await world.answered(GET + GET, sent[:-3])
    world.app.peer.send(sent[-3:])
    world.app.peer.send_eof()
    await settle()
    assert client.has_eof
    assert not client.read().endswith(b"0\r\n\r\n")
    assert world.outcomes() == [(200, "upstream_broken")]
    assert world.app.attempts == 1


async def test_s73_a_switch_that_nobody_asked_for_is_a_502(world: World) -> None:
    client = await world.answered(GET, SWITCH)
    assert answer(client).code == "upstream_broken"
    assert world.app.peer.ended == "cut"


# Sending again (checklist 77).


async def two_servers_fail(world: World, raw: bytes, *, sent: bytes = b"") -> Peer:
    client = await world.ask(raw)
    for _ in range(2):
        for backend in world.backends:
            for peer in backend.peers:
                if not peer.ended:
                    if sent:
                        peer.send(sent)
                    peer.leave()
        await settle()
    return client


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"POST", b"PATCH"])
async def test_s77_only_what_may_be_repeated_goes_to_another_server(method: bytes) -> None:
    async with running(servers=2) as world:
        client = await two_servers_fail(world, request(b"/open/x", method=method))
        is_repeated = method not in (b"POST", b"PATCH")
        assert sum(backend.attempts for backend in world.backends) == (2 if is_repeated else 1)
        assert b" 502 " in client.read()
        assert world.outcomes() == [(502, "upstream_broken")]


@pytest.mark.parametrize(
    ("raw", "sent"),
    [
        (GET, b"H"),  # the answer had begun
        (post(b"/open/x", b"x").replace(b"POST", b"PUT"), b""),  # the body has gone
        (post(b"/open/x", b"").replace(b"POST", b"PUT"), b""),
    ],
)
async def test_s77_what_has_been_answered_or_had_a_body_goes_to_nobody_else(raw: bytes, sent: bytes) -> None:
    async with running(servers=2) as world:
        client = await two_servers_fail(world, raw, sent=sent)
        assert sum(backend.attempts for backend in world.backends) == 1
        assert answer(client).code == "upstream_broken"


async def test_s77_the_next_server_gets_the_same_request() -> None:
    async with running(servers=2) as world:
        client = await world.ask(request(b"/open/x", ID, b"Cookie: c"))
        first, second = world.backends
        raw = first.peer.read()
        first.peer.leave()
        await settle()
        assert second.peer.read() == raw
        second.peer.send(OK)
        assert answer(client).status == 200
        assert world.outcomes() == [(200, None)]


async def test_a_kept_connection_that_has_gone_stale_costs_nothing(world: World) -> None:
    await world.warm_up()
    stale = world.app.peer
    client = await world.ask(GET)
    assert stale.read()
    stale.leave()
    await settle()
    assert world.app.attempts == 2
    world.app.peer.send(OK)
    assert answer(client).status == 200
    assert world.pool.servers[0].health.is_up


async def test_a_connection_that_has_just_been_opened_and_ends_is_not_tried_twice(world: World) -> None:
    client = await world.ask(GET)
    world.app.peer.leave()
    await settle()
    assert answer(client).code == "upstream_broken"
    assert world.app.attempts == 1


async def test_s84_a_defect_on_the_way_of_a_response_is_a_500_and_says_nothing_of_the_server(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    client = await world.answered(request(b"/stumbling/x"), OK)
    found = answer(client)
    assert (found.status, found.code, found.closes) == (500, "internal_error", True)
    assert messages(caplog) == ["response_failed"]
    assert world.outcomes() == [(500, "internal_error")]
    assert world.pool.servers[0].health.is_up
    assert world.app.attempts == 1


# Time.


async def test_s82_an_upstream_that_does_not_accept_is_a_504_in_time(world: World) -> None:
    world.app.hold()
    client = await world.ask(GET)
    await world.clock.turn(CONNECT)
    assert answer(client).code == "upstream_connect_timeout"
    assert world.outcomes() == [(504, "upstream_connect_timeout")]


async def test_s82_an_upstream_that_does_not_answer_is_a_504_in_time(world: World) -> None:
    client = await world.ask(GET)
    await world.clock.turn(RESPONSE - 1)
    world.app.peer.send(HINTS)  # no answer
    assert client.read().startswith(b"HTTP/1.1 103 ")
    await world.clock.turn(1)
    assert answer(client).code == "upstream_timeout"
    await settle()
    assert world.app.peer.ended == "cut"
    assert not world.pool.servers[0].health.is_up
    assert client.ended == ""


async def test_s82_an_upstream_that_takes_nothing_is_a_504_in_time(world: World) -> None:
    client = await world.ask(post(b"/open/x", b"", length=1_000_000))
    world.app.peer.stop_taking()
    client.send(b"x" * (HIGH_WATER + 1))
    await world.clock.turn(SEND - 1)
    assert client.received == b""
    await world.clock.turn(1)
    assert answer(client).code == "upstream_send_timeout"
    assert not world.pool.servers[0].health.is_up


async def test_an_upstream_that_stops_inside_of_its_answer_is_cut_off_in_time(world: World) -> None:
    client = await world.answered(GET, OK[:-1])
    await world.clock.turn(READ - 1)
    assert client.ended == ""
    await world.clock.turn(1)
    assert client.ended
    assert world.outcomes() == [(200, "upstream_stalled")]


async def test_an_answer_may_take_its_time_as_long_as_it_moves(world: World) -> None:
    client = await world.answered(GET, OK.replace(b"2", b"9")[:-2])
    for _ in range(9):
        await world.clock.turn(READ - 1)
        world.app.peer.send(b"x")
    assert answer(client).body == b"x" * 9


async def test_s78_a_client_that_stops_inside_of_its_body_is_told_so(world: World) -> None:
    client = await world.ask(post(b"/open/x", b"he", length=5))
    await world.clock.turn(BODY - 1)
    client.send(b"l")
    await world.clock.turn(BODY - 1)
    assert client.received == b""
    await world.clock.turn(1)
    found = answer(client)
    assert (found.code, found.closes) == ("body_timeout", True)
    assert world.pool.servers[0].health.is_up


async def test_s78_a_client_that_stops_inside_of_its_body_behind_an_early_answer_is_cut(world: World) -> None:
    client = await world.answered(post(b"/open/x", b"he", length=5), OK[:-1])
    await world.clock.turn(BODY)
    assert client.ended
    assert world.outcomes() == [(200, "body_timeout")]


async def test_the_next_request_starts_however_one_has_ended(world: World) -> None:
    """Each end is the same end, so whatever waits behind it comes next."""
    ends = [
        (request(b"/nowhere"), None),
        (request(b"/app/x", fresh_bearer("404")), None),
        (GET, OK),
        (request(b"/open/x", method=b"HEAD"), OK[:-2]),
        (GET, CHUNKED),
        (post(b"/open/x", b"x"), b"nonsense\r\n\r\n"),
        (GET, OK),
    ]
    client = await world.ask(b"".join(raw for raw, _ in ends))
    for _, response in ends:
        if response is not None:
            assert world.forwarded()
            world.app.peer.send(response)
        await settle()
    statuses = [line["status"] for line in world.log_lines()]
    assert statuses == [404, 401, 200, 200, 200, 502, 200]
    assert client.read().count(b"HTTP/1.1 ") == len(ends)
    assert client.ended == ""
