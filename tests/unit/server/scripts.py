"""Programs of a few lines as processes of their own: signals and forks would hit the test runner."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

CHECKOUT = Path(__file__).parents[3]
TIMEOUT = 20


@contextlib.contextmanager
def script(source: str, *arguments: str, **options: object) -> Iterator["Script"]:
    """Run `source` with `arguments`; killed when the context ends. Its output is read line by line."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", source, *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,  # type: ignore[call-overload]
    )
    with process:
        try:
            yield Script(process)
        finally:
            process.kill()


class Script:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.pid = process.pid
        assert process.stdout is not None
        self._output: IO[str] = process.stdout

    def line(self) -> str:
        return self._output.readline().rstrip("\n")

    def line_with(self, text: str) -> str:
        """The next line that holds `text`; fails when the output ends without one."""
        for line in self._output:
            if text in line:
                return line.rstrip("\n")
        raise AssertionError(f"no line with {text!r}")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, list[str]]:
        """Wait for it; the exit code and the lines that have not been read."""
        rest = self._output.read().splitlines()
        return self._process.wait(TIMEOUT), rest
