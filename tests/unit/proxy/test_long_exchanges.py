"""What may outlive its token is asked for it again: expiry, revocation, the user; and counted by user."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.auth.policy import RoutePolicy
from gateway.auth.revocation import RevocationList
from gateway.errors import Reason, Refused, StoreUnavailable
from gateway.http.upgrades import HandshakeReader
from gateway.proxy import long_exchanges
from gateway.proxy.long_exchanges import LongExchanges
from gateway.proxy.plan import RoutePlan, WebSocketPlan
from gateway.sqlite_file import SqliteFile
from gateway.types import Access, Principal, Revocation, RevokedKind, User
from gateway.users.sqlite import SqliteUserDirectory
from tests.unit.metering import new_meters

NOW = 1_800_000_000


class Directory(SqliteUserDirectory):
    """A directory that can go away, and that says who was asked for."""

    is_away = False
    has_defect = False

    def __init__(self, path: Path) -> None:
        super().__init__(SqliteFile.open(path), login_attribute="username")
        self.asked: list[str] = []

    async def find_by_id(self, user_id: str) -> User | None:
        self.asked.append(user_id)
        if self.is_away:
            raise StoreUnavailable("The file is busy.")
        if self.has_defect:
            raise LookupError("a defect")
        return await super().find_by_id(user_id)


def websocket_plan(max_per_user: int = 2) -> WebSocketPlan:
    handshakes = HandshakeReader(allow_origins=(), token_query=None, scheme="Bearer")
    return WebSocketPlan(handshakes=handshakes, idle_timeout=60, max_per_user=max_per_user, max_message_bytes=1000)


def route_plan(*, stateless: bool = False, outlives: bool = False) -> RoutePlan:
    policy = RoutePolicy(access=Access.REQUIRED, is_stateless=stateless)
    # No request ever asks for an upstream here.
    return RoutePlan(
        name="/",
        policy=policy,
        pool=None,  # type: ignore[arg-type]
        meter=new_meters().route("/"),
        websocket=websocket_plan(),
        outlives_token=outlives,
    )


class Stream:
    """An exchange, as far as it is known here."""

    def __init__(
        self, plan: RoutePlan, user_id: str | None = "1", *, expires_at: float = NOW + 60, token_id: str = "t"
    ):
        self.started_at = asyncio.get_running_loop().time()
        self.plan = plan
        self.principal = None if user_id is None else principal(user_id, expires_at, token_id)
        self.ended: list[Reason] = []
        self.request: Any = SimpleNamespace(tokens=None)

    def end_early(self, reason: Reason) -> None:
        self.ended.append(reason)


def principal(user_id: str, expires_at: float, token_id: str) -> Principal:
    return Principal(
        user_id=user_id,
        token_id=token_id,
        session_id="s" + token_id,
        issued_at=NOW,
        expires_at=expires_at,
        roles=frozenset(),
        identity=b"",
    )


class World:
    def __init__(self, path: Path) -> None:
        self.now = float(NOW)
        self.directory = Directory(path)
        self.revocations = RevocationList()
        self.exchanges = LongExchanges(
            revocations=self.revocations,
            directory=self.directory,
            clock=lambda: self.now,
            loop=asyncio.get_running_loop(),
        )

    async def add_user(self, name: str) -> str:
        return (await self.directory.add(username=name, email="", password_hash="x", roles=())).id


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0.005)


async def sweeps() -> None:
    """Time for several of them."""
    await asyncio.sleep(0.05)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(long_exchanges, "_SWEEP_SECONDS", 0.01)
    world = World(tmp_path / "users.sqlite3")
    await world.directory.prepare()
    yield world
    world.exchanges.close()
    await world.directory.close()


async def test_s71_an_exchange_ends_when_its_token_does(world: World) -> None:
    short, long = Stream(route_plan(), expires_at=NOW + 10), Stream(route_plan(), expires_at=NOW + 20)
    world.exchanges.watch(short)
    world.exchanges.watch(long)
    await sweeps()
    assert short.ended == []
    world.now = NOW + 10
    await until(lambda: bool(short.ended))
    assert (short.ended, long.ended) == ([Reason.TOKEN_EXPIRED], [])


@pytest.mark.parametrize(("kind", "revoked_id"), [(RevokedKind.TOKEN, "a"), (RevokedKind.SESSION, "sa")])
async def test_s71_an_exchange_ends_when_its_token_or_session_is_revoked(
    world: World, kind: RevokedKind, revoked_id: str
) -> None:
    revoked, other = Stream(route_plan(), token_id="a"), Stream(route_plan(), token_id="b")
    world.exchanges.watch(revoked)
    world.exchanges.watch(other)
    world.revocations.add(Revocation(kind=kind, id=revoked_id, expires_at=NOW + 60))
    await until(lambda: bool(revoked.ended))
    await sweeps()
    assert (revoked.ended, other.ended) == ([Reason.TOKEN_REVOKED], [])


async def test_s71_what_is_not_to_end_is_not_watched(world: World) -> None:
    world.exchanges.watch(Stream(route_plan(), user_id=None))
    world.exchanges.watch(Stream(route_plan(outlives=True)))
    assert not world.exchanges.watched


async def test_s71_only_users_that_changed_are_looked_up(world: World) -> None:
    alice, bob = [await world.add_user(name) for name in ("alice", "bob")]
    streams = {user: Stream(route_plan(), user) for user in (alice, bob)}
    for stream in streams.values():
        world.exchanges.watch(stream)
    await world.directory.set_active("bob", is_active=False)
    world.exchanges.on_users_changed({bob})
    await until(lambda: bool(streams[bob].ended))
    assert streams[bob].ended == [Reason.USER_INACTIVE]
    assert streams[alice].ended == []
    assert world.directory.asked == [bob]


async def test_s71_any_user_may_have_changed(world: World) -> None:
    alice = await world.add_user("alice")
    known, gone = Stream(route_plan(), alice), Stream(route_plan(), "999")
    for stream in (known, gone):
        world.exchanges.watch(stream)
    world.exchanges.on_users_changed(None)
    await until(lambda: bool(gone.ended))
    assert gone.ended == [Reason.USER_NOT_FOUND]
    assert known.ended == []


async def test_s71_who_was_admitted_before_a_change_and_comes_after_it_is_looked_up(world: World) -> None:
    """The backend took its time to answer the handshake; meanwhile the user was disabled, and nobody was watched yet."""
    late = Stream(route_plan(), "999")
    world.exchanges.on_users_changed({"999"})
    world.exchanges.watch(late)
    await until(lambda: bool(late.ended))
    later = Stream(route_plan(), "998")
    world.exchanges.watch(later)
    await sweeps()
    assert later.ended == []


async def test_stateless_routes_ask_for_no_user(world: World) -> None:
    stream, other = Stream(route_plan(stateless=True), "999"), Stream(route_plan(), "999")
    world.exchanges.watch(stream)
    world.exchanges.watch(other)
    world.exchanges.on_users_changed(None)
    await until(lambda: bool(other.ended))
    assert stream.ended == []


async def test_while_the_store_is_away_nobody_is_ended_and_nobody_forgotten(world: World) -> None:
    gone = Stream(route_plan(), "999")
    world.exchanges.watch(gone)
    world.directory.is_away = True
    world.exchanges.on_users_changed({"999"})
    await until(lambda: len(world.directory.asked) > 1)
    assert gone.ended == []
    world.directory.is_away = False
    await until(lambda: bool(gone.ended))


async def test_s71_what_nobody_foresaw_saves_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    gone = Stream(route_plan(), "999")
    world.exchanges.watch(gone)
    world.directory.has_defect = True
    world.exchanges.on_users_changed({"999"})
    await until(lambda: len(world.directory.asked) > 1)
    assert "LookupError: a defect" in caplog.text
    world.directory.has_defect = False
    await until(lambda: bool(gone.ended))


async def test_what_is_over_is_forgotten(world: World) -> None:
    stream = Stream(route_plan(), expires_at=NOW)
    world.exchanges.watch(stream)
    world.exchanges.discard(stream)
    world.exchanges.discard(stream)
    await sweeps()
    assert stream.ended == []
    assert repr(world.exchanges) == "<LongExchanges watched=0 tunnels=0>"


async def test_tunnels_are_counted_by_user_and_route(world: World) -> None:
    plan = route_plan()
    assert plan.websocket is not None
    tunnels = [Stream(plan) for _ in range(2)]
    for tunnel in tunnels:
        world.exchanges.require_room(plan.websocket, tunnel.principal)
        world.exchanges.open_tunnel(tunnel)
    with pytest.raises(Refused) as caught:
        world.exchanges.require_room(plan.websocket, tunnels[0].principal)
    assert caught.value.reason is Reason.TOO_MANY_WEBSOCKETS
    world.exchanges.require_room(plan.websocket, principal("2", NOW, "t"))
    world.exchanges.require_room(plan.websocket, None)
    world.exchanges.require_room(websocket_plan(), tunnels[0].principal)
    for tunnel in tunnels:
        world.exchanges.discard(tunnel)
    world.exchanges.require_room(plan.websocket, tunnels[0].principal)
    assert world.exchanges._counts == {}  # strangers do not make it grow (checklist 83)


async def test_a_stop_ends_tunnels_and_leaves_streams(world: World) -> None:
    tunnel, anonymous, stream = Stream(route_plan()), Stream(route_plan(), None), Stream(route_plan())
    world.exchanges.open_tunnel(tunnel)
    world.exchanges.open_tunnel(anonymous)
    world.exchanges.watch(stream)
    world.exchanges.end_tunnels()
    assert tunnel.ended == anonymous.ended == [Reason.STOPPING]
    assert stream.ended == []


async def test_who_is_none_of_the_directorys_users_is_not_looked_up(world: World) -> None:
    """A user of another issuer, with the id of one of ours that is gone."""
    theirs, ours = Stream(route_plan(), "99"), Stream(route_plan(), "99")
    assert theirs.principal is not None
    theirs.principal.is_local = False
    for exchange in (theirs, ours):
        world.exchanges.watch(exchange)
    world.exchanges.on_users_changed({"99"})
    await until(lambda: ours.ended == [Reason.USER_NOT_FOUND])
    await sweeps()
    assert theirs.ended == []


# Other keys


class Recognising:
    """Knows the tokens that stand in it; the others are refused for `reason`, or nobody's."""

    def __init__(self, *good: bytes, reason: Reason | None = Reason.TOKEN_INVALID) -> None:
        self._good = good
        self._reason = reason

    def __call__(self, policy: RoutePolicy, tokens: list[bytes] | None, now: float) -> object | None:
        assert now == NOW
        if tokens is not None and tokens[0] in self._good:
            return policy
        if self._reason is None:
            return None
        raise Refused(self._reason)


