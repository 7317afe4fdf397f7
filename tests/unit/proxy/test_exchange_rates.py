"""A route with a rate limit, at the place in a request's way where it counts."""

from tests.unit.proxy.plane import World
from tests.unit.proxy.transports import settle
from tests.unit.proxy.wire import OK, answer, bearer, fresh_bearer, post, request

LIMITED = b"/limited/x"  # two at once, one a minute


async def asked(world: World, raw: bytes) -> int:
    """The status; the backend answers what it gets."""
    client = await world.ask(raw)
    for peer in world.app.peers:
        if peer.read():
            peer.send(OK)
    await settle()
    return answer(client).status


async def test_s52_a_request_too_many_is_429_and_says_when(world: World) -> None:
    await world.warm_up()
    assert [await asked(world, request(LIMITED, bearer())) for _ in range(2)] == [200, 200]
    client = await world.ask(request(LIMITED, bearer()))
    refused = answer(client)
    assert refused.status == 429
    assert refused.fields["retry-after"] == "60"
    assert refused.body == b'{"detail":"Request was throttled. Expected available in 60 seconds."}'
    assert world.forwarded() == b""
    assert world.outcomes()[-1] == (429, "throttled")
    # Its connection is good for the next request, and a minute later so is the route.
    await world.clock.turn(60)
    client.send(request(LIMITED, bearer()))
    await settle()
    world.app.peer.send(OK)
    await settle()
    assert answer(client).status == 200


async def test_who_may_not_pass_takes_nothing_of_his_neighbours(world: World) -> None:
    for _ in range(5):
        assert await asked(world, request(LIMITED)) == 401
    assert [await asked(world, request(LIMITED, bearer())) for _ in range(3)] == [200, 200, 429]


async def test_a_user_who_had_to_be_looked_up_is_counted_too(world: World) -> None:
    assert [await asked(world, request(LIMITED, fresh_bearer())) for _ in range(4)] == [200, 200, 429, 429]


async def test_a_refused_body_is_not_waited_for(world: World) -> None:
    for _ in range(2):
        await asked(world, request(LIMITED, bearer()))
    client = await world.ask(post(LIMITED, b"he", bearer(), length=5))
    refused = answer(client)
    assert (refused.status, refused.fields["connection"]) == (429, "close")
