"""A configuration to run the commands on, and what they read and write."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli import main

SIGNING_KEY = "Jt3yV0mCq8ZsU5nXw2LbHd7RkGf9PaEo4iTzQx6WvYc"

CONFIGURATION = """\
tokens:
  signing_key: {env: GATEWAY_SIGNING_KEY}
upstreams:
  app: {servers: ["http://127.0.0.1:9000"]}
  files: {servers: ["http://127.0.0.1:9001"]}
routes:
  - {path: /, upstream: app}
  - {path: /public, upstream: files, access: public}
  - {path: /feed, upstream: app, access: optional, methods: [GET, HEAD]}
  - {path: /staff, upstream: app, roles: [staff, editor], stateless: true}
users: {sqlite: DATABASE}
"""


class Terminal(io.TextIOWrapper):
    """Standard input that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GATEWAY_SIGNING_KEY", SIGNING_KEY)
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIGURATION.replace("DATABASE", json.dumps(str(tmp_path / "users.sqlite3"))))
    return path


@pytest.fixture
def give_stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Put bytes on standard input, which is a pipe then."""
    return lambda content: monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line: exit code, standard output, standard error."""

    def run_command(*argv: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in argv])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run_command
