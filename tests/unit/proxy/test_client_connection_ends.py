"""How client connections are kept and how they end: refusals, clients that take nothing or leave."""

import socket
import struct
from collections.abc import Callable

import pytest

from tests.unit.proxy.plane import BODY, KEEPALIVE, LINGER, MAX_HEAD, World, running
from tests.unit.proxy.transports import Peer, settle
from tests.unit.proxy.wire import BIG_OK, GET, NOWHERE, OK, answer, answers, post, request

# Keeping and closing.


@pytest.mark.parametrize(
    ("lines", "version", "is_kept"),
    [
        ((), b"1.1", True),
        ((b"Connection: close",), b"1.1", False),
        ((), b"1.0", False),
        ((b"Connection: keep-alive",), b"1.0", True),
    ],
)
async def test_a_connection_stays_if_its_client_wants_it(
    world: World, lines: tuple[bytes, ...], version: bytes, is_kept: bool
) -> None:
    for target in (b"/open/x", b"/nowhere"):
        client = await world.ask(request(target, *lines, version=version))
        if target == b"/open/x":
            world.app.peer.send(OK)
        await settle()
        assert answer(client).closes is not is_kept
        assert client.ended == ("" if is_kept else "closed")


async def test_a_connection_ends_with_the_last_request_that_it_may_carry() -> None:
    async with running(max_requests=2) as world:
        client = await world.ask(NOWHERE * 5)
        assert [(found.status, found.closes) for found in answers(client.read())] == [(404, False), (404, True)]
        assert len(world.log_lines()) == 2
        assert client.has_eof


async def test_while_draining_a_connection_ends_with_its_next_answer(world: World) -> None:
    idle, busy = world.connect(), await world.ask(GET)
    world.plane.begin_draining()
    world.app.peer.send(OK)
    assert answer(busy).closes
    idle.send(NOWHERE)
    assert answer(idle).closes
    await settle()
    assert (idle.ended, busy.ended) == ("closed", "closed")


async def test_an_answer_from_before_the_drain_is_the_last_all_the_same(world: World) -> None:
    client = await world.ask(GET)
    world.app.peer.send(OK[:-1])
    world.plane.begin_draining()
    world.app.peer.send(OK[-1:])
    await settle()
    assert not answer(client).closes  # that had been said already
    assert client.ended == "closed"


async def test_s15_who_is_refused_may_read_the_answer_before_the_connection_ends(world: World) -> None:
    client = await world.ask(post(b"/nowhere", b"first", length=100))
    assert answer(client).closes
    assert client.has_eof
    client.send(b"more", NOWHERE)  # part of the body, or a request that is none
    assert client.is_read
    assert client.received == b""
    await world.clock.turn(LINGER - 1)
    assert client.ended == ""
    await world.clock.turn(1)
    assert client.ended == "cut"
    assert world.outcomes() == [(404, "no_route")]


@pytest.mark.parametrize("end", [Peer.send_eof, Peer.leave])
async def test_s15_who_has_read_the_answer_is_waited_for_no_longer(world: World, end: Callable[[Peer], None]) -> None:
    client = await world.ask(post(b"/nowhere", b"first", length=100))
    end(client)
    await settle()
    assert client.ended


async def test_s15_a_client_that_goes_on_sending_is_not_read_for_ever(world: World) -> None:
    client = await world.ask(post(b"/nowhere", b"", length=10**9))
    for _ in range(16):
        client.send(b"x" * 65536)
    assert client.is_read
    client.send(b"x")
    assert not client.is_read
    await world.clock.turn(LINGER)
    assert client.ended == "cut"


async def test_s15_over_tls_the_answer_says_that_it_is_the_last(world: World) -> None:
    client = world.connect(is_tls=True)
    client.send(post(b"/nowhere", b"first", length=100))
    assert answer(client).closes
    client.send(b"more")
    assert (client.ended, client.is_read) == ("", True)
    await world.clock.turn(LINGER)
    assert client.ended == "cut"


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD,
        post(b"/nowhere", b"", b"Content-Length: 7", length=7),
        request(b"/open/x", b"Transfer-Encoding: gzip, chunked", method=b"POST"),
        b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
async def test_s15_where_nobody_knows_what_follows_the_client_may_still_be_sending_it(world: World, raw: bytes) -> None:
    client = await world.ask(raw)
    assert answer(client).closes
    assert client.has_eof
    client.send(b"the rest")
    assert (client.ended, client.received) == ("", b"")
    await world.clock.turn(LINGER)
    assert client.ended == "cut"
    assert len(world.log_lines()) == 1


# Clients that do not take their answers (checklist 75, 81).


async def test_s81_who_does_not_take_its_answers_gets_no_further_ones(world: World) -> None:
    client = await world.ask(GET + NOWHERE)
    client.stop_taking()
    world.app.peer.send(BIG_OK)
    client.send(NOWHERE)
    assert not client.is_read
    await settle()
    assert world.outcomes() == [(200, None)]
    client.take()
    await settle()
    assert [found.status for found in answers(client.read())] == [200, 404, 404]
    assert client.is_read


async def test_who_has_taken_its_answer_late_may_ask_again(world: World) -> None:
    client = await world.ask(GET)
    client.stop_taking()
    world.app.peer.send(BIG_OK)
    client.take()
    await settle()
    assert answer(client).status == 200
    client.send(NOWHERE)
    assert answer(client).status == 404
    assert world.outcomes() == [(200, None), (404, "no_route")]


async def test_s81_a_request_that_comes_while_the_last_answer_is_not_taken_waits(world: World) -> None:
    client = await world.ask(GET)
    client.stop_taking()
    world.app.peer.send(BIG_OK)
    assert client.is_read
    client.send(NOWHERE)
    assert not client.is_read
    client.take()
    await settle()
    assert [found.status for found in answers(client.read())] == [200, 404]
    assert client.is_read


