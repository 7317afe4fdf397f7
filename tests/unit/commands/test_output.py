import sys

import pytest

from gateway.commands.output import print_rows

HEADER = ("ID", "NAME", "STATE")
ROWS = [("1", "alice", "active"), ("22", "", "disabled")]


def test_a_pipe_gets_tabs_and_no_header(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(HEADER, ROWS)
    assert capsys.readouterr().out == "1\talice\tactive\n22\t\tdisabled\n"


def test_a_terminal_gets_columns_below_a_header(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_rows(HEADER, ROWS)
    assert capsys.readouterr().out.splitlines() == ["ID  NAME   STATE", "1   alice  active", "22         disabled"]


def test_no_rows(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_rows(HEADER, [])
    assert capsys.readouterr().out == "ID  NAME  STATE\n"
