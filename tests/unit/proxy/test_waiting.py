"""Waiting: for a user, for an upstream, for whoever must move, and not for ever."""

import pytest

from tests.unit.proxy.plane import BODY, CONNECT, OPENING, READ, RESPONSE, SEND, World, messages
from tests.unit.proxy.transports import HIGH_WATER, settle
from tests.unit.proxy.wire import ALICE, BOB, GET, HINTS, OK, answer, fresh_bearer, post, request

# Before it is sent.


async def test_a_user_is_looked_up_when_its_token_is_first_seen(world: World) -> None:
    line = fresh_bearer()
    for _ in range(2):
        client = await world.answered(request(b"/app/x", line), OK)
        assert answer(client).status == 200
    assert world.directory.asked == [ALICE]
    assert [found["user_id"] for found in world.log_lines()] == [ALICE, ALICE]


@pytest.mark.parametrize(("user_id", "code"), [("404", "user_not_found"), (BOB, "user_inactive")])
async def test_a_user_who_is_none_does_not_pass(world: World, user_id: str, code: str) -> None:
    client = await world.ask(request(b"/app/x", fresh_bearer(user_id)))
    found = answer(client)
    assert (found.status, found.code, found.closes) == (401, code, False)
    assert world.app.attempts == 0
    assert world.outcomes() == [(401, code)]


async def test_when_nobody_can_tell_it_is_a_503_and_no_pass(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.directory.go_away()
    client = await world.ask(request(b"/app/x", fresh_bearer()))
    assert (found := answer(client)).status == 503
    assert found.fields["retry-after"] == "1"
    assert world.app.attempts == 0
    assert messages(caplog) == ["user_lookup_failed error=The file is busy."]
    assert world.outcomes() == [(503, "store_unavailable")]


async def test_when_nobody_answers_it_is_a_503_in_time(world: World) -> None:
    world.directory.may_answer.clear()
    client = await world.ask(request(b"/app/x", fresh_bearer()))
    await world.clock.turn(OPENING - 1)
    assert client.received == b""
    await world.clock.turn(1)
    assert answer(client).code == "store_unavailable"
    world.directory.may_answer.set()
    await settle()
    assert client.received == b""
    assert world.app.attempts == 0


async def test_s84_a_defect_of_the_directory_is_a_500(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.directory.error = RuntimeError("no such table")
    client = await world.ask(request(b"/app/x", fresh_bearer()))
    assert answer(client).code == "internal_error"
    assert messages(caplog) == ["user_lookup_failed"]


async def test_s84_a_defect_of_a_connector_is_a_500(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.app.error = RuntimeError("no such address family")  # type: ignore[assignment]
    client = await world.ask(GET)
    assert answer(client).code == "internal_error"
    assert messages(caplog) == ["upstream_connect_failed"]


# For either side (checklist 78, 82).


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
