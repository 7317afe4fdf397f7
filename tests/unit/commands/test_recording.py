"""What commands leave for the audit trail, whatever happens to them."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.commands.recording import recorded
from gateway.config.load import load
from gateway.errors import NotRecorded, StoreUnavailable, UsageError
from tests.unit.commands.conftest import SIGNING_KEY

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "grace")
    monkeypatch.setattr("socket.gethostname", lambda: "web-1")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # in a container, where the user has no name


class Outbox:
    """What waits in the file of the configuration."""

    def __init__(self, path: Path) -> None:
        self._shell = sqlite3.connect(path, isolation_level=None)

    def events(self) -> list[dict[str, Any]]:
        """Those that a gateway may write now."""
        return self._events("due_at <= ?", 1)

    def pending(self) -> list[dict[str, Any]]:
        """Those of commands that have not said how it went."""
        return self._events("due_at > ?", 30)

    def last(self) -> dict[str, Any]:
        return self.events()[-1]

    def spoil(self) -> None:
        self._shell.execute("ALTER TABLE audit_outbox RENAME TO audit_outbox_away")

    def close(self) -> None:
        self._shell.close()

    def _events(self, which: str, seconds: int) -> list[dict[str, Any]]:
        moment = (time.time() + seconds) * 1_000_000
        rows = self._shell.execute(f"SELECT text FROM audit_outbox WHERE {which} ORDER BY due_at", (moment,))
        return [json.loads(text) for (text,) in rows]


@pytest.fixture
def command(config_file: Path, run: Run, give_stdin: Callable[[bytes], None]) -> Run:
    """A command on the configuration, a password on standard input."""

    def run_command(*argv: str) -> tuple[int, str, str]:
        give_stdin(b"wonderland\n")
        return run(*argv, "--config", config_file)

    return run_command


@pytest.fixture
def outbox(config_file: Path, command: Run) -> Iterator[Outbox]:
    """With the user alice, whose id is 1."""
    assert command("user", "add", "alice", "--role", "staff", "--role", "ops")[0] == 0
    outbox = Outbox(config_file.parent / "users.sqlite3")
    yield outbox
    outbox.close()


def told(line: dict[str, Any]) -> dict[str, Any]:
    """What a line says beside who it was."""
    who = {"actor": "cli", "os_user": str(os.getuid()), "host": "web-1", "sudo_user": "grace"}
    assert line.items() >= who.items()
    assert line["time"].endswith("Z")
    return {name: value for name, value in line.items() if name not in who and name != "time"}


def test_a_new_user(outbox: Outbox) -> None:
    assert [told(line) for line in outbox.events()] == [
        {"event": "user_added", "user": "alice", "user_id": "1", "roles": "staff,ops"}
    ]


@pytest.mark.parametrize(
    ("argv", "event", "details"),
    [
        (("passwd", "alice"), "user_password_changed", {}),
        (("disable", "alice"), "user_disabled", {}),
        (("enable", "alice"), "user_enabled", {}),
        (("roles", "alice", "editor"), "user_roles_changed", {"roles": "editor"}),
        (("roles", "alice", "--none"), "user_roles_changed", {"roles": ""}),
        (("remove", "alice"), "user_removed", {}),
    ],
)
def test_a_changed_user(
    outbox: Outbox, command: Run, argv: tuple[str, ...], event: str, details: dict[str, str]
) -> None:
    assert command("user", *argv)[0] == 0
    assert told(outbox.last()) == {"event": event, "user": "alice", "user_id": "1", **details}
    assert len(outbox.events()) == 2
    assert outbox.pending() == []


@pytest.mark.parametrize(
    ("argv", "event", "details"),
    [
        (("--token-id", "t1"), "token_revoked", {"token_id": "t1"}),
        (("--user", "alice"), "user_sessions_revoked", {"user": "alice", "user_id": "1"}),
        (("--user-id", "1"), "user_sessions_revoked", {"user_id": "1"}),
        (("--all",), "all_sessions_revoked", {}),
    ],
)
def test_a_revocation(outbox: Outbox, command: Run, argv: tuple[str, ...], event: str, details: dict[str, str]) -> None:
    assert command("session", "revoke", *argv)[0] == 0
    line = told(outbox.last())
    if event != "token_revoked":
        assert line.pop("up_to").endswith("Z")
    assert line == {"event": event, **details}


def test_users_who_come_and_go_in_one(outbox: Outbox, config_file: Path) -> None:
    def transfer(action: str, lines: bytes = b"") -> bytes:
        argv = [sys.executable, "-m", "gateway", "user", action, "--config", str(config_file)]
        environment = {**os.environ, "GATEWAY_SIGNING_KEY": SIGNING_KEY}
        return subprocess.run(argv, env=environment, input=lines, stdout=subprocess.PIPE, check=True, timeout=30).stdout

    exported = transfer("export")
    line = outbox.last()
    assert (line["event"], line["count"]) == ("users_exported", "1")
    transfer("import", exported.replace(b"alice", b"bob").replace(b'"id": "1"', b'"id": "2"'))
    line = outbox.last()
    assert (line["event"], line["count"]) == ("users_imported", "1")


def test_a_new_key(outbox: Outbox, command: Run, config_file: Path) -> None:
    code, _, err = command("key", "rotate", "--kid", "next", "--algorithm", "ES256")
    assert (code, err) == (0, "")
    path = config_file.parent / "next.pem"
    line = outbox.last()
    assert told(line) == {"event": "key_made", "kid": "next", "algorithm": "ES256", "file": str(path)}
    assert not any(part in json.dumps(line) for part in path.read_text().splitlines()[1:])


@pytest.mark.parametrize(
    "argv",
    [
        ("user", "add", "alice"),
        ("user", "disable", "nobody"),
        ("user", "roles", "alice", "a,b"),
        ("session", "revoke", "none"),
    ],
)
def test_what_changed_nothing_leaves_nothing(outbox: Outbox, command: Run, argv: tuple[str, ...]) -> None:
    assert command(*argv)[0] == 1
    assert len(outbox.events()) == 1
    assert outbox.pending() == []


def test_a_key_file_that_was_there_leaves_nothing(outbox: Outbox, command: Run, config_file: Path) -> None:
    (config_file.parent / "next.key").touch()
    assert command("key", "rotate", "--kid", "next")[0] == 1
    assert len(outbox.events()) == 1
    assert outbox.pending() == []


def test_s90_no_password_is_left(outbox: Outbox, command: Run, config_file: Path) -> None:
    command("user", "passwd", "alice")
    database = (config_file.parent / "users.sqlite3").read_bytes()
    assert b"wonderland" not in database
    assert "argon2" not in json.dumps(outbox.events())


def test_where_no_word_can_be_left_the_change_is_made_and_the_person_is_told(outbox: Outbox, command: Run) -> None:
    outbox.spoil()
    code, out, err = command("user", "disable", "alice")
    assert (code, out) == (3, "Disabled alice.\n")
    assert err.startswith("gateway: This was done, but the audit trail will not have it: ")
    assert len(err.splitlines()) == 1
    assert command("user", "list")[1].endswith("\tdisabled\n")


def test_a_key_is_made_where_there_is_no_store(command: Run, config_file: Path) -> None:
    code, out, err = command("key", "rotate", "--kid", "next")
    assert code == 0
    assert out.startswith("Wrote ")
    database = config_file.parent / "users.sqlite3"
    assert err == (f"gateway: This was done, but the audit trail will not have it: {database} does not exist yet.\n")
    assert not database.exists()


def change(config_file: Path, body: Callable[[dict[str, str]], None]) -> None:
    config = load(config_file, {"GATEWAY_SIGNING_KEY": SIGNING_KEY}).config

    async def run() -> None:
        async with recorded(config, "user_disabled", user="alice") as details:
            body(details)

    asyncio.run(run())


def test_a_change_whose_outcome_nobody_knows_is_told_as_that(outbox: Outbox, config_file: Path) -> None:
    def fail(details: dict[str, str]) -> None:
        raise StoreUnavailable("No answer came.")

    with pytest.raises(StoreUnavailable, match="No answer"):
        change(config_file, fail)
    [line] = outbox.pending()
    assert told(line) == {"event": "user_disabled", "user": "alice", "reason": "outcome_unknown"}


def test_a_store_that_goes_while_the_change_is_made_leaves_the_first_word(outbox: Outbox, config_file: Path) -> None:
    with pytest.raises(NotRecorded, match="will have it with the reason outcome_unknown: "):
        change(config_file, lambda details: outbox.spoil())


def test_a_store_that_comes_back_meanwhile_has_the_whole_word(outbox: Outbox, config_file: Path) -> None:
    database = config_file.parent / "users.sqlite3"
    outbox.close()
    away = database.rename(database.with_suffix(".away"))

    def put_back(details: dict[str, str]) -> None:
        away.rename(database)
        details["user_id"] = "1"

    change(config_file, put_back)
    again = Outbox(database)
    assert told(again.last()) == {"event": "user_disabled", "user": "alice", "user_id": "1"}
    again.close()


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from gateway.commands.recording import recorded
from gateway.config.load import load

async def run():
    async with recorded(load(Path(sys.argv[1]), os.environ).config, "user_removed", user="alice"):
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(run())
"""


def test_a_command_that_is_killed_behind_its_change_has_hidden_nothing(outbox: Outbox, config_file: Path) -> None:
    environment = {**os.environ, "GATEWAY_SIGNING_KEY": SIGNING_KEY}
    done = subprocess.run([sys.executable, "-c", KILLED, str(config_file)], env=environment, timeout=30)
    assert done.returncode == -9
    [line] = outbox.pending()
    assert (line["event"], line["user"], line["reason"]) == ("user_removed", "alice", "outcome_unknown")


def test_usage_errors_pass_also_where_nothing_can_be_withdrawn(outbox: Outbox, config_file: Path) -> None:
    def refuse(details: dict[str, str]) -> None:
        outbox.spoil()
        raise UsageError("There is no such user.")

    with pytest.raises(UsageError, match="no such user"):
        change(config_file, refuse)
