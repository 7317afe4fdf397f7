"""Exit codes: the errors are in tests/unit/test_cli.py, where whole commands raise them."""

import os
import subprocess
import sys

import pytest

from gateway.commands.outcome import exit_code_of
from gateway.errors import ConfigError, NotRecorded, Problem


def test_a_command_decides_its_code_itself() -> None:
    assert exit_code_of(lambda: 0) == 0
    assert exit_code_of(lambda: 3) == 3


def test_a_configuration_with_problems_is_78(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> int:
        raise ConfigError([Problem(file="c.yaml", line=3, path="a.b", message="is wrong")])

    assert exit_code_of(refuse) == 78
    assert capsys.readouterr() == ("", "c.yaml:3: a.b: is wrong\n")


def test_what_was_done_and_not_recorded_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    def do() -> int:
        raise NotRecorded("This was done, but nobody will know.")

    assert exit_code_of(do) == 3
    assert capsys.readouterr() == ("", "gateway: This was done, but nobody will know.\n")


def test_a_defect_is_not_hidden() -> None:
    def fail() -> int:
        raise LookupError("a defect")

    with pytest.raises(LookupError):
        exit_code_of(fail)


def test_a_reader_that_went_away_is_141_without_a_word() -> None:
    source = "from gateway.commands.outcome import exit_code_of\nraise SystemExit(exit_code_of(lambda: print('x' * 10) or 0))"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", source], stdout=writer, stderr=subprocess.PIPE, timeout=20)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_no_file_gets_the_number_of_a_stream_that_is_closed() -> None:
    """Whatever a library then wrote to standard error would be written into it."""
    source = (
        "import sys\n"
        "from gateway.commands.outcome import make_output_safe\n"
        "make_output_safe()\n"
        "with open(sys.executable, 'rb') as opened:\n"
        "    raise SystemExit(opened.fileno())\n"
    )
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", source], timeout=20)
    assert done.returncode > 2
