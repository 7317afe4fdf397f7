"""All users from one directory into another."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from tests.postgres_server import PostgresServer
from tests.unit.commands.conftest import Terminal

Run = Callable[..., tuple[int, str, str]]
GiveStdin = Callable[[bytes], None]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def export(config_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], tuple[int, str]]:
    """Into a file of mode 0600."""

    def export_to(path: Path) -> tuple[int, str]:
        path.touch(mode=0o600)
        with path.open("w") as file, monkeypatch.context() as patch:
            patch.setattr("sys.stdout", file)
            code, _, err = run("user", "export", "--config", config_file)
        return code, err

    return export_to


def config_in_postgres(config_file: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("USERS_URL", server.url())
    text = config_file.read_text()
    users = f"users: {{sqlite: {json.dumps(str(config_file.parent / 'users.sqlite3'))}}}"
    assert users in text
    other = config_file.with_name("postgres.yaml")
    other.write_text(text.replace(users, "users: {url: {env: USERS_URL}}"))
    return other


def test_users_move_from_sqlite_to_postgresql(
    config_file: Path,
    run: Run,
    give_stdin: GiveStdin,
    export: Callable[[Path], tuple[int, str]],
    server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for arguments in (
        ["add", "alice", "--email", "a@example.org", "--role", "staff"],
        ["add", "bob"],
        ["add", "carol"],
    ):
        give_stdin(b"wonderland\n")
        assert run("user", *arguments, "--config", config_file)[0] == 0
    run("user", "disable", "bob", "--config", config_file)
    run("user", "remove", "carol", "--config", config_file)
    exported = tmp_path / "users.jsonl"
    assert export(exported) == (0, "")
    assert exported.read_text().splitlines()[0] == '{"last_id": "3"}'

    other = config_in_postgres(config_file, server, monkeypatch)
    give_stdin(exported.read_bytes())
    assert run("user", "import", "--config", other) == (0, "Imported 2 users.\n", "")
    listed = run("user", "list", "--config", config_file)
    assert listed[1]
    assert run("user", "list", "--config", other) == listed
    give_stdin(b"wonderland\n")
    assert run("user", "add", "dave", "--config", other)[1] == "Added dave with the id 4.\n"

    give_stdin(exported.read_bytes())
    code, out, err = run("user", "import", "--config", other)
    assert (code, out) == (1, "")
    assert "Nobody was imported.\nline 2: id '1' is that of a user who is there already." in err
    assert "argon2" not in err


def test_s88_hashes_are_written_neither_to_a_terminal_nor_where_others_read(
    config_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "open.jsonl").open("w") as file, monkeypatch.context() as patch:
        os.fchmod(file.fileno(), 0o640)
        patch.setattr("sys.stdout", file)
        code, _, err = run("user", "export", "--config", config_file)
    assert code == 1
    assert "umask 077" in err
    assert (tmp_path / "open.jsonl").read_text() == ""
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", Terminal(io.BytesIO()))
        code, _, err = run("user", "export", "--config", config_file)
    assert code == 1
    assert "terminal" in err


def test_import_does_not_wait_for_somebody_to_type(
    config_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO()))
    code, _, err = run("user", "import", "--config", config_file)
    assert code == 1
    assert "standard input" in err


def test_users_of_django_are_imported_with_their_passwords(config_file: Path, run: Run, give_stdin: GiveStdin) -> None:
    encoded = PBKDF2PasswordHasher().encode("wonderland", "salt", 1000)
    line = json.dumps({"id": 7, "username": "alice", "email": "a@example.org", "password_hash": encoded}).encode()
    give_stdin(line)
    code, _, err = run("user", "import", "--config", config_file)
    assert code == 1
    assert "set users.pbkdf2_iterations to the most that there are, at least 1000." in err
    assert encoded not in err
    text = config_file.read_text()
    config_file.write_text(text.replace("users: {", "users: {pbkdf2_iterations: 1000, "))
    give_stdin(line)
    assert run("user", "import", "--config", config_file) == (0, "Imported 1 user.\n", "")
    assert run("user", "list", "--config", config_file)[1] == "7\talice\ta@example.org\t\tactive\n"
