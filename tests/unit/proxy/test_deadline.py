"""The time that a client may take: for a head, between two requests, for its share of a body (checklist 78)."""

import gc

from gateway.proxy.client_connection import ClientConnection
from tests.unit.proxy.plane import BODY, HEAD, KEEPALIVE, MIN_RATE, READ, SEND, World
from tests.unit.proxy.transports import HIGH_WATER, Peer, settle
from tests.unit.proxy.wire import BIG_OK, GET, NOWHERE, OK, answer, answers, post


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
    client = await upload(world, MIN_RATE, BODY * 5)
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
    client = await download(world, MIN_RATE, BODY * 5)
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


async def test_s78_a_backend_that_takes_nothing_is_no_slow_client(world: World) -> None:
    client = await world.ask(post(b"/open/x", b"", length=1_000_000))
    world.app.peer.stop_taking()
    client.send(b"x" * (HIGH_WATER - 2000))
    await world.clock.turn(BODY - 1)
    client.send(b"x")
    await world.clock.turn(1)  # a window of the client's begins
    client.send(b"x" * 2000)
    assert not client.is_read
    await world.clock.turn(SEND - 1)
    world.app.peer.take()
    await world.clock.turn(BODY - 1)
    assert (client.received, client.is_read) == (b"", True)
    await world.clock.turn(1)
    assert answer(client).code == "body_timeout"


async def test_a_connection_that_is_lost_leaves_nothing_to_the_collector(world: World) -> None:
    client = await world.answered(GET, OK)
    connection = client.transport.get_protocol()
    assert isinstance(connection, ClientConnection)
    assert connection in gc.get_referents(connection.deadline)
    client.leave()
    await settle()
    assert connection not in gc.get_referents(connection.deadline)
