"""The real gateway in front of the scripted upstream, with one route for each kind of rule."""

import contextlib
import dataclasses
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.conformance.forging import SIGNING_KEY, token
from tests.integration import processes
from tests.integration.processes import Server
from tests.integration.raw_client import Answer, RawClient, ask
from tests.integration.scripted_upstream import ScriptedUpstream

# `stateless` where no user is needed: the tokens are forged with the shared key, the directory is empty.
ROUTES: Final[tuple[Mapping[str, Any], ...]] = (
    {"path": "/public", "upstream": "main", "access": "public"},
    {"path": "/optional", "upstream": "main", "access": "optional", "stateless": True},
    {"path": "/required", "upstream": "main", "stateless": True},
    {"path": "/keep", "upstream": "main", "stateless": True, "keep_authorization": True},
    {"path": "/read", "upstream": "main", "access": "public", "methods": ["GET", "HEAD"]},
    {"path": "/admin", "upstream": "main", "stateless": True, "roles": ["admin"]},
    {"path": "/admin/open", "upstream": "main", "access": "public"},
    {"path": "/host", "upstream": "main", "access": "public", "host": "upstream"},
)
HOST: Final = b"Host: api.example.org"
ENVIRONMENT: Final = {"GATEWAY_SIGNING_KEY": SIGNING_KEY}


def bearer(**claims: Any) -> bytes:
    """The Authorization line of user 1."""
    return b"Authorization: Bearer " + token("access", **claims)


def get(target: str, *lines: bytes, method: str = "GET", version: str = "HTTP/1.1") -> bytes:
    """A request without a body; `lines` stand behind Host."""
    return b"\r\n".join([f"{method} {target} {version}".encode("latin-1"), HOST, *lines, b"", b""])


def post(target: str, body: bytes, *lines: bytes, method: str = "POST") -> bytes:
    """A request with a length."""
    return get(target, *lines, b"Content-Length: %d" % len(body), method=method) + body


def chunked(target: str, coded: bytes, *lines: bytes) -> bytes:
    """A POST whose body is already coded."""
    return get(target, *lines, b"Transfer-Encoding: chunked", method="POST") + coded


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plane:
    """A running gateway and what stands behind it."""

    gateway: Server
    upstream: ScriptedUpstream

    @property
    def servers(self) -> tuple[Server]:
        return (self.gateway,)

    @property
    def port(self) -> int:
        return self.gateway.port

    def connect(self, **options: Any) -> RawClient:
        return RawClient(self.port, **options)

    def ask(self, request: bytes, **options: Any) -> Answer:
        return ask(self.port, request, **options)

    @contextlib.contextmanager
    def bounded_memory(self, most: int) -> Iterator[None]:
        """Fails when the gateway's resident set ever grows by more than `most` bytes inside (checklist 75)."""
        process = Path(f"/proc/{self.gateway.process.pid}")
        (process / "clear_refs").write_text("5")  # sets the high-water mark back to what is resident now
        before = _status_bytes(process, "VmHWM")
        yield
        grown = _status_bytes(process, "VmHWM") - before
        assert grown < most, f"{grown / 1024**2:.1f} MiB"


def _status_bytes(process: Path, name: str) -> int:
    status = (process / "status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024


def settings(*, port: int, upstreams: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, Any]:
    return {
        "listen": {"port": port},
        "admin": {"enabled": False},  # several gateways run at the same time
        "guessing": {"enabled": False},  # tables of log-ins that fail come from one address
        "tokens": {"signing_key": {"env": "GATEWAY_SIGNING_KEY"}},
        "upstreams": dict(upstreams),
        "routes": [dict(route) for route in ROUTES],
        "users": {
            "sqlite": str(folder / "users.sqlite3"),
            "argon2": {"time_cost": 1, "memory_cost": "8KiB", "parallelism": 1},
        },
    }


@contextlib.contextmanager
def running_plane(
    folder: Path,
    *,
    upstream: Mapping[str, Any] | None = None,
    further_upstreams: Mapping[str, Mapping[str, Any]] | None = None,
    routes: Sequence[Mapping[str, Any]] = (),
    users: Sequence[str] = (),
    directory: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = ENVIRONMENT,
    **sections: Any,
) -> Iterator[Plane]:
    """`upstream` are settings of the scripted one, `routes` stand beside the usual ones, `sections` are whole sections
    or values of the file, `directory` what stands in the section `users`, `users` the names of users to add, ids from
    1, `environment` is that of the gateway."""
    port = processes.free_port()
    with ScriptedUpstream().running() as scripted:
        main = {"servers": [scripted.url], **(upstream or {})}
        values = settings(port=port, upstreams={"main": main, **(further_upstreams or {})}, folder=folder)
        values["routes"] += [dict(route) for route in routes]
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section} if isinstance(section, Mapping) else section
        values["users"] |= directory or {}
        config = processes.write_gateway_config(folder, values)
        for user in users:
            arguments = ["user", "add", user, "--config", str(config)]
            processes.run_gateway(arguments, environment=ENVIRONMENT, stdin=f"{user}-password\n")
        with processes.gateway(config, port=port, environment=environment) as gateway:
            yield Plane(gateway=gateway, upstream=scripted)
            # Checked when the last test is through: no input leaves a trace of an exception (checklist 84).
            output = gateway.output()
            at = output.find("Traceback")
            assert at < 0, output[max(0, at - 1000) : at + 4000]
            # Still there, or stopped by its test.
            assert gateway.process.poll() in (None, 0, -signal.SIGTERM), gateway.output()
