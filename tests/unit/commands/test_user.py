import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.auth.passwords import PasswordHasher

Run = Callable[..., tuple[int, str, str]]
GiveStdin = Callable[[bytes], None]


@pytest.fixture
def user(config_file: Path, run: Run, give_stdin: GiveStdin) -> Run:
    """`gateway user …` on a configuration of its own, a password on standard input."""
    config_file.write_text(config_file.read_text() + "#\n")

    def run_user(*argv: str) -> tuple[int, str, str]:
        give_stdin(b"wonderland\n")
        return run("user", *argv, "--config", config_file)

    return run_user


def stored_hash(config_file: Path, username: str) -> str:
    database = sqlite3.connect(config_file.parent / "users.sqlite3")
    try:
        (encoded,) = database.execute("SELECT password_hash FROM users WHERE username = ?", (username,)).fetchone()
    finally:
        database.close()
    return str(encoded)


def is_password(encoded: str, password: str) -> bool:
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024 * 1024, parallelism=1).verify(encoded, password)


def test_add_stores_a_hash_of_the_line_on_standard_input(user: Run, config_file: Path) -> None:
    assert user("add", "alice") == (0, "Added alice with the id 1.\n", "")
    assert is_password(stored_hash(config_file, "alice"), "wonderland")


def test_list_is_tab_separated_in_a_pipe(user: Run) -> None:
    user("add", "bob", "--email", "bob@example.org", "--role", "staff", "--role", "editor")
    user("add", "alice")
    user("disable", "alice")
    assert user("list") == (0, "2\talice\t\t\tdisabled\n1\tbob\tbob@example.org\tstaff,editor\tactive\n", "")


def test_list_as_json(user: Run) -> None:
    user("add", "alice", "--email", "alice@example.org", "--role", "staff")
    _, out, _ = user("list", "--json")
    assert json.loads(out) == [
        {"id": "1", "username": "alice", "email": "alice@example.org", "roles": ["staff"], "is_active": True}
    ]


def test_passwd_replaces_the_password(user: Run, config_file: Path, run: Run, give_stdin: GiveStdin) -> None:
    user("add", "alice")
    give_stdin(b"looking-glass\n")
    assert run("user", "passwd", "alice", "--config", config_file) == (0, "Changed the password of alice.\n", "")
    assert is_password(stored_hash(config_file, "alice"), "looking-glass")


def test_disable_enable_and_remove(user: Run) -> None:
    user("add", "alice")
    assert user("disable", "alice") == (0, "Disabled alice.\n", "")
    assert user("list")[1].endswith("\tdisabled\n")
    assert user("enable", "alice") == (0, "Enabled alice.\n", "")
    assert user("list")[1].endswith("\tactive\n")
    assert user("remove", "alice") == (0, "Removed alice.\n", "")
    assert user("list") == (0, "", "")


def test_roles_are_replaced(user: Run) -> None:
    user("add", "alice", "--role", "staff")
    assert user("roles", "alice", "editor", "author") == (0, "alice has the roles editor, author.\n", "")
    assert user("list")[1].split("\t")[3] == "editor,author"
    assert user("roles", "alice", "--none") == (0, "alice has no role.\n", "")
    assert user("list")[1].split("\t")[3] == ""


@pytest.mark.parametrize("argv", [["alice"], ["alice", "staff", "--none"]], ids=str)
def test_roles_wants_roles_or_none(user: Run, argv: list[str]) -> None:
    user("add", "alice", "--role", "staff")
    code, _, err = user("roles", *argv)
    assert code == 1
    assert "--none" in err
    assert user("list")[1].split("\t")[3] == "staff"


@pytest.mark.parametrize("action", ["passwd", "disable", "enable", "remove", "roles"])
def test_an_unknown_user_is_one_sentence(user: Run, action: str) -> None:
    code, out, err = user(action, "nobody", *(["staff"] if action == "roles" else []))
    assert (code, out) == (1, "")
    assert "nobody" in err
    assert len(err.splitlines()) == 1


def test_a_name_that_is_taken_is_one_sentence(user: Run) -> None:
    user("add", "alice")
    code, out, err = user("add", "alice")
    assert (code, out) == (1, "")
    assert "taken" in err


def test_a_refused_password_changes_nothing(user: Run, config_file: Path, run: Run, give_stdin: GiveStdin) -> None:
    give_stdin(b"\n")
    code, out, err = run("user", "add", "alice", "--config", config_file)
    assert (code, out) == (1, "")
    assert "empty" in err
    assert user("list")[1] == ""


def test_a_database_that_cannot_be_opened_is_one_sentence(user: Run, config_file: Path) -> None:
    (config_file.parent / "users.sqlite3").write_text("no database at all, but long enough to be looked at " * 40)
    code, out, err = user("list")
    assert (code, out) == (1, "")
    assert str(config_file.parent / "users.sqlite3") in err
    assert len(err.splitlines()) == 1
