import asyncio
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from gateway.types import Revocation, Session, TokenReference

Run = Callable[..., tuple[int, str, str]]
NOW = int(time.time())


def opened(session_id: str, user_id: str, *, rotated_at: int = NOW - 60) -> Session:
    return Session(
        id=session_id,
        user_id=user_id,
        token_id=f"token of {session_id}",
        parent_id=None,
        rotated_at=rotated_at,
        created_at=NOW - 60,
        last_used_at=rotated_at,
        expires_at=NOW + 1000,
        address="192.0.2.1",
        user_agent="curl/8",
    )


class Store:
    """The state of the configuration, as a running gateway has it."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.Runner()
        self._store = SqliteStateStore(SqliteFile.open(path))
        self._loop.run(self._store.prepare())

    def open(self, *sessions: Session) -> None:
        for session in sessions:
            self._loop.run(self._store.open_session(session))

    def is_revoked(
        self, session_id: str | None = None, user_id: str | None = None, token_id: str | None = None
    ) -> bool:
        token = TokenReference(token_id=token_id, session_id=session_id, user_id=user_id, issued_at=NOW - 60)
        return self._loop.run(self._store.is_revoked(token))

    def last(self) -> Revocation:
        return self._loop.run(self._store.revocations_since(0)).revocations[-1]

    def last_expiry(self) -> int:
        return self.last().expires_at

    def close(self) -> None:
        self._loop.run(self._store.close())
        self._loop.close()


@pytest.fixture
def store(config_file: Path) -> Iterator[Store]:
    store = Store(config_file.parent / "users.sqlite3")
    yield store
    store.close()


@pytest.fixture
def session(store: Store, config_file: Path, run: Run, give_stdin: Callable[[bytes], None]) -> Run:
    """`gateway session …`, with the user alice whose id is 1."""
    give_stdin(b"wonderland\n")
    assert run("user", "add", "alice", "--config", config_file)[0] == 0
    return lambda *argv: run("session", *argv, "--config", config_file)


def test_list_is_tab_separated_in_a_pipe(session: Run, store: Store) -> None:
    store.open(opened("a", "1"), opened("b", "2"))
    code, out, err = session("list")
    assert (code, err) == (0, "")
    rows = [line.split("\t") for line in out.splitlines()]
    assert [(row[0], row[1], row[4], row[5]) for row in rows] == [
        ("a", "1", "192.0.2.1", "curl/8"),
        ("b", "2", "192.0.2.1", "curl/8"),
    ]
    assert rows[0][2].endswith("Z")


def test_list_of_one_user_by_name_and_by_id(session: Run, store: Store) -> None:
    store.open(opened("a", "1"), opened("b", "2"), opened("c", "1"))
    assert [json.loads(line)["id"] for line in session("list", "--user", "alice", "--json")[1].splitlines()] == [
        "a",
        "c",
    ]
    assert [json.loads(line)["id"] for line in session("list", "--user-id", "2", "--json")[1].splitlines()] == ["b"]


def test_list_goes_through_all_pages(session: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.commands.session._PAGE", 2)
    store.open(*(opened(f"s{number}", "1") for number in range(5)))
    assert [line.split("\t")[0] for line in session("list")[1].splitlines()] == ["s0", "s1", "s2", "s3", "s4"]


def test_nothing_that_a_terminal_obeys_is_shown(session: Run, store: Store) -> None:
    store.open(opened("a\x1b[2J\tb", "1"))
    assert session("list")[1].startswith("a\\x1b[2J\\tb\t1\t")


def test_show(session: Run, store: Store) -> None:
    store.open(opened("a", "1"))
    code, out, _ = session("show", "a")
    assert code == 0
    assert json.loads(out).keys() == {"id", "user_id", "created_at", "last_used_at", "address", "user_agent"}
    assert "token of a" not in out
    code, out, err = session("show", "b")
    assert (code, out) == (1, "")
    assert "There is no session 'b'" in err


def test_s57_revoke_one(session: Run, store: Store) -> None:
    store.open(opened("a", "1"), opened("b", "1"))
    assert session("revoke", "a") == (0, "Revoked the session a of the user 1.\n", "")
    assert (store.is_revoked("a"), store.is_revoked("b")) == (True, False)
    assert NOW + 86_460 <= store.last_expiry() <= time.time() + 86_461
    assert session("revoke", "a")[0] == 1
    assert [line.split("\t")[0] for line in session("list")[1].splitlines()] == ["b"]


def test_s58_it_is_remembered_until_tokens_of_longer_lifetimes_have_ended(session: Run, store: Store) -> None:
    store.open(dataclasses.replace(opened("a", "1"), expires_at=NOW + 30 * 86_400))
    session("revoke", "a")
    assert store.last_expiry() == NOW + 30 * 86_400 + 60
    for argv in (("--user", "alice"), ("--user-id", "issuer:7"), ("--all",), ("--token-id", "issuer:t1")):
        session("revoke", *argv)
        assert store.last_expiry() > NOW + 365 * 86_400


@pytest.mark.parametrize("option", [("--user", "alice"), ("--user-id", "1")])
def test_s57_revoke_all_of_a_user(session: Run, store: Store, option: tuple[str, str]) -> None:
    store.open(opened("a", "1"), opened("b", "2"))
    code, out, _ = session("revoke", *option)
    assert (code, out) == (0, f"Revoked all sessions of {'alice' if option[1] == 'alice' else 'the user 1'}.\n")
    assert (store.is_revoked(user_id="1"), store.is_revoked(user_id="2")) == (True, False)
    assert [line.split("\t")[0] for line in session("list")[1].splitlines()] == ["b"]


def test_s57_revoke_everything(session: Run, store: Store) -> None:
    store.open(opened("a", "1"), opened("b", "2"))
    assert session("revoke", "--all") == (0, "Revoked all sessions of everybody.\n", "")
    assert store.is_revoked(user_id="3")
    assert session("list") == (0, "", "")


@pytest.mark.parametrize("whose", [("--all",), ("--user", "alice"), ("--user-id", "1")], ids=lambda whose: whose[0])
def test_s57_revoke_what_was_issued_before_a_moment(session: Run, store: Store, whose: tuple[str, ...]) -> None:
    moment = datetime.fromtimestamp(NOW - 60, UTC)
    store.open(opened("at", "1"), opened("before", "1", rotated_at=NOW - 61))
    code, out, _ = session("revoke", *whose, "--before", moment.isoformat())
    assert (code, out.endswith(f" up to {datetime.fromtimestamp(NOW - 61, UTC):%Y-%m-%dT%H:%M:%SZ}.\n")) == (0, True)
    assert store.last().up_to == NOW - 61
    assert not store.is_revoked(user_id="1")
    assert session("show", "at")[0] == 0
    assert session("show", "before")[0] == 1
    code, _, _ = session("revoke", *whose, "--before", moment.astimezone(timezone(timedelta(hours=5))).isoformat(" "))
    assert (code, store.last().up_to) == (0, NOW - 61)
    assert session("revoke", *whose, "--before", (moment + timedelta(milliseconds=500)).isoformat())[0] == 0
    assert store.is_revoked(user_id="1")  # who was issued a token in that second may have been before it


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--all", "--before", "2999-01-01T00:00Z"), "--before takes a moment in the past"),
        (("--token-id", "t", "--before", "2026-01-01T00:00Z"), "goes with --all, --user or --user-id"),
        (("a", "--before", "2026-01-01T00:00Z"), "goes with --all, --user or --user-id"),
    ],
)
def test_a_moment_that_cannot_be_meant(session: Run, store: Store, arguments: tuple[str, ...], said: str) -> None:
    store.open(opened("a", "1"))
    code, out, err = session("revoke", *arguments)
    assert (code, out) == (1, "")
    assert said in err
    assert session("show", "a")[0] == 0


@pytest.mark.parametrize("argv", [("--all",), ("--user-id", "1")])
def test_s57_a_token_that_is_issued_while_the_command_is_at_it_is_not_spared(
    session: Run, store: Store, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    clock = [NOW + 0.9]
    revoke = SqliteStateStore.revoke

    async def revoke_slowly(self: SqliteStateStore, revocation: Revocation) -> bool:
        is_new = await revoke(self, revocation)
        clock[0] = min(clock[0] + 1, NOW + 2.9)
        return is_new

    monkeypatch.setattr(SqliteStateStore, "revoke", revoke_slowly)
    monkeypatch.setattr("gateway.commands.session.time.time", lambda: clock[0])
    assert session("revoke", *argv)[0] == 0
    assert store.last().up_to == NOW + 2


def test_s57_revoke_one_token(session: Run, store: Store) -> None:
    assert session("revoke", "--token-id", "t1") == (0, "Revoked the token t1.\n", "")
    assert (store.is_revoked(token_id="t1"), store.is_revoked(token_id="t2")) == (True, False)


@pytest.mark.parametrize(
    "argv",
    [
        ("revoke",),
        ("revoke", "a", "--all"),
        ("revoke", "--all", "--before", "2026-11-25T10:00"),
        ("revoke", "--all", "--before", "yesterday"),
        ("list", "--user", "a", "--user-id", "1"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(session: Run, argv: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        session(*argv)
    assert caught.value.code == 2


def test_a_user_that_is_not_there(session: Run) -> None:
    code, _, err = session("revoke", "--user", "Alice")
    assert code == 1
    assert "There is no user 'Alice'" in err
