"""Request bodies: when they are read, how they pass, what bounds them, and who waits for whom."""

import pytest

from gateway.proxy.half_close import FIRST_PAUSE
from tests.unit.proxy.plane import World
from tests.unit.proxy.transports import HIGH_WATER, settle
from tests.unit.proxy.wire import CONTINUE, EXPECT, GET, OK, answer, chunked, fresh_bearer, post, request

# Request bodies.


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_body_passes_as_it_comes(world: World, is_known: bool) -> None:
    """`is_known`: the connection is there already; else the first piece waits for it."""
    if is_known:
        await world.warm_up()
    client = await world.ask(post(b"/open/x", b"he", length=5))
    assert world.forwarded().endswith(b"Content-Length: 5\r\n\r\nhe")
    client.send(b"ll")
    assert world.forwarded() == b"ll"
    client.send(b"o")
    assert world.forwarded() == b"o"
    world.app.peer.send(OK)
    assert answer(client).status == 200
    assert len(world.app.peers) == 1
    assert world.app.peer.ended == ""


async def test_a_chunked_body_is_cut_anew_and_without_its_trailers(world: World) -> None:
    client = await world.ask(chunked(b"/open/x", body=b"3;x=y\r\nhel"))
    assert world.forwarded().endswith(b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n")
    client.send(b"\r\n2\r\nlo\r\n")
    assert world.forwarded() == b"2\r\nlo\r\n"
    client.send(b"0\r\nX-User-Id: 1\r\n")
    assert world.forwarded() == b""
    client.send(b"\r\n")
    assert world.forwarded() == b"0\r\n\r\n"
    world.app.peer.send(OK)
    assert answer(client).status == 200


async def test_s80_a_body_is_not_read_before_admission(world: World) -> None:
    world.directory.may_answer.clear()
    client = await world.ask(post(b"/app/x", b"he", fresh_bearer(), length=5))
    assert not client.is_read
    client.send(b"llo")
    world.app.hold()
    world.directory.may_answer.set()
    await settle()
    assert (world.app.attempts, client.is_read) == (1, False)
    world.app.go_on()
    await settle()
    assert client.is_read
    assert world.forwarded().endswith(b"X-User-Id: 7\r\nContent-Length: 5\r\n\r\nhello")


async def test_what_tls_had_already_taken_off_the_wire_is_not_lost(world: World) -> None:
    """It comes although reading is paused."""
    world.app.hold()
    client = await world.ask(post(b"/open/x", b"h", length=5))
    assert not client.is_read
    client.transport.take(b"ell")
    world.app.go_on()
    await settle()
    assert world.forwarded().endswith(b"\r\n\r\nhell")
    client.send(b"o")
    world.app.peer.send(OK)
    assert answer(client).status == 200


async def test_s13_a_body_that_breaks_its_framing_never_ends_properly(world: World) -> None:
    client = await world.ask(chunked(b"/open/x", body=b"3\r\nhel\r\n"))
    world.forwarded()
    client.send(b"zz\r\n")
    assert answer(client).code == "bad_framing"
    await settle()
    assert (world.forwarded(), world.app.peer.ended) == (b"", "cut")
    assert client.has_eof


@pytest.mark.parametrize("size", [10, 11])
async def test_a_body_has_a_bound(world: World, size: int) -> None:
    body = b"x" * size
    client = await world.ask(post(b"/small/x", body))
    if size == 10:
        world.app.peer.send(OK)
    found = answer(client)
    assert (found.status, found.closes) == ((200, False) if size == 10 else (413, False))
    assert len(world.app.peers) == (1 if size == 10 else 0)


async def test_an_announced_body_over_its_bound_is_refused_before_it_comes(world: World) -> None:
    client = await world.ask(post(b"/small/x", b"", EXPECT, length=11))
    found = answer(client)
    assert (found.status, found.closes) == (413, True)
    assert world.app.attempts == 0


async def test_a_chunked_body_over_its_bound_is_refused_where_it_exceeds_it(world: World) -> None:
    client = await world.ask(chunked(b"/small/x", body=b"6\r\nhello \r\n"))
    client.send(b"5\r\nworld\r\n")
    await settle()
    assert answer(client).code == "body_too_large"
    assert not world.forwarded().endswith(b"world\r\n")
    assert world.app.peer.ended == "cut"


async def test_s17_a_client_that_waits_for_it_is_told_to_continue_when_it_has_been_let_in(world: World) -> None:
    world.app.hold()
    client = await world.ask(post(b"/open/x", b"", EXPECT, length=5))
    assert client.received == b""
    world.app.go_on()
    await settle()
    assert client.read() == CONTINUE
    assert b"xpect" not in world.forwarded()
    client.send(b"hello")
    assert world.forwarded() == b"hello"
    world.app.peer.send(CONTINUE + OK)  # an answer to a question that was not put
    assert answer(client).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        post(b"/open/x", b"he", EXPECT, length=5),  # it does not wait
        post(b"/open/x", b"hello", EXPECT),
        post(b"/open/x", b"", EXPECT),
        request(b"/open/x", EXPECT),
        post(b"/open/x", b"", EXPECT, length=5).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
async def test_nobody_else_is_told_to_continue(world: World, raw: bytes) -> None:
    client = await world.ask(raw)
    assert world.forwarded()
    assert client.received == b""


async def test_s17_who_is_refused_is_not_told_to_continue(world: World) -> None:
    client = await world.ask(post(b"/app/x", b"", EXPECT, length=5))
    assert (found := answer(client)).status == 401
    assert found.closes


async def test_an_early_answer_passes_and_ends_both_connections(world: World) -> None:
    client = await world.ask(post(b"/open/x", b"he", length=500))
    world.app.peer.send(OK[:-1])
    client.send(b"llo")
    assert world.forwarded().endswith(b"hello")  # it may still want it
    world.app.peer.send(OK[-1:])
    assert answer(client).closes
    await settle()
    assert world.app.peer.ended == "cut"
    assert client.has_eof
    client.send(b"more", GET)
    assert client.received == b""
    assert world.outcomes() == [(200, None)]


async def test_an_early_answer_to_a_body_that_comes_whole_in_time(world: World) -> None:
    client = await world.ask(post(b"/open/x", b"he", length=5))
    world.app.peer.send(OK[:-1])
    client.send(b"llo")
    world.app.peer.send(OK[-1:])
    await settle()
    assert answer(client).closes  # that had been said already
    assert (client.ended, world.app.peer.ended) == ("closed", "")


# Backpressure (checklist 75).


async def test_s75_reading_the_client_waits_for_the_upstream(world: World) -> None:
    client = await world.ask(post(b"/open/x", b"", length=200_000))
    world.app.peer.stop_taking()
    client.send(b"x" * 50_000)
    assert client.is_read
    client.send(b"x" * 50_000)
    assert not client.is_read
    client.send(b"x" * 100_000)
    world.app.peer.take()
    await settle()
    assert client.is_read
    assert world.forwarded().count(b"x") >= 200_000


async def test_s75_reading_waits_also_when_the_first_piece_was_too_much(world: World) -> None:
    await world.warm_up()
    world.app.peer.stop_taking()
    client = world.connect()
    client.send(post(b"/open/x", b"x" * (HIGH_WATER + 1), length=1_000_000))
    assert not client.is_read
    world.app.peer.take()
    assert client.is_read


async def test_s81_a_request_that_waits_behind_a_body_is_not_read_on_when_that_has_been_taken(world: World) -> None:
    await world.warm_up()
    world.app.peer.stop_taking()
    client = world.connect()
    client.send(post(b"/open/x", b"x" * (HIGH_WATER + 1)) + GET)
    assert not client.is_read
    world.app.peer.take()
    assert not client.is_read
    world.app.peer.send(OK)
    assert client.is_read


async def test_s75_a_full_upstream_does_not_stop_who_has_nothing_more_to_send(world: World) -> None:
    await world.warm_up()
    world.app.peer.stop_taking()
    client = world.connect()
    client.send(post(b"/open/x", b"x" * (HIGH_WATER + 1)))
    assert client.is_read  # or nobody would notice that it leaves
    client.leave()
    await settle()
    assert world.app.peer.ended == "cut"


async def test_s75_a_client_that_is_full_before_its_answer_begins_is_waited_for(world: World) -> None:
    """Earlier answers have all but filled it; the question whether it waits for the next one is too much."""
    client = await world.answered(GET, OK)
    client.stop_taking()
    size = HIGH_WATER - len(client.read()) - 2  # four more digits of the length, and no `ok`
    client.send(GET)
    world.app.peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    assert len(client.transport.held) == HIGH_WATER
    world.directory.may_answer.clear()
    client.send(request(b"/app/x", fresh_bearer()))
    client.send_eof()
    await world.clock.turn(FIRST_PAUSE)
    world.directory.may_answer.set()
    await settle()
    world.forwarded()
    assert not world.app.peer.is_read
    world.app.peer.send(OK)
    client.take()
    await settle()
    assert client.read().endswith(b"\r\n\r\nok")
    assert client.ended == "closed"
