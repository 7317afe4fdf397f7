"""However a request ends, it ends once: clients that leave, upstreams that fail."""

import pytest

from gateway.types import Revocation, RevokedKind
from tests.unit.proxy.plane import World, messages
from tests.unit.proxy.transports import settle
from tests.unit.proxy.wire import CHUNKED, GET, OK, SWITCH, answer, bearer, fresh_bearer, post, request

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
