"""What goes to another server when one has failed it, and what does not (checklist 77)."""

import pytest

from tests.unit.proxy.plane import World, running
from tests.unit.proxy.transports import Peer, settle
from tests.unit.proxy.wire import GET, ID, OK, answer, post, request


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
