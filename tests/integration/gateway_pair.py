"""Two gateways on one store, whichever keeps it: real processes and real servers."""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT, Plane, get, post, running_plane
from tests.integration.processes import Server
from tests.integration.raw_client import Answer, ask
from tests.postgres_server import PostgresServer
from tests.redis_servers import BINARIES, LocalServer, running

SQLITE: Final = "sqlite"
POSTGRES: Final = "postgres"
APART: Final = "postgres and valkey"  # users in the one, state in the other
SERVERS: Final = (POSTGRES, *sorted(BINARIES))
ENGINES: Final = (SQLITE, *SERVERS)
DURABLE: Final = ("--appendonly", "yes", "--appendfsync", "always")
JSON: Final = b"Content-Type: application/json"


class Pair:
    """Gateways `one` and `other`, which share users and state; `store` is the server that keeps the state, if any."""

    def __init__(self, plane: Plane, other: Server, store: LocalServer | PostgresServer | None) -> None:
        self.one, self.other, self.store = plane.port, other.port, store
        self.plane = plane
        self.servers = (plane.gateway, other)
        self.config = plane.gateway.log.with_name("gateway.yaml")

    def command(self, *arguments: str, stdin: str = "") -> None:
        """`gateway user …`, by a third process."""
        processes.run_gateway(["user", *arguments, "--config", str(self.config)], environment=ENVIRONMENT, stdin=stdin)

    def post(self, port: int, path: str, **content: str) -> Answer:
        return ask(port, post(path, json.dumps(content).encode(), JSON))

    def log_in(self, port: int, name: str = "alice") -> Any:
        answer = self.post(port, "/api/token/", username=name, password=f"{name}-password")
        assert answer.status == 200
        return answer.json()

    def refresh(self, port: int, tokens: Any) -> Answer:
        return self.post(port, "/api/token/refresh/", refresh=tokens["refresh"])

    def log_out(self, port: int, tokens: Any) -> None:
        assert self.post(port, "/api/token/blacklist/", refresh=tokens["refresh"]).status == 200

    def await_refusal(self, port: int, tokens: Any) -> float:
        """Of an access token; after how many seconds it came, which may be more on a machine that is busy."""
        began = time.monotonic()
        while self.status_with(port, tokens) != 401:
            assert time.monotonic() - began < 20
            time.sleep(0.005)
        return time.monotonic() - began

    def status_with(self, port: int, tokens: Any) -> int:
        return ask(port, get("/users/x", b"Authorization: Bearer " + tokens["access"].encode())).status


@contextlib.contextmanager
def engine(name: str, folder: Path) -> Iterator[tuple[LocalServer | PostgresServer | None, dict[str, Any]]]:
    """The server, none of them for SQLite, and what leads a `running_plane` to it."""
    if name == SQLITE:
        yield None, {}
    elif name == POSTGRES:
        server = PostgresServer()
        server.start()
        try:
            yield server, {"directory": {"sqlite": None, "url": _secret("users_url", server.url(), folder)}}
        finally:
            server.remove()
    elif name == APART:
        with engine(POSTGRES, folder) as (server, users), engine("valkey", folder) as (_, state):
            yield server, users | state
    else:
        with running(name, folder, *DURABLE) as redis:
            yield redis, {"state": {"url": _secret("state_url", redis.url, folder)}}


def _secret(name: str, text: str, folder: Path) -> dict[str, str]:
    file = folder / name
    file.touch(mode=0o600)
    file.write_text(text)
    return {"file": str(file)}


@contextlib.contextmanager
def running_pair(name: str, folder: Path, users: Sequence[str] = ("alice",)) -> Iterator[Pair]:
    """Everything in SQLite or PostgreSQL; or the state in Redis, beside users in SQLite or, `APART`, in PostgreSQL."""
    with engine(name, folder) as (store, sections):
        sections["tokens"] = {"rotate_refresh_tokens": True}
        routes = [{"path": "/users", "upstream": "main"}]
        with running_plane(folder, users=users, routes=routes, **sections) as plane, beside(folder, "other") as other:
            yield Pair(plane, other, store)


@contextlib.contextmanager
def beside(folder: Path, name: str) -> Iterator[Server]:
    """Another gateway with the configuration in `folder`."""
    port = processes.free_port()
    config = yaml.safe_load((folder / "gateway.yaml").read_text())
    config["listen"]["port"] = port
    (folder / name).mkdir()
    path = processes.write_gateway_config(folder / name, config)
    with processes.gateway(path, port=port, environment=ENVIRONMENT, name=name) as other:
        yield other
