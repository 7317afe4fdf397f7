"""A Django application with the library and a gateway, configured alike: same key, same users, same lifetimes."""

import asyncio
import contextlib
import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.composition.state import build_hasher, open_users
from gateway.config.load import load
from gateway.config.model import Config
from tests.conformance.forging import SIGNING_KEY
from tests.conformance.users import USERS
from tests.conformance.wire import Reply, exchange, request
from tests.integration import processes
from tests.integration.processes import Server

USERS_FILE = "users.sqlite3"
ECHO_BACKEND = Path(processes.__file__).with_name("echo_backend.py")
POLL_TIMEOUT = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """What is configured beyond the defaults: SIMPLE_JWT settings there, sections of the YAML file here."""

    simple_jwt: Mapping[str, Any]
    gateway: Mapping[str, Mapping[str, Any]]
    signing_key: str = SIGNING_KEY


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Two running servers that shall answer alike."""

    library: Server
    gateway: Server
    config: Path
    environment: Mapping[str, str]

    @property
    def servers(self) -> tuple[Server, Server]:
        return self.library, self.gateway

    def change_user(self, action: str, username: str) -> None:
        """`disable` or `remove` a user on both sides."""
        target = f"/control/{action}/{username}/".encode()
        done = exchange(self.library.port, request(b"GET", target))
        assert done.status == 200, done
        processes.run_gateway(["user", action, username, "--config", str(self.config)], environment=self.environment)


def gateway_settings(*, port: int, upstreams: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """The sections that every test configuration has; hashing costs next to nothing."""
    return {
        "listen": {"port": port},
        "admin": {"enabled": False},  # several gateways run at the same time
        "guessing": {"enabled": False},  # tables of log-ins that fail come from one address
        "tokens": {"signing_key": {"env": "GATEWAY_SIGNING_KEY"}},
        "upstreams": {name: {"servers": [url]} for name, url in upstreams.items()},
        "routes": [],
        "users": {
            "sqlite": str(folder / USERS_FILE),
            "argon2": {"time_cost": 1, "memory_cost": "8KiB", "parallelism": 1},
        },
    }


def make_users(folder: Path) -> Path:
    """The gateway's file with the users, made once and copied for every pair.

    In this process and not by `gateway user`: a dozen commands would take as long as all the cases together.
    """
    settings = gateway_settings(port=1, upstreams={"legacy": "http://127.0.0.1:1"}, folder=folder)
    settings["routes"] = [{"path": "/", "upstream": "legacy"}]
    config = load(processes.write_gateway_config(folder, settings), {"GATEWAY_SIGNING_KEY": SIGNING_KEY}).config
    asyncio.run(_add_users(config))
    return folder / USERS_FILE


async def _add_users(config: Config) -> None:
    hasher = build_hasher(config)
    async with open_users(config) as directory:
        for user in USERS:
            name = user["username"]
            encoded = hasher.hash(user["password"])
            await directory.add(username=name, email=user["email"], roles=(), password_hash=encoded)
            if user["state"] == "inactive":
                await directory.set_active(name, is_active=False)
            if user["state"] == "deleted":
                await directory.remove(name)


@contextlib.contextmanager
def running_library(variant: Variant, folder: Path) -> Iterator[Server]:
    environment = {
        "SIGNING_KEY": variant.signing_key,
        "SIMPLE_JWT": json.dumps(variant.simple_jwt),
        "USERS": json.dumps(USERS),
    }
    with processes.django_project("reference", folder=folder, environment=environment) as server:
        yield server


@contextlib.contextmanager
def running_gateway(variant: Variant, library: Server, users_file: Path, folder: Path) -> Iterator[Pair]:
    """The gateway in front of an echoing backend, beside a running library."""
    shutil.copy(users_file, folder / USERS_FILE)
    environment = {"GATEWAY_SIGNING_KEY": variant.signing_key}
    port = processes.free_port()
    with processes.python_server("echo", ECHO_BACKEND, folder=folder) as echo:
        settings = gateway_settings(port=port, upstreams={"legacy": echo.url}, folder=folder)
        settings["routes"] = [
            {"path": "/api/hello", "upstream": "legacy"},
            {"path": "/api/open", "upstream": "legacy", "access": "optional"},
            {"path": "/api/stateless", "upstream": "legacy", "stateless": True},
            {"path": "/api/minute", "upstream": "legacy", "rate_limit": {"requests": 1, "per": "1m"}},
            {"path": "/api/second", "upstream": "legacy", "rate_limit": {"requests": 1, "per": "1s"}},
        ]
        for section, values in variant.gateway.items():
            settings[section] = {**settings.get(section, {}), **values}
        config = processes.write_gateway_config(folder, settings)
        with processes.gateway(config, port=port, environment=environment) as gateway:
            yield Pair(library=library, gateway=gateway, config=config, environment=environment)
            # Checked when the last test is through: hostile input of any kind leaves no trace of an exception.
            assert "Traceback" not in gateway.output(), gateway.output()


def poll(port: int, sent: bytes, is_wanted: Callable[[Reply], bool]) -> Reply:
    """Ask until the answer is as wanted: the gateway hears of changes by other processes within about a second."""
    deadline = time.monotonic() + POLL_TIMEOUT
    while True:
        reply = exchange(port, sent)
        if is_wanted(reply) or time.monotonic() > deadline:
            return reply
        time.sleep(0.05)
