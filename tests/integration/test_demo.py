"""`gateway demo` as a newcomer meets it: started, its printed lines pasted into a shell, ended with Ctrl-C."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.terminals import on_terminal

CHECKOUT = Path(__file__).parents[2]
HEADINGS = {"curl": "With curl:", "http": "The same with HTTPie:"}
# HTTPie comes with the test extra, curl may be missing on a machine that has only Python.
CLIENTS = [client for client in HEADINGS if client == "http" or shutil.which(client)]


class Demo:
    """A running demo; its temporary files go below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._output, self._errors = folder / "stdout", folder / "stderr"
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "demo", "--port", "0", "--backend-port", "0"],
                cwd=folder,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(self.temporary)},
                stdout=output,
                stderr=errors,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def wait_for_start(self) -> None:
        deadline = time.monotonic() + 20
        while "Ctrl-C ends the demo" not in self.output:
            assert self.process.poll() is None, self.errors
            assert time.monotonic() < deadline, self.output + self.errors
            time.sleep(0.02)

    def story(self, client: str) -> list[str]:
        """The printed lines of one client."""
        _, _, rest = self.output.partition(HEADINGS[client])
        told = re.split(r"\n(?=\S)", rest)[0]
        return [line.strip() for line in told.splitlines() if line.startswith("    ")]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    running = Demo(tmp_path)
    try:
        running.wait_for_start()
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def paste(script: str, home: Path) -> str:
    """What a terminal shows of a script that ends well."""
    # HTTPie is beside this interpreter; a home of its own, for it keeps settings there.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(home), "TERM": "xterm", "LANG": "C.UTF-8"}
    with on_terminal(["bash", "-c", script], environment=environment) as terminal:
        assert terminal.wait() == 0, terminal.text
        return terminal.text


def test_the_readmes_lines_tell_the_story_when_pasted(demo: Demo, tmp_path: Path) -> None:
    readme = (CHECKOUT / "README.md").read_text()
    [block] = re.findall(r"## The story.*?```sh\n(.*?)```", readme, re.DOTALL)
    address = re.search(r"^gateway +http://(\S+)", demo.output, re.MULTILINE)
    assert address
    shown = paste("set -e\n" + block.replace("127.0.0.1:8080", address[1]), tmp_path)
    assert re.search(r"^X-User-Id: 1$", shown, re.MULTILINE)
    assert "HTTP/1.1 401 Unauthorized" in shown
    assert re.search(r'{\s*"access": ?"[\w.-]+"\s*}', shown)


@pytest.mark.parametrize("client", CLIENTS)
def test_the_printed_lines_tell_the_story_when_pasted(client: str, demo: Demo, tmp_path: Path) -> None:
    script = "\n".join(f"{line}\necho '=====' $?" for line in demo.story(client))
    shown = paste(script, tmp_path)
    anonymous, login, tokens, _, _, hello, forged, refresh, _, _, staff = shown.split("=====")[:-1]
    assert re.search(r"HTTP/1.1 401 Unauthorized", anonymous)
    assert 'WWW-Authenticate: Bearer realm="api"' in anonymous
    assert re.search(r'"detail": ?"Authentication credentials were not provided."', anonymous)
    assert login.split() == ["0"]
    assert re.fullmatch(r'{"refresh":"[\w.-]+","access":"[\w.-]+"}', tokens.split("\n")[1])
    assert re.search(r"^GET /hello/ HTTP/1.1$", hello, re.MULTILINE)
    assert re.search(r"^X-User-Id: 1$", hello, re.MULTILINE)
    assert not re.search(r"^Authorization", hello, re.MULTILINE | re.IGNORECASE)
    assert re.findall(r"^X-User-Id: (.*)$", forged, re.MULTILINE) == ["1"]
    assert re.search(r'{\s*"access": ?"[\w.-]+"\s*}', refresh)
    assert re.search(r"HTTP/1.1 403 Forbidden", staff)
    assert shown.count("===== 0") == 11, shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_it_and_leaves_nothing_behind(number: signal.Signals, demo: Demo) -> None:
    assert len(list(demo.temporary.iterdir())) == 1
    demo.process.send_signal(number)
    assert demo.process.wait(10) == 0
    assert list(demo.temporary.iterdir()) == []
    assert demo.output.endswith("The demo has ended; nothing of it is left.\n")
    assert "Traceback" not in demo.errors


def test_passwords_and_keys_are_not_logged(demo: Demo) -> None:
    demo.process.terminate()
    demo.process.wait(10)
    assert "white-rabbit" not in demo.errors
