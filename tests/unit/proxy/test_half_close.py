"""A client that sends nothing more: it is asked whether it waits, and one that waits gets its answer."""

import pytest

from gateway.http.replies import CONTINUE
from gateway.proxy.half_close import FIRST_PAUSE
from tests.unit.proxy.plane import World
from tests.unit.proxy.transports import settle
from tests.unit.proxy.wire import GET, HANDSHAKE, OK, answer, post, request

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"
GONE = [(499, "client_gone")]


@pytest.mark.parametrize("raw", [GET, post(b"/open/x", b"body"), GET * 2], ids=["get", "post", "pipelined"])
async def test_who_waits_gets_the_answer_and_an_end(world: World, raw: bytes) -> None:
    client = await world.ask(raw)
    client.send_eof()
    await settle()
    while not client.ended:
        world.app.peer.send(OK)
        await settle()
        answered = answer(client)
        assert (answered.status, answered.body, answered.closes) == (200, b"ok", bool(client.ended))
    assert client.ended == "closed"
    assert {status for status, _ in world.outcomes()} == {200}


async def test_who_waits_for_long_is_asked_now_and_then(world: World) -> None:
    client = await world.ask(GET)
    client.send_eof()
    for pause in (FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE):
        await settle()
        assert client.read() == b""
        await world.clock.turn(pause)
        assert client.read() == CONTINUE
    world.app.peer.send(OK)
    await settle()
    assert (answer(client).status, client.ended) == (200, "closed")
    await world.clock.turn(100 * FIRST_PAUSE)
    assert client.read() == b""


async def test_s82_who_has_left_is_found_out_by_the_question(world: World) -> None:
    client = await world.ask(GET)
    client.send_eof()
    await world.clock.turn(FIRST_PAUSE)
    assert not world.app.peer.ended
    client.leave()  # what its system answers
    await settle()
    assert world.app.peer.ended == "cut"
    assert world.outcomes() == GONE


@pytest.mark.parametrize(
    "raw",
    [request(b"/open/x", version=b"1.0"), post(b"/open/x", b"half", length=10), HANDSHAKE],
    ids=["http-1.0", "half-a-body", "handshake"],
)
async def test_s82_who_cannot_be_asked_or_needs_its_side_has_left(world: World, raw: bytes) -> None:
    client = await world.ask(raw)
    client.send_eof()
    await settle()
    assert (client.received, client.ended) == (b"", "closed")
    assert world.app.peer.ended == "cut"
    assert world.outcomes() == GONE


async def test_s82_over_tls_nobody_sends_nothing_more_and_stays(world: World) -> None:
    client = world.connect(is_tls=True)
    client.send(GET)
    await settle()
    client.send_eof()
    await settle()
    assert (client.received, client.ended) == (b"", "closed")
    assert world.app.peer.ended == "cut"


async def test_an_answer_that_overtakes_the_end_of_its_client_goes_on(world: World) -> None:
    client = await world.ask(GET)
    world.app.peer.send(HALF)
    client.send_eof()
    await world.clock.turn(10 * FIRST_PAUSE)
    world.app.peer.send(b"lf")
    await settle()
    assert (answer(client).body, client.ended) == (b"half", "closed")


async def test_s82_who_ends_later_inside_of_its_answer_has_left(world: World) -> None:
    client = await world.ask(GET)
    world.app.peer.send(HALF)
    await world.clock.turn(2 * FIRST_PAUSE)
    client.send_eof()
    await settle()
    assert world.app.peer.ended == "cut"
    assert world.outcomes() == [(200, "client_gone")]
