"""The gateway in the variants that are measured, and the stores behind them."""

import asyncio
import sqlite3
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.auth.passwords import PasswordHasher
from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from gateway.users.sqlite import SqliteUserDirectory
from tests.benchmarks.peers import Command
from tests.conformance.forging import NOW
from tests.integration.processes import free_port, write_gateway_config

USERS = 64
PASSWORD = "benchmark-pass-1"
GATEWAY_CONNECTIONS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What differs from a gateway with every default: parts of its file, and how full table and store are."""

    title: str
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    route_options: Mapping[str, Any] = field(default_factory=dict)
    routes: int = 1
    revocations: int = 0
    users: int = USERS


VARIANTS = {
    "gateway": Variant(title="gateway"),
    "unlogged": Variant(title="gateway, access log off", sections={"log": {"access": False}}),
    "loaded": Variant(title="gateway, full tables", routes=1000, revocations=100_000, users=1_000_000),
    "websocket": Variant(
        title="gateway with WebSockets",
        route_options={"websocket": {"allow_origins": ["*"], "max_per_user": GATEWAY_CONNECTIONS}},
    ),
}


def gateway_command(folder: Path, upstream: int, variant: Variant) -> Command:
    port = free_port()
    # `/hello` is one of them; a route of each further path stands beside it.
    paths = ["/", "/hello", *(f"/hello-{number}" for number in range(variant.routes - 2))][: variant.routes]
    settings: dict[str, Any] = {
        "listen": {"port": port},
        "admin": {"enabled": False},  # several gateways run at the same time
        "tokens": {"signing_key": {"env": "GATEWAY_SIGNING_KEY"}},
        "upstreams": {"backend": {"servers": [f"http://127.0.0.1:{upstream}"]}},
        "routes": [{"path": path, "upstream": "backend", **variant.route_options} for path in paths],
        "users": {"sqlite": str(folder / "gateway.sqlite3")},
        "limits": {"connections": {"max": GATEWAY_CONNECTIONS}},
    }
    for name, section in variant.sections.items():
        settings[name] = {**settings.get(name, {}), **section}
    config = write_gateway_config(folder, settings)
    asyncio.run(_fill(folder / "gateway.sqlite3", variant))
    return [sys.executable, "-m", "gateway", "run", "--config", str(config)], port


async def _fill(path: Path, variant: Variant) -> None:
    """Users 1 to n, one password for all, and revoked token ids, in the product's own tables."""
    hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024 * 1024, parallelism=1)
    password_hash = hasher.hash(PASSWORD)
    file = SqliteFile.open(path)
    await SqliteUserDirectory(file, login_attribute="username").prepare()
    await SqliteStateStore(file).prepare()

    def insert(connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT INTO users (username, email, roles, password_hash) VALUES (?, '', '[]', ?)",
            ((f"user{number}", password_hash) for number in range(1, variant.users + 1)),
        )
        connection.executemany(
            "INSERT INTO revocations (kind, revoked_id, expires_at) VALUES ('token', ?, ?)",
            ((b"revoked-%025d" % number, NOW + 86_400) for number in range(variant.revocations)),
        )

    await file.write(insert)
    await file.close()
