"""Whatever is done with users, in any order: PostgreSQL gives the same answers as the embedded directory."""

import asyncio
import dataclasses
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gateway.errors import StoreUnavailable, UsageError
from gateway.interfaces import ManagedUserDirectory, UserDump
from gateway.postgres.database import PostgresDatabase
from gateway.sqlite_file import SqliteFile
from gateway.types import Account, User
from gateway.users.postgres import PostgresUserDirectory
from gateway.users.sqlite import SqliteUserDirectory
from tests.postgres_server import PostgresServer
from tests.unit.users.directory_behaviour import LONE_SURROGATE

# Few, so that they meet.
NAMES = st.sampled_from(["alice", "Alice", "bob", "Zoë", "李小龍", "a\0", LONE_SURROGATE])
EMAILS = st.sampled_from(["", "", "a@example.org", "A@EXAMPLE.org", "é@example.org", "É@example.org", "k@example.org"])
ROLES = st.lists(st.sampled_from(["staff", "editor", "Größe", '"{\\'])).map(tuple)
HASHES = st.sampled_from(["x", "y", ""])
IDS = st.integers(1, 12).map(str)
LOOKED_FOR = IDS | st.sampled_from(["", "01", "9" * 18, "9" * 19, "1\0"])
ACCOUNTS = st.builds(
    Account,
    user=st.builds(User, id=IDS, username=NAMES, email=EMAILS, roles=ROLES, is_active=st.booleans()),
    password_hash=HASHES,
)

_numbers = itertools.count()

Use = Callable[[ManagedUserDirectory], Awaitable[Any]]


class Directories(RuleBasedStateMachine):
    """Both are told the same. `positions` are the feed's, each engine has its own."""

    server: PostgresServer

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        database = PostgresDatabase(self.server.url(), schema=f"agree_{next(_numbers)}", max_connections=1, timeout=20)
        self.directories = (
            SqliteUserDirectory(SqliteFile.open(Path(self.folder.name) / "users.sqlite3"), login_attribute="email"),
            PostgresUserDirectory(database, login_attribute="email"),
        )
        for directory in self.directories:
            self.runner.run(directory.prepare())
            # At the position 0 all is told.
            self.runner.run(directory.add(username="first", email="", roles=(), password_hash=""))
        self.positions = [self.runner.run(_position(directory)) for directory in self.directories]
        first = User(id="1", username="first", email="", roles=(), is_active=True)
        self.known = [{first.id: first}, {first.id: first}]

    def teardown(self) -> None:
        for directory in self.directories:
            self.runner.run(directory.close())
        self.runner.close()
        self.folder.cleanup()

    def both(self, use: Use) -> Any:
        """What both say, whenever that was."""
        expected, found = (self.runner.run(_answer(use(directory))) for directory in self.directories)
        assert found == expected
        return expected

    @rule(username=NAMES, email=EMAILS, roles=ROLES, password_hash=HASHES)
    def add(self, username: str, email: str, roles: tuple[str, ...], password_hash: str) -> None:
        self.both(lambda each: each.add(username=username, email=email, roles=roles, password_hash=password_hash))

    @rule(username=NAMES, password_hash=HASHES)
    def set_password_hash(self, username: str, password_hash: str) -> None:
        self.both(lambda each: each.set_password_hash(username, password_hash))

    @rule(user_id=LOOKED_FOR, old=HASHES, new=HASHES)
    def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        self.both(lambda each: each.replace_password_hash(user_id, old, new))

    @rule(username=NAMES, is_active=st.booleans())
    def set_active(self, username: str, is_active: bool) -> None:
        self.both(lambda each: each.set_active(username, is_active=is_active))

    @rule(username=NAMES, roles=ROLES)
    def set_roles(self, username: str, roles: tuple[str, ...]) -> None:
        self.both(lambda each: each.set_roles(username, roles))

    @rule(username=NAMES)
    def remove(self, username: str) -> None:
        self.both(lambda each: each.remove(username))

    @rule(accounts=st.lists(ACCOUNTS, max_size=2), last_id=st.integers(0, 20))
    def add_all(self, accounts: list[Account], last_id: int) -> None:
        if all(account.user.username.isprintable() for account in accounts):  # as `transfer` gives them
            self.both(lambda each: each.add_all(UserDump(accounts=tuple(accounts), last_id=last_id)))

    @rule(login=EMAILS | NAMES)
    def find_by_login(self, login: str) -> None:
        self.both(lambda each: each.find_by_login(login))

    @rule(user_id=LOOKED_FOR)
    def find_by_id(self, user_id: str) -> None:
        self.both(lambda each: each.find_by_id(user_id))

    @rule()
    def read_feed(self) -> None:
        """Whoever differs in anything is named; PostgreSQL leaves out who was changed twice in one second alone."""
        told = [
            self.runner.run(each.changes_since(position))
            for each, position in zip(self.directories, self.positions, strict=True)
        ]
        assert [each.everything for each in told] == [False, False]
        assert told[1].user_ids <= told[0].user_ids
        for number, directory in enumerate(self.directories):
            before, now = self.known[number], {user.id: user for user in self.runner.run(directory.all_users())}
            differing = {user_id for user_id in before | now if before.get(user_id) != now.get(user_id)}
            assert differing <= told[number].user_ids
            self.known[number] = now
        self.positions = [each.position for each in told]

    @invariant()
    def all_of_it_is_the_same(self) -> None:
        self.both(lambda each: each.dump())


async def _position(directory: ManagedUserDirectory) -> int:
    return (await directory.changes_since(0)).position


async def _answer(answer: Awaitable[Any]) -> Any:
    """With moments as whether there was one, and refusals as what they say; of a store's own its kind alone."""
    try:
        return _without_moments(await answer)
    except UsageError as error:
        return str(error)
    except StoreUnavailable:
        return StoreUnavailable


def _without_moments(value: Any) -> Any:
    match value:
        case User():
            return dataclasses.replace(
                value,
                credentials_changed_at=value.credentials_changed_at > 0,
                claims_changed_at=value.claims_changed_at > 0,
            )
        case Account():
            return dataclasses.replace(value, user=_without_moments(value.user))
        case UserDump():
            return dataclasses.replace(value, accounts=tuple(map(_without_moments, value.accounts)))
    return value


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.mark.timeout(300)
def test_in_any_order_postgresql_answers_as_sqlite_does(server: PostgresServer) -> None:
    machine = type("OnThisServer", (Directories,), {"server": server})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=10,
            stateful_step_count=30,
            deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink a story of transactions takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
