"""Real server processes for the tests: started on a free loopback port, awaited, stopped by their own process group.

Each server writes its output to a file; `tests/conftest.py` shows the end of it below a failing test.
"""

import contextlib
import dataclasses
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gateway.observability.log_lines import as_text
from tests import secret_scan

START_TIMEOUT = 20.0  # Django with its migrations takes 2 s on an idle core, the two cores may be busy with other tests
STOP_TIMEOUT = 10.0
BACKENDS = Path(__file__).parent / "django_backends"
CHECKOUT = Path(__file__).parents[2]


@dataclasses.dataclass(kw_only=True)
class Server:
    """A running process that listens on `port` of 127.0.0.1."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def output(self) -> str:
        """What the process wrote so far; of the gateway what requests came to in JSON, what it tells of itself in words."""
        return "\n".join(map(_in_words, self.raw_output().split("\n")))

    def raw_output(self) -> str:
        """What the process wrote to standard output and standard error so far."""
        return self.log.read_text(errors="replace")


def _in_words(line: str) -> str:
    if not line.startswith('{"time":') or not line.endswith("}"):
        return line  # somebody else's, or not written to its end yet
    members = json.loads(line)
    is_of_request = members["logger"] in ("gateway.access", "gateway.audit") and "client" in members
    return line if is_of_request else as_text(members)


def free_port() -> int:
    """Below the ports that the kernel gives to outgoing connections: any of those may be one by the time it is bound."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("a hundred ports are in use")


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    # The checkout is found by PYTHONPATH because the working directory of a server is its own folder.
    return {**kept, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1", **extra}


def _await_port(server: Server) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"{server.name} ended with {server.process.returncode}:\n{server.output()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{server.name} did not listen within {START_TIMEOUT:.0f} s:\n{server.output()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the server, SIGKILL to whatever is left of its process group (gunicorn's worker)."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_TIMEOUT)


@contextlib.contextmanager
def running(
    name: str, argv: Sequence[str], *, port: int, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run `argv` until the context ends; entered when `port` accepts connections."""
    log = folder / f"{name}.log"
    secret_scan.learn_environment(environment or {})
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=_environment(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(name=name, port=port, process=process, log=log)
    try:
        _await_port(server)
        yield server
    finally:
        _stop(process)
    secret_scan.check(server.raw_output(), by=name)


@contextlib.contextmanager
def python_server(name: str, script: Path, *arguments: str, folder: Path) -> Iterator[Server]:
    """Run `script PORT arguments…` with this interpreter."""
    port = free_port()
    with running(name, [sys.executable, str(script), str(port), *arguments], port=port, folder=folder) as server:
        yield server


@contextlib.contextmanager
def django_project(project: str, *, folder: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """Serve a project of `django_backends/` under gunicorn with one synchronous worker.

    The project's `wsgi` module migrates its database, `DATABASE` in the environment, and makes its users itself: a
    second Django process for that would cost another second.
    """
    port = free_port()
    name = f"django-{project.replace('_', '-')}"
    gunicorn = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "1"]
    options = [
        "--chdir",
        str(BACKENDS),
        "--log-level",
        "warning",
        "--worker-tmp-dir",
        str(folder),
        "--no-control-socket",
    ]
    # Preloaded, so that the port opens only when the application is ready, and a faulty one ends the process.
    options.append("--preload")
    variables = {
        "DJANGO_SETTINGS_MODULE": f"{project}.settings",
        "DATABASE": str(folder / f"{name}.sqlite3"),
        **environment,
    }
    argv = [*gunicorn, *options, f"{project}.wsgi:application"]
    with running(name, argv, port=port, folder=folder, environment=variables) as server:
        yield server


def run_gateway(arguments: Sequence[str], *, environment: Mapping[str, str], stdin: str = "") -> str:
    """Run `gateway ARGUMENTS…` to its end, which must be a success, and give what it printed."""
    secret_scan.learn_environment(environment)
    secret_scan.learn([stdin])
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        input=stdin.encode(),
        env=_environment(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=START_TIMEOUT,
    )
    if done.returncode:
        raise RuntimeError(f"gateway {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout.decode()}")
    secret_scan.check_command(arguments, done.stdout.decode())
    return done.stdout.decode()


def write_gateway_config(folder: Path, settings: Mapping[str, Any]) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True))
    return path


@contextlib.contextmanager
def gateway(config: Path, *, port: int, environment: Mapping[str, str], name: str = "gateway") -> Iterator[Server]:
    """Run `gateway run --config CONFIG`; `port` is the one that the file names."""
    argv = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
    with running(name, argv, port=port, folder=config.parent, environment=environment) as server:
        yield server
