"""The command line as real processes on real files, pipes and terminals."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import secret_scan
from tests.integration.processes import CHECKOUT, free_port
from tests.integration.terminals import on_terminal

Gateway = Callable[..., subprocess.CompletedProcess[str]]

CONFIGURATION = """\
listen: {port: %d}
admin: {enabled: false}
tokens:
  signing_key: {env: GATEWAY_SIGNING_KEY}
upstreams:
  app: {servers: ["http://127.0.0.1:9"]}
routes:
  - {path: /, upstream: app}
users: {sqlite: users.sqlite3}
"""
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": str(CHECKOUT),
    "GATEWAY_SIGNING_KEY": "Jt3yV0mCq8ZsU5nXw2LbHd7RkGf9PaEo4iTzQx6WvYc",
}
COMMAND = [sys.executable, "-m", "gateway"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a good `gateway.yaml` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.yaml").write_text(CONFIGURATION % free_port())
    return tmp_path


def gateway(*argv: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    secret_scan.learn_environment(ENVIRONMENT)
    secret_scan.learn([stdin])
    done = subprocess.run(
        [*COMMAND, *argv], input=stdin, env={**ENVIRONMENT, **environment}, capture_output=True, text=True, timeout=30
    )
    secret_scan.check_command(argv, done.stdout + done.stderr)
    return done


def user(action: str, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return gateway("user", action, *argv, "--config", "gateway.yaml", stdin=stdin)


@pytest.mark.usefixtures("folder")
def test_users_are_kept_in_the_file() -> None:
    added = user("add", "alice", "--role", "staff", stdin="wonderland\n")
    assert (added.returncode, added.stdout, added.stderr) == (0, "Added alice with the id 1.\n", "")
    assert user("disable", "alice").returncode == 0
    assert user("list").stdout == "1\talice\t\tstaff\tdisabled\n"
    again = user("add", "alice", stdin="wonderland\n")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("gateway: ")
    assert len(again.stderr.splitlines()) == 1


def test_s90_the_users_file_is_its_owners_alone(folder: Path) -> None:
    user("add", "alice", stdin="wonderland\n")
    files = list(folder.glob("users.sqlite3*"))
    assert files
    assert [path.name for path in files if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("command", ["check", "run", "user list"])
def test_each_command_shows_all_problems_of_a_configuration(command: str, folder: Path) -> None:
    (folder / "gateway.yaml").write_text("listen: {port: 99999}\nroutes: []\nuser: {}\n")
    done = gateway(*command.split(), "--config", "gateway.yaml")
    assert (done.returncode, done.stdout) == (78, "")
    assert len(done.stderr.splitlines()) >= 3
    assert all(line.startswith("gateway.yaml") for line in done.stderr.splitlines())
    assert "gateway.yaml:1: listen.port: " in done.stderr
    assert "gateway.yaml:3: user: " in done.stderr


@pytest.mark.usefixtures("folder")
def test_s31_run_does_not_start_on_a_weak_key() -> None:
    done = gateway("run", "--config", "gateway.yaml", GATEWAY_SIGNING_KEY="secret")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("gateway.yaml:4: tokens.signing_key: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.usefixtures("folder")
def test_a_busy_port_is_one_sentence(folder: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        (folder / "gateway.yaml").write_text(CONFIGURATION % taken.getsockname()[1])
        done = gateway("run", "--config", "gateway.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("gateway: Cannot listen on 127.0.0.1 port ")
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("folder")
def test_a_reader_that_goes_away_is_no_failure_of_ours() -> None:
    # `true` reads nothing, and is gone by the time that the schema is written.
    script = f"{sys.executable} -m gateway schema | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], env=ENVIRONMENT, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("141\n", "")


@pytest.mark.usefixtures("folder")
def test_a_terminal_is_asked_for_the_password_without_echo() -> None:
    with on_terminal(
        [*COMMAND, "user", "add", "alice", "--config", "gateway.yaml"], environment=ENVIRONMENT
    ) as terminal:
        terminal.wait_for("New password of alice: ").type("wonderland\n")
        terminal.wait_for("Once more: ").type("wonderland\n")
        assert terminal.wait() == 0
        assert "Added alice with the id 1." in terminal.text
        assert "wonderland" not in terminal.text


@pytest.mark.usefixtures("folder")
def test_two_different_passwords_change_nothing() -> None:
    with on_terminal(
        [*COMMAND, "user", "add", "alice", "--config", "gateway.yaml"], environment=ENVIRONMENT
    ) as terminal:
        terminal.wait_for("New password of alice: ").type("wonderland\n")
        terminal.wait_for("Once more: ").type("wonderlamp\n")
        assert terminal.wait() == 1
        assert "differ" in terminal.text
    assert user("list").stdout == ""


@pytest.mark.usefixtures("folder")
def test_ctrl_c_ends_the_prompt() -> None:
    with on_terminal(
        [*COMMAND, "user", "add", "alice", "--config", "gateway.yaml"], environment=ENVIRONMENT
    ) as terminal:
        terminal.wait_for("New password of alice: ").type("\x03")
        assert terminal.wait() == 130
        assert "Traceback" not in terminal.text


@pytest.mark.usefixtures("folder")
def test_list_is_a_table_on_a_terminal() -> None:
    user("add", "alice", "--email", "alice@example.org", stdin="wonderland\n")
    with on_terminal([*COMMAND, "user", "list", "--config", "gateway.yaml"], environment=ENVIRONMENT) as terminal:
        assert terminal.wait() == 0
        assert terminal.text.splitlines() == [
            "ID  NAME   E-MAIL             ROLES  STATE",
            "1   alice  alice@example.org         active",
        ]


@pytest.mark.usefixtures("folder")
def test_ctrl_c_is_an_orderly_end_of_run(folder: Path) -> None:
    with on_terminal([*COMMAND, "run", "--config", "gateway.yaml"], environment=ENVIRONMENT) as terminal:
        port = (folder / "gateway.yaml").read_text().split("port: ")[1].split("}")[0]
        await_port(int(port))
        terminal.type("\x03")
        assert terminal.wait() == 0
        assert "Traceback" not in terminal.text


def await_port(port: int) -> None:
    import socket
    import time

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"Nobody listens on port {port}.")
