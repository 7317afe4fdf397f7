"""Whatever a gateway may do with a store, in any order: every engine gives the same answers as the embedded one."""

import asyncio
import dataclasses
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gateway.interfaces import StateStore
from gateway.sqlite_file import SqliteFile
from gateway.state.redis import RedisStateStore
from gateway.state.sqlite import SqliteStateStore
from gateway.types import AttemptLimit, Revocation, RevokedKind, Session
from tests.redis_servers import LocalServer
from tests.unit.state.store_behaviour import token

# Few, so that they meet.
IDS = st.sampled_from(["", "a", "a b:*", "\ud800\0", "\U0010ffff"])
TIMES = st.integers(0, 5)
DIGESTS = st.sampled_from([letter * 32 for letter in (b"a", b"b", b"\0", b"\xff")])
KINDS = st.sampled_from(RevokedKind)
SESSIONS = st.builds(
    Session,
    id=IDS,
    user_id=IDS,
    token_id=IDS,
    parent_id=st.none() | IDS,
    rotated_at=TIMES,
    created_at=TIMES,
    last_used_at=TIMES,
    expires_at=TIMES,
    address=st.sampled_from(["", "192.0.2.1", "2001:db8::1"]),
    user_agent=st.sampled_from(["", " ", "curl/8", "a  b ", "Mozilla/5.0 (X11)"]),
)
LIMITS = st.lists(
    st.builds(AttemptLimit, id=DIGESTS, free=st.integers(0, 2), waits=st.just((1.0, 2.5, 4.1))),
    min_size=1,
    max_size=3,
    unique_by=lambda limit: limit.id,
)

Use = Callable[[StateStore], Awaitable[Any]]


class Engines(RuleBasedStateMachine):
    """Both are told the same."""

    server: LocalServer

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.server.ask("FLUSHALL")
        file = SqliteFile.open(Path(self.folder.name) / "state.sqlite3")
        self.stores = (SqliteStateStore(file), RedisStateStore(self.server.handle()))
        for store in self.stores:
            self.runner.run(store.prepare())

    def teardown(self) -> None:
        for store in self.stores:
            self.runner.run(store.close())
        self.runner.close()
        self.folder.cleanup()

    def both(self, use: Use) -> Any:
        """What both say."""
        expected, found = (self.runner.run(_await(use(store))) for store in self.stores)
        assert found == expected
        return expected

    @rule(now=TIMES)
    def purge(self, now: int) -> None:
        self.both(lambda store: store.purge(now))


class Sessions(Engines):
    """`positions` are the feed's, each engine has its own.

    Once sessions are ended up to a moment, none is used before it: an engine may compare instead of deleting. It does so
    as long as the revocation is kept, which is here for ever, as with gateways for longer than sessions last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.positions = [0, 0]
        self.moment = 0

    @rule(session=SESSIONS)
    def open_session(self, session: Session) -> None:
        session = self.after_the_moment(session)
        self.both(lambda store: store.open_session(session))

    def after_the_moment(self, session: Session) -> Session:
        return dataclasses.replace(session, rotated_at=max(session.rotated_at, self.moment))

    @rule(session_id=IDS, new=SESSIONS)
    def rotate_session(self, session_id: str, new: Session) -> None:
        old = self.both(lambda store: store.find_session(session_id))
        if old is not None:
            new = dataclasses.replace(new, id=old.id, user_id=old.user_id, created_at=old.created_at)
            new = self.after_the_moment(new)
            assert self.both(lambda store: store.replace_session(old, new))

    @rule(old=SESSIONS, new=SESSIONS)
    def rotate_a_session_that_was_changed(self, old: Session, new: Session) -> None:
        stored = self.both(lambda store: store.find_session(old.id))
        if stored is None or stored.token_id != old.token_id:
            assert not self.both(lambda store: store.replace_session(old, new))

    @rule(kind=KINDS, revoked_id=IDS, expires_at=TIMES, up_to=TIMES)
    def revoke(self, kind: RevokedKind, revoked_id: str, expires_at: int, up_to: int) -> None:
        revoked_id = "" if kind is RevokedKind.EVERYTHING else revoked_id
        if kind in (RevokedKind.USER, RevokedKind.EVERYTHING):
            self.moment = max(self.moment, up_to + 1)
            expires_at += 6
        revocation = Revocation(kind=kind, id=revoked_id, expires_at=expires_at, up_to=up_to)
        self.both(lambda store: store.revoke(revocation))

    @rule(token_id=st.none() | IDS, session_id=st.none() | IDS, user_id=st.none() | IDS, issued_at=TIMES)
    def is_revoked(self, token_id: str | None, session_id: str | None, user_id: str | None, issued_at: int) -> None:
        self.both(lambda store: store.is_revoked(token(token_id, session_id, user_id, issued_at)))

    @rule(user_id=st.none() | IDS, after=IDS, limit=st.integers(1, 5))
    def list_sessions(self, user_id: str | None, after: str, limit: int) -> None:
        self.both(lambda store: _listed(store, user_id, after, limit))

    @rule()
    def read_feed(self) -> None:
        told = [
            self.runner.run(store.revocations_since(position))
            for store, position in zip(self.stores, self.positions, strict=True)
        ]
        assert told[0].revocations == told[1].revocations
        self.positions = [news.position for news in told]

    @invariant()
    def they_hold_the_same_sessions(self) -> None:
        self.both(lambda store: _listed(store, None, "", 100))


class Attempts(Engines):
    @rule(limits=LIMITS, now=TIMES, later=st.floats(4, 10))
    def take_attempt(self, limits: list[AttemptLimit], now: int, later: float) -> None:
        self.both(lambda store: store.take_attempt(limits, now=now + 0.1, forget_at=now + later))

    @rule(forget=st.lists(DIGESTS, max_size=2), give_back=st.lists(DIGESTS, max_size=3))
    def settle_attempt(self, forget: list[bytes], give_back: list[bytes]) -> None:
        self.both(lambda store: store.settle_attempt(forget=forget, give_back=give_back))

    @rule(name=DIGESTS, address=DIGESTS, expires_at=TIMES)
    def remember_address(self, name: bytes, address: bytes, expires_at: int) -> None:
        self.both(lambda store: store.remember_address(name, address, expires_at=expires_at))

    @rule(name=DIGESTS, address=DIGESTS, now=TIMES)
    def knows_address(self, name: bytes, address: bytes, now: int) -> None:
        self.both(lambda store: store.knows_address(name, address, now=now))


async def _await(use: Awaitable[Any]) -> Any:
    return await use


async def _listed(store: StateStore, user_id: str | None, after: str, limit: int) -> list[Session]:
    return list(await store.sessions(user_id=user_id, after=after, limit=limit))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engines", [Sessions, Attempts])
def test_in_any_order_the_engines_agree(redis_server: LocalServer, engines: type[Engines]) -> None:
    machine = type(engines.__name__, (engines,), {"server": redis_server})
    rules = settings(
        max_examples=15,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink a story of transactions takes minutes
    )
    run_state_machine_as_test(machine, settings=rules)
