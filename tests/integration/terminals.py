"""Programs on a pseudo-terminal, as a person runs them: with a prompt, without echo, ended with Ctrl-C."""

import contextlib
import errno
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

# Makes standard input the controlling terminal, which is what /dev/tty and Ctrl-C go by, then becomes the program.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A running program and what it has written on its terminal so far."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self._process = process
        self._master = master
        self._written = b""

    @property
    def text(self) -> str:
        """Without colours, line ends as in a file."""
        return _STYLE.sub("", self._written.decode(errors="replace")).replace("\r\n", "\n")

    def type(self, text: str) -> Self:
        os.write(self._master, text.encode())
        return self

    def wait_for(self, text: str, *, timeout: float = 20.0) -> Self:
        deadline = time.monotonic() + timeout
        while text not in self.text:
            assert time.monotonic() < deadline, f"{text!r} did not come in {timeout} s:\n{self.text}"
            assert self._read(deadline), f"The program ended without {text!r}:\n{self.text}"
        return self

    def wait(self, *, timeout: float = 30.0) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            assert time.monotonic() < deadline, f"The program did not end in {timeout} s:\n{self.text}"
        return self._process.wait(timeout)

    def _read(self, deadline: float) -> bool:
        """Read what there is within the time; False at the end."""
        readable, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            return True
        try:
            chunk = os.read(self._master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # how Linux says that nobody has the terminal open any more
                raise
            return False
        self._written += chunk
        return bool(chunk)


@contextlib.contextmanager
def on_terminal(argv: Sequence[str], *, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Run `argv` with a terminal as its standard input, output and error."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(environment),
            start_new_session=True,
        )
    finally:
        os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)