def with_token(token: bytes, plan: RoutePlan | None = None) -> Stream:
    stream = Stream(plan or route_plan())
    stream.request = SimpleNamespace(tokens=[token])
    return stream


async def test_s71_what_other_keys_would_not_admit_ends(world: World) -> None:
    good, bad, nobodys = (with_token(token) for token in (b"good", b"bad", b"nobodys"))
    outliving = with_token(b"bad", route_plan(outlives=True))
    for stream in (good, bad, nobodys, outliving):
        world.exchanges.watch(stream)
    world.exchanges.ask_again(Recognising(b"good", b"nobodys"))
    assert [stream.ended for stream in (good, bad, nobodys, outliving)] == [[], [Reason.TOKEN_INVALID], [], []]
    world.exchanges.ask_again(Recognising(b"good", reason=None))
    assert [stream.ended for stream in (good, nobodys)] == [[], [Reason.TOKEN_INVALID]]
    assert set(world.exchanges.watched) == {good}


@pytest.mark.parametrize(
    "reason", [Reason.TOKEN_EXPIRED, Reason.TOKEN_REVOKED, Reason.STORE_UNAVAILABLE, Reason.ISSUER_UNAVAILABLE]
)
async def test_what_says_nothing_of_the_keys_ends_nothing(world: World, reason: Reason) -> None:
    stream = with_token(b"bad")
    world.exchanges.watch(stream)
    world.exchanges.ask_again(Recognising(reason=reason))
    assert stream.ended == []
