"""Client connections: requests cut out of whatever bytes come, one after the other, until one side ends it."""

import logging
import socket
import struct
from collections.abc import Callable

import pytest

from gateway.http.cors import CorsPolicy
from tests.unit.http.pieces import cuts
from tests.unit.proxy.plane import (
    BODY,
    CORS_OPTIONS,
    HEAD,
    KEEPALIVE,
    LINGER,
    MAX_FIELDS,
    MAX_HEAD,
    MIN_RATE,
    OK,
    READ,
    Defect,
    World,
    answer,
    answers,
    bearer,
    messages,
    post,
    request,
    running,
)
from tests.unit.proxy.transports import Peer, settle

GET = request(b"/open/x")
NOWHERE = request(b"/nowhere")
ID = b"X-Request-Id: 0123456789"  # so that what is forwarded is the same each time
BIG_OK = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
)  # more than is held before it is too much


# Cutting requests.


async def test_a_request_is_the_same_wherever_its_bytes_are_cut(world: World) -> None:
    await world.warm_up()
    raw = post(b"/open/x?y=1", b"hello", ID, b"X-A: b")
    head = (
        b"POST /open/x?y=1 HTTP/1.1\r\nHost: a.example\r\nX-A: b\r\nX-Forwarded-For: 192.0.2.1\r\n"
        b"X-Forwarded-Proto: http\r\nX-Request-Id: 0123456789\r\nX-Forwarded-Host: a.example\r\n"
    )
    for pieces in cuts(raw):
        client = world.connect()
        client.send(*pieces)
        assert world.forwarded() == head + b"Content-Length: 5\r\n\r\nhello"
        world.app.peer.send(OK)
        assert answer(client).body == b"ok"
    assert len(world.app.peers) == 1
    assert set(world.outcomes()) == {(200, None)}


async def test_requests_behind_each_other_are_the_same_wherever_their_bytes_are_cut(world: World) -> None:
    await world.warm_up()
    chunked = request(b"/open/2", b"Transfer-Encoding: chunked", method=b"POST", body=b"3\r\nabc\r\n0\r\n\r\n")
    raw = post(b"/open/1", b"hello") + chunked + request(b"/open/3")
    for pieces in cuts(raw):
        client = world.connect()
        client.send(*pieces)
        for number in (b"1", b"2", b"3"):
            await settle()
            assert world.forwarded().split(b" ")[1] == b"/open/" + number
            assert client.read() == b""  # in order, one after the other
            world.app.peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + number)
            assert answer(client).body == number
        client.leave()
    assert {line["path"] for line in world.log_lines()} == {"/open/1", "/open/2", "/open/3"}


async def test_s81_what_waits_behind_a_request_is_not_read_on(world: World) -> None:
    await world.warm_up()
    client = world.connect()
    client.send(GET)
    assert client.is_read  # or nobody would notice that it leaves
    client.send(request(b"/open/second"))
    assert not client.is_read
    world.forwarded()
    world.app.peer.send(OK)
    assert b"/open/second" in world.forwarded()
    assert client.is_read
    world.app.peer.send(OK)
    assert [found.status for found in answers(client.read())] == [200, 200]


async def test_s81_what_waits_in_the_same_packet_is_not_read_on(world: World) -> None:
    await world.warm_up()
    client = world.connect()
    client.send(GET + GET)
    assert not client.is_read
    world.app.peer.send(OK)
    assert client.is_read
    world.app.peer.send(OK)
    assert client.is_read


async def test_s81_pipelined_refusals_are_a_loop_and_no_recursion(world: World) -> None:
    await world.warm_up()
    for before in (b"", GET):
        client = world.connect()
        client.send(before + NOWHERE * 3000 + GET)
        statuses = [200] * bool(before) + [404] * 3000 + [200]
        while len(world.app.peer.read()):
            world.app.peer.send(OK)
        assert [found.status for found in answers(client.read())] == statuses
        assert len(world.log_lines()) == len(statuses)


async def test_a_begun_head_behind_a_request_waits_for_its_rest(world: World) -> None:
    await world.warm_up()
    client = world.connect()
    client.send(GET + NOWHERE[:10])
    world.app.peer.send(OK)
    await settle()
    client.send(NOWHERE[10:])
    assert [found.status for found in answers(client.read())] == [200, 404]


async def test_one_empty_line_before_a_request_is_ignored(world: World) -> None:
    """RFC 9112 §2.2."""
    for pieces in cuts(b"\r\n" + NOWHERE + b"\r\n" + NOWHERE):
        client = world.connect()
        client.send(*pieces)
        assert [found.status for found in answers(client.read())] == [404, 404]


