"""Pages whose commands fail, or print something else than what is shown, do not pass."""

from pathlib import Path

import pytest

from tests import shown_commands

BASH = {"PATH": "/usr/bin:/bin"}


def page(*lines: str) -> str:
    return "\n".join(["A page.", "", "```sh", *lines, "```", "", "```console", "$ false", "```", ""])


@pytest.mark.parametrize(
    "lines",
    [
        ("echo all of it", "#=> all of it"),
        ("echo one; echo two; echo three", "#=> one", "#=> …", "#=> three"),
        ("echo one; echo two", "#=> …"),
        ("echo 'a token.of signs'", "#=> a …of signs"),
        (r"printf 'HTTP/1.1 200 OK\r\n\r\nbody'", "#=> HTTP/1.1 200 OK", "#=>", "#=> body"),
        ("name=alice", "echo first", "#=> first", "echo $name", "#=> alice"),
        ("cat << 'END'", "one", "END", "#=> one"),
        ("echo nothing is shown of this",),
    ],
)
def test_what_is_shown_is_what_is_printed(lines: tuple[str, ...], tmp_path: Path) -> None:
    shown_commands.run(page(*lines), folder=tmp_path, environment=BASH)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("false", "touch reached"), "ends with 1"),
        (("false | cat", "touch reached"), "ends with 1"),
        (("echo $unset", "touch reached"), "ends with"),
        (("echo one", "#=> two"), "and not"),
        (("echo one; echo two", "#=> one"), "and not"),
        (("echo one; echo two; echo three", "#=> one", "#=> …", "#=> four"), "and not"),
        (("echo aXb", "#=> a.b"), "and not"),
    ],
)
def test_what_is_not_is_told(lines: tuple[str, ...], told: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=told):
        shown_commands.run(page(*lines), folder=tmp_path, environment=BASH)
    assert not (tmp_path / "reached").exists()


def test_a_command_that_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown_commands, "_TIMEOUT", 0.5)
    with pytest.raises(AssertionError, match="sleep 60\n-- ends with 124"):
        shown_commands.run(page("true", "#=>", "sleep 60"), folder=tmp_path, environment=BASH)


def test_a_page_without_commands_is_none(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no command"):
        shown_commands.run("A page.", folder=tmp_path, environment=BASH)
