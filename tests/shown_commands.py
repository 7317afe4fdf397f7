"""Runs the commands that a page of docs/ shows, as they stand there, and compares what they print with what it shows.

All ```sh blocks of a page are one script in one bash that ends at the first failure. Lines that begin with `#=> ` show
what the lines above them print; `…` in one of them stands for anything, a line of it alone for any lines. Where none
stands, anything may be printed. A ```console block is for reading and is not run.

`python -m tests.shown_commands docs/PAGE.md` does this from the top of the checkout, with an empty home.
"""

import argparse
import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SHOWN: Final = "#=> "
_ANYTHING: Final = "…"
_TIMEOUT: Final = 600.0
# What a page waits for takes longer on a machine that runs other tests at the same time: twice as long here.
_PRELUDE: Final = """set -euo pipefail
sleep() { command sleep "$(($1 * 2))"; }
"""
_TIMED_OUT: Final = 124  # as timeout(1) says it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """Lines to run, and what they are shown to print; None where nothing is shown."""

    commands: str
    shown: str | None

    def prints(self, output: str) -> bool:
        if self.shown is None:
            return True
        return re.fullmatch(_pattern(self.shown), _plain(output), re.DOTALL) is not None


def _plain(output: str) -> str:
    """Without what no page shows: carriage returns of HTTP heads, blanks and empty lines at the end."""
    return "\n".join(line.rstrip() for line in output.split("\n")).rstrip("\n")


def _pattern(shown: str) -> str:
    parts = []
    for line in shown.split("\n"):
        if line == _ANYTHING:
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            parts.append(r"[^\n]*".join(map(re.escape, line.split(_ANYTHING))) + r"\n")
    pattern = "".join(parts)
    # The output's last line has no line end; neither has the pattern's, whatever stands there.
    return pattern.removesuffix(r"\n") if pattern.endswith(r"\n") else pattern + r"[^\n]*"


def steps_of(page: str) -> list[Step]:
    """The steps of a page, in order: a step ends with the last line of what it shows, or with its block."""
    return [step for block in _BLOCK.findall(page) for step in _steps_of_block(block)]


def _steps_of_block(block: str) -> list[Step]:
    steps: list[Step] = []
    commands: list[str] = []
    shown: list[str] = []

    def end() -> None:
        if commands:
            steps.append(Step(commands="\n".join(commands), shown="\n".join(shown) if shown else None))
        commands.clear()
        shown.clear()

    for line in block.splitlines():
        if line.startswith(_SHOWN.rstrip()):
            shown.append(line.removeprefix(_SHOWN.rstrip()).removeprefix(" "))
            continue
        if shown:
            end()
        commands.append(line)
    end()
    return steps


def run(page: str, *, folder: Path, environment: Mapping[str, str]) -> None:
    """Run the page's steps in `folder`. Raises `AssertionError` for the first that fails or prints something else."""
    steps = steps_of(page)
    assert steps, "the page shows no command"
    with tempfile.TemporaryDirectory() as outputs:
        script = _PRELUDE + "".join(
            f"exec > {outputs}/{number} 2>&1\n{step.commands}\n" for number, step in enumerate(steps)
        )
        code = _run_script(script, folder, environment)
        for number, step in enumerate(steps):
            output = Path(outputs, str(number))
            last = not Path(outputs, str(number + 1)).exists()
            printed = output.read_text()
            assert step.prints(printed), f"{step.commands}\n-- prints --\n{printed}\n-- and not --\n{step.shown}"
            assert code == 0 or not last, f"{step.commands}\n-- ends with {code} --\n{printed}"


def _run_script(script: str, folder: Path, environment: Mapping[str, str]) -> int:
    """The exit code; what the script left running in the background is ended."""
    argv = ["bash", "-c", script]
    with subprocess.Popen(
        argv, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, start_new_session=True
    ) as bash:
        try:
            return bash.wait(_TIMEOUT)
        except subprocess.TimeoutExpired:
            return _TIMED_OUT
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(bash.pid, signal.SIGKILL)


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the commands of a page.")
    parser.add_argument("page", type=Path)
    page = parser.parse_args().page
    with tempfile.TemporaryDirectory() as home:
        run(page.read_text(), folder=Path.cwd(), environment={**os.environ, "HOME": home})
    print(f"{page}: all commands run, and print what is shown")
    return 0


if __name__ == "__main__":
    sys.exit(main())
