import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import __version__
from gateway.cli import build_parser, main
from gateway.errors import Reason, Refused, UsageError


def command_lines(parser: argparse.ArgumentParser, *before: str) -> Iterator[list[str]]:
    """Of every command and subcommand that there is."""
    yield list(before)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from command_lines(command, *before, name)


COMMAND_LINES = list(command_lines(build_parser()))


@pytest.mark.parametrize("command", COMMAND_LINES, ids=" ".join)
def test_help_has_an_example_that_starts_with_the_command(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--help"])
    _, _, examples = capsys.readouterr().out.partition("example")
    assert " ".join(["gateway", *command]) in examples


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"gateway {__version__}\n"


@pytest.mark.parametrize(
    "argv", [[], ["rnu"], ["run"], ["run", "--conf", "x"], ["user"], ["user", "add"], ["demo", "--port", "x"]], ids=str
)
def test_wrong_usage_is_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    output = capsys.readouterr()
    assert output.out == ""
    assert "usage: gateway" in output.err


def test_a_configuration_with_three_mistakes_shows_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(
        "tokens: {signing_key: hunter2}\n"
        "upstreams: {app: {servers: ['http://127.0.0.1:9000']}}\n"
        "routes:\n"
        "  - {path: /, upstream: ap}\n"
        "users: {sqlite: users.sqlite3}\n"
        "listen: {prot: 80}\n"
    )
    assert main(["check", "--config", str(path)]) == 78
    output = capsys.readouterr()
    lines = output.err.splitlines()
    assert output.out == ""
    assert sorted(line.split(": ")[0] for line in lines) == [f"{path}:1", f"{path}:4", f"{path}:6"]
    assert {line.split(": ")[1] for line in lines} == {"tokens.signing_key", "routes[0].upstream", "listen.prot"}
    assert "hunter2" not in output.err


def test_a_missing_configuration_is_a_configuration_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", "/nonexistent/gateway.yaml"]) == 78
    assert capsys.readouterr().err == "/nonexistent/gateway.yaml: does not exist\n"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UsageError("Give it a name."), 1, "gateway: Give it a name.\n"),
        (Refused(Reason.OVERLOADED), 1, "gateway: The gateway is too busy for this right now. Try again.\n"),
        (FileNotFoundError(2, "No such file or directory", "a.txt"), 1, "gateway: a.txt: No such file or directory.\n"),
        (OSError("no route"), 1, "gateway: no route.\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_failures_are_one_sentence_on_standard_error(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_arguments: object) -> int:
        raise error

    monkeypatch.setattr("gateway.commands.schema.execute", fail)
    assert main(["schema"]) == code
    assert capsys.readouterr() == ("", message)


def test_help_imports_nothing_heavy() -> None:
    program = "import sys, gateway.cli; gateway.cli.build_parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not {"aiohttp", "argon2", "asyncio", "cryptography", "jwt", "sqlite3", "yaml"} & set(done.stdout.split())


def gateway(*argv: str, closed: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """`python -m gateway` with these of its standard streams closed (a shell's redirections)."""
    program = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "gateway", *argv]
    return subprocess.run(program, capture_output=True, timeout=30, env=os.environ | environment)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_reason_to_fail(closed: str) -> None:
    done = gateway("schema", closed=closed)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_the_encoding_does_not_know_is_escaped() -> None:
    done = gateway("session", "--help", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"gateway session show 3f1c\\u2026" in done.stdout