@pytest.mark.parametrize("raw", [b"\r\n\r\n", b"\r\n\r\n" + NOWHERE, b"\rGET", b"\r\n \r\n"])
async def test_a_stream_of_empty_lines_is_no_request(world: World, raw: bytes) -> None:
    for pieces in cuts(raw):
        client = world.connect()
        client.send(*pieces)
        assert (found := answer(client)).status == 400
        assert found.closes
        assert world.outcomes() == [(400, "bad_request")]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",  # TLS on a plain port
        b" GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\nHost: x\n",
        b"GET / HTTP/1.1\r\nHost: x\n",
    ],
)
async def test_s12_what_cannot_become_a_request_is_refused_before_its_end(world: World, raw: bytes) -> None:
    for pieces in cuts(raw):
        client = world.connect()
        client.send(*pieces)
        assert answer(client).code == "bad_request"
        assert client.has_eof


async def test_s79_a_head_may_be_as_large_as_the_bound_and_no_larger(world: World) -> None:
    fill = MAX_HEAD - len(request(b"/nowhere", b"X: "))
    for excess, status in ((0, 404), (1, 431)):
        raw = request(b"/nowhere", b"X: " + b"x" * (fill + excess))
        for pieces in ([raw], [raw[:-3], raw[-3:]], [raw[:10], raw[10:]]):
            client = world.connect()
            client.send(*pieces)
            assert answer(client).status == status


async def test_s79_a_head_that_grows_too_large_is_not_waited_for(world: World) -> None:
    client = world.connect()
    client.send(b"GET / HTTP/1.1\r\nX: ", b"x" * MAX_HEAD)
    assert answer(client).code == "head_too_large"
    assert world.outcomes() == [(431, "head_too_large")]


async def test_s79_a_head_has_no_more_fields_than_the_bound(world: World) -> None:
    for count, status in ((MAX_FIELDS - 1, 404), (MAX_FIELDS, 431)):
        client = world.connect()
        client.send(request(b"/nowhere", *[b"X: y"] * count))
        assert answer(client).status == status


async def test_a_refused_head_is_logged_without_a_request(world: World) -> None:
    client = world.connect("198.51.100.7")
    client.send(b"GET / HTTP/9.9\r\nHost: a\r\n\r\n")
    assert answer(client).status == 505
    (line,) = world.log_lines()
    assert (line["client"], line["method"], line["path"], line["user"]) == ("198.51.100.7", "", "", None)


# Time (checklist 78).


async def test_s78_a_connection_on_which_nothing_comes_is_closed(world: World) -> None:
    client = world.connect()
    await world.clock.turn(HEAD - 1)
    assert client.ended == ""
    await world.clock.turn(1)
    assert (client.received, client.ended) == (b"", "closed")
    assert world.log_lines() == []


async def test_s78_the_deadline_is_for_the_whole_head(world: World) -> None:
    client = world.connect()
    await world.clock.turn(HEAD - 1)
    for byte in GET[:HEAD]:
        assert client.received == b""
        client.send(bytes([byte]))
        await world.clock.turn(1)
    assert answer(client).code == "head_timeout"
    assert world.outcomes() == [(408, "head_timeout")]
    assert client.has_eof


async def test_a_kept_connection_is_closed_after_its_time(world: World) -> None:
    client = await world.ask(NOWHERE)
    await world.clock.turn(KEEPALIVE - 1)
    client.send(NOWHERE)
    await world.clock.turn(KEEPALIVE - 1)
    assert [found.status for found in answers(client.read())] == [404, 404]
    assert client.ended == ""
    await world.clock.turn(1)
    assert (client.received, client.ended) == (b"", "closed")


async def test_s78_the_next_head_has_its_own_deadline(world: World) -> None:
    client = await world.ask(NOWHERE)
    client.read()
    await world.clock.turn(KEEPALIVE - 1)
    client.send(GET[:5])
    await world.clock.turn(HEAD - 1)
    assert client.received == b""
    await world.clock.turn(1)
    assert answer(client).status == 408


async def test_an_earlier_deadline_comes_before_a_later_one(world: World) -> None:
    client = await world.ask(NOWHERE)
    client.read()
    client.send(GET[:5])
    await world.clock.turn(HEAD)
    assert answer(client).status == 408