async def test_an_answer_that_nobody_takes_is_not_kept_for_ever(world: World) -> None:
    for pipelined in (b"", NOWHERE):
        client = await world.ask(GET + pipelined)
        client.stop_taking()
        world.app.peer.send(BIG_OK)
        await world.clock.turn(KEEPALIVE)
        assert client.ended == ""
        await world.clock.turn(BODY)
        assert client.ended == "cut"
        await settle()
        assert world.outcomes() == [(200, None)]


async def test_a_last_answer_that_is_taken_late_arrives_whole(world: World) -> None:
    client = await world.ask(request(b"/open/x", b"Connection: close"))
    client.stop_taking()
    world.app.peer.send(BIG_OK)
    await world.clock.turn(BODY - 1)
    client.take()
    await settle()
    assert answer(client).status == 200
    assert client.ended == "closed"


async def test_s75_reading_the_upstream_waits_for_the_client(world: World) -> None:
    client = await world.ask(GET)
    backend = world.app.peer
    client.stop_taking()
    backend.send(BIG_OK[:-10])
    assert not backend.is_read
    client.take()
    assert backend.is_read
    backend.send(BIG_OK[-10:])
    assert answer(client).status == 200


# Half-closed clients and those that leave.


async def test_a_client_that_says_goodbye_between_requests_is_let_go(world: World) -> None:
    for raw in (b"", NOWHERE, GET[:10]):
        client = await world.ask(raw) if raw else world.connect()
        client.send_eof()
        await settle()
        assert client.ended == "closed"
    assert len(world.log_lines()) == 1


async def test_s82_a_client_that_leaves_with_requests_waiting_leaves_once(world: World) -> None:
    client = await world.ask(GET * 3)
    client.leave()
    await settle()
    assert world.app.peer.ended == "cut"
    assert world.outcomes() == [(499, "client_gone")]
    assert world.app.attempts == 1


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_s82_a_client_that_says_goodbye_inside_of_its_answer_ends_it_at_once(
    world: World, version: bytes
) -> None:
    client = await world.ask(request(b"/open/x", version=version))
    client.stop_taking()
    world.app.peer.send(BIG_OK.replace(b"Content-Length: 100000", b"X: y"))
    await world.clock.turn(1)
    client.send_eof()
    await settle()
    assert world.outcomes() == [(200, "client_gone")]
    assert world.app.peer.ended == "cut"
    assert client.ended == ("cut" if version == b"1.0" else "")  # where no last chunk is missing, a reset shows it
    await world.clock.turn(BODY)
    assert client.ended == "cut"


async def test_s82_answers_from_before_a_goodbye_are_still_to_be_taken(world: World) -> None:
    client = await world.ask(GET)
    client.stop_taking()
    world.app.peer.send(OK)
    client.send(request(b"/open/x", version=b"1.0"))
    client.send_eof()
    await settle()
    assert world.app.peer.ended == "cut"
    assert world.outcomes() == [(200, None), (499, "client_gone")]
    assert client.ended == ""
    client.take()
    await settle()
    assert (answer(client).status, client.ended) == (200, "closed")


async def test_s82_answers_from_before_a_goodbye_are_not_kept_for_ever(world: World) -> None:
    client = await world.ask(GET)
    client.stop_taking()
    world.app.peer.send(OK)
    client.send(post(b"/open/x", b"half", length=10))
    client.send_eof()
    await world.clock.turn(BODY)
    assert client.ended == "cut"


async def test_s72_what_is_cut_is_reset_where_nothing_else_shows_it(world: World) -> None:
    """HTTP/1.0 without a length: a clean end would say that the answer is whole."""
    with socket.socket() as sock:
        client = world.connect(sock=sock)
        client.send(request(b"/open/x", version=b"1.0"))
        await settle()
        world.app.peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await world.clock.turn(BODY)  # a look at the pace, with a socket to ask
        world.app.peer.leave()
        await settle()
        assert client.ended == "cut"
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 0)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_s72_a_cut_that_a_length_shows_takes_nothing_along(world: World, version: bytes) -> None:
    client = await world.ask(request(b"/open/x", version=version))
    client.stop_taking()
    world.app.peer.send(BIG_OK[:-1])
    world.app.peer.leave()
    await settle()
    client.take()
    assert client.read().endswith(b"\r\n\r\n" + b"x" * 99_999)
    await settle()
    assert client.ended == "closed"
    assert world.outcomes() == [(200, "upstream_broken")]


async def test_a_client_that_leaves_in_the_moment_of_its_answer_has_got_it(world: World) -> None:
    client = await world.ask(GET)
    client.transport.abort()  # a fault of the network: the connection hears of it in the loop's next round
    world.app.peer.send(OK)
    await settle()
    assert client.received == b""
    assert world.app.peer.ended == ""
    assert world.outcomes() == [(200, None)]


async def test_a_pause_between_two_requests_stops_nothing(world: World) -> None:
    client = await world.ask(NOWHERE)
    client.read()
    protocol = client.transport.get_protocol()
    protocol.pause_writing()
    protocol.resume_writing()
    client.send(NOWHERE)
    assert answer(client).status == 404


async def test_a_connection_says_what_it_is_doing(world: World) -> None:
    connection = world.plane.new_connection()
    assert repr(connection) == "<ClientConnection unknown closed>"
    assert connection is not None
    world.plane.on_client_lost(connection)
    client = world.connect()
    protocol = client.transport.get_protocol()
    assert repr(protocol) == "<ClientConnection 192.0.2.1 idle>"
    client.send(GET)
    assert repr(protocol) == "<ClientConnection 192.0.2.1 busy>"
