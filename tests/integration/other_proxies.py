"""The proxies of `deploy/forward-auth`, really running, with nothing changed in their files but ports and folders."""

import contextlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT, get
from tests.integration.processes import CHECKOUT, Server, free_port
from tests.integration.raw_client import RawClient, ask
from tests.integration.scripted_upstream import ScriptedUpstream

EXAMPLES: Final = CHECKOUT / "deploy/forward-auth"
PASSWORDS: Final = {"alice": "alice-password", "bob": "bob-password"}  # Bob has the role `staff`
PROXY, GATEWAY, BACKEND = 8000, 8080, 9000  # in the files

_NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  include {folder}/app.conf;
}}
"""


def find(tool: str) -> str | None:
    """On the path, where Debian puts servers, or beside this interpreter, where wheels put programs."""
    return shutil.which(tool) or shutil.which(tool, path=f"/usr/sbin:{Path(sys.executable).parent}")


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Proxy, gateway and backend; `port` is the proxy's."""

    kind: str
    port: int
    proxy: Server
    gateway: Server
    backend: ScriptedUpstream
    config: Path

    def connect(self) -> RawClient:
        return RawClient(self.port)

    def run(self, *arguments: str, stdin: str = "") -> str:
        return processes.run_gateway([*arguments, "--config", str(self.config)], environment=ENVIRONMENT, stdin=stdin)


@contextlib.contextmanager
def deployed(kind: str, folder: Path, *, changes: Mapping[str, str] | None = None) -> Iterator[Deployment]:
    """`changes` are made in the gateway's file: text → another one."""
    with ScriptedUpstream().running() as backend:
        config = folder / "gateway.yaml"
        text = (EXAMPLES / "gateway.yaml").read_text() + "admin: {enabled: false}\n"
        text = text.replace("./gateway.sqlite3", str(folder / "gateway.sqlite3"))
        for before, after in (changes or {}).items():
            assert before in text
            text = text.replace(before, after)
        config.write_text(text)
        for user, password in PASSWORDS.items():
            roles = ["--role", "staff"] if user == "bob" else []
            add = ["user", "add", user, *roles, "--config", str(config)]
            processes.run_gateway(add, environment=ENVIRONMENT, stdin=f"{password}\n")
        # Not before: a port that is free may be somebody else's a second later.
        ports = {PROXY: free_port(), GATEWAY: free_port(), BACKEND: backend.port}
        config.write_text(_with_ports(text, ports))
        command = _COMMANDS[kind](folder, ports)
        with (
            processes.gateway(config, port=ports[GATEWAY], environment=ENVIRONMENT) as gateway,
            processes.running(kind, command, port=ports[PROXY], folder=folder) as proxy,
        ):
            backend.wait_until(lambda: _is_ready(ports[PROXY]))
            yield Deployment(kind=kind, port=ports[PROXY], proxy=proxy, gateway=gateway, backend=backend, config=config)


def _is_ready(port: int) -> bool:
    """Traefik listens before it has read its routes, and answers in its own words."""
    return b"404 page not found" not in ask(port, get("/")).body


def _with_ports(text: str, ports: Mapping[int, int]) -> str:
    return re.sub(r"\b(8000|8080|9000)\b", lambda found: str(ports[int(found[1])]), text)


def _nginx(folder: Path, ports: Mapping[int, int]) -> list[str]:
    (folder / "app.conf").write_text(_with_ports((EXAMPLES / "nginx.conf").read_text(), ports))
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder))
    return [_program("nginx"), "-e", f"{folder}/nginx.log", "-c", f"{folder}/nginx.conf"]


def _caddy(folder: Path, ports: Mapping[int, int]) -> list[str]:
    own = f"{{\n\tadmin off\n\tpersist_config off\n\tstorage file_system {folder}/caddy\n}}\n"
    (folder / "Caddyfile").write_text(own + _with_ports((EXAMPLES / "Caddyfile").read_text(), ports))
    return [_program("caddy"), "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]


def _traefik(folder: Path, ports: Mapping[int, int]) -> list[str]:
    for name in ("traefik.yaml", "routes.yaml"):
        (folder / name).write_text(_with_ports((EXAMPLES / name).read_text(), ports))
    return [_program("traefik"), f"--configFile={folder}/traefik.yaml"]


def _program(tool: str) -> str:
    path = find(tool)
    assert path is not None
    return path


_COMMANDS: Final[Mapping[str, Callable[[Path, Mapping[int, int]], list[str]]]] = {
    "nginx": _nginx,
    "caddy": _caddy,
    "traefik": _traefik,
}
KINDS: Final = tuple(_COMMANDS)