async def upload(world: World, rate: int, seconds: int) -> Peer:
    """A client that sends a body at this rate, as long as it is let."""
    client = await world.ask(post(b"/open/x", b"", length=1_000_000))
    for _ in range(seconds):
        client.send(b"x" * rate)
        await world.clock.turn(1)
    return client


async def test_s78_a_body_that_keeps_the_pace_may_take_its_time(world: World) -> None:
    client = await upload(world, MIN_RATE, BODY * 10)
    assert client.received == b""
    assert client.is_read


async def test_s78_a_body_that_drips_is_refused(world: World) -> None:
    client = await upload(world, MIN_RATE - 1, BODY * 3)
    assert answer(client).code == "body_timeout"
    assert world.outcomes() == [(408, "body_timeout")]
    assert world.app.peer.ended == "cut"


async def download(world: World, rate: int, seconds: int) -> Peer:
    """A client that takes an answer at this rate."""
    client = await world.ask(GET)
    client.stop_taking()
    world.app.peer.send(BIG_OK[:-1])
    for _ in range(seconds):
        client.transport.held = client.transport.held[rate:]
        await world.clock.turn(1)
    return client


async def test_s78_an_answer_that_is_taken_at_the_pace_may_take_its_time(world: World) -> None:
    client = await download(world, MIN_RATE, BODY * 10)
    assert client.ended == ""


async def test_s78_an_answer_that_is_taken_too_slowly_is_cut(world: World) -> None:
    client = await download(world, MIN_RATE - 1, BODY * 3)
    assert client.ended == "cut"
    assert world.outcomes() == [(200, "body_timeout")]
    assert world.app.peer.ended == "cut"


async def test_s78_a_slow_backend_is_no_slow_client(world: World) -> None:
    client = await world.ask(GET)
    client.stop_taking()
    world.app.peer.send(BIG_OK[:-1])
    await world.clock.turn(BODY - 1)
    client.take()
    # From here on the backend is waited for, then the client again, which has a window of its own.
    await world.clock.turn(READ - 1)
    assert client.ended == ""
    world.app.peer.send(BIG_OK[-1:])
    assert answer(client).status == 200


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


# Defects (checklist 84).


async def defective(world: World, caplog: pytest.LogCaptureFixture, raw: bytes) -> Peer:
    client = await world.ask(raw)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.ERROR, "request_failed")]
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].exc_info[0] is Defect
    return client


async def test_s84_a_defect_is_logged_and_a_500(world: World, caplog: pytest.LogCaptureFixture) -> None:
    client = await defective(world, caplog, request(b"/defect"))
    found = answer(client)
    assert (found.status, found.code, found.closes) == (500, "internal_error", True)
    assert client.has_eof
    assert world.outcomes() == [(500, "internal_error")]


async def test_s84_a_defect_on_the_way_of_the_next_request_leaves_the_one_before_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    client = await world.ask(GET + request(b"/defect") + GET)
    world.app.peer.send(OK)
    assert [found.status for found in answers(client.read())] == [200, 500]
    assert world.outcomes() == [(200, None), (500, "internal_error")]
    assert messages(caplog) == ["request_failed"]
    assert world.app.peer.ended == ""  # its upstream connection least of all


async def test_s84_a_defect_behind_a_look_up_is_a_500_and_no_second_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    client = await world.ask(request(b"/app/x", bearer("404")) + request(b"/defect"))
    assert [found.status for found in answers(client.read())] == [401, 500]
    assert world.outcomes() == [(401, "user_not_found"), (500, "internal_error")]
    assert messages(caplog) == ["request_failed"]


async def test_s84_a_defect_inside_of_a_body_ends_the_request(world: World, caplog: pytest.LogCaptureFixture) -> None:
    client = await world.ask(post(b"/open/x", b"", length=10))
    world.app.peer.transport.write_eof()  # writing behind it raises
    client.send(b"hello")
    await settle()
    assert answer(client).code == "internal_error"
    assert world.outcomes() == [(500, "internal_error")]
    assert world.app.peer.ended == "cut"
    assert messages(caplog) == ["request_failed"]


class Speechless(CorsPolicy):
    """Cannot even refuse."""

    def fields(self, origin: bytes | None) -> bytes:
        raise Defect


async def test_s84_a_defect_in_a_refusal_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with running(cors=Speechless(**CORS_OPTIONS)) as world:
        client = await world.ask(NOWHERE)
        assert (client.received, client.ended) == (b"", "cut")
        assert messages(caplog) == ["request_failed"]
        assert world.outcomes() == [(404, "internal_error")]
