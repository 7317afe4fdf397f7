"""The upstream (nginx) and the proxies that the gateway is measured beside, each in its usual configuration.

HAProxy does what the gateway does with each request: signature, algorithm, expiry, identity from the claim. The others
only proxy: nobody is asked for a token, nothing is removed or added but what they add by themselves.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conformance.forging import SIGNING_KEY
from tests.integration.processes import free_port

MEBIBYTE = 1024 * 1024
HELLO = b"hello world\n"
UPLOADED = b"taken\n"
IDLE_CONNECTIONS = 20_000

_NGINX_FRAME = """
worker_processes 1; daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
worker_rlimit_nofile {connections};
events {{ worker_connections {connections}; }}
http {{
  access_log off; keepalive_requests 10000000; keepalive_timeout 300s; client_max_body_size 0; sendfile on;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  {servers}
}}
"""

# /upload answers when the whole body is here: it is buffered, and then asked of a second server without it. A plain
# `return` would answer before the body and never read it.
_UPSTREAM = """
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type text/plain; return 200 "hello world\\n"; }}
    location /mebibyte {{ root {folder}; }}
    location /upload {{
      client_body_buffer_size 2m; proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_pass http://unix:{folder}/taken.socket:/;
    }}
  }}
  server {{ listen unix:{folder}/taken.socket; location / {{ default_type text/plain; return 200 "taken\\n"; }} }}
"""

_NGINX_PROXY = """
  upstream backend {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
"""

_HAPROXY = """
global
  nbthread 1
  maxconn {connections}
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 60s
  option forwardfor
frontend clients
  bind 127.0.0.1:{port}
  http-request set-var(txn.token) http_auth_bearer
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_header_query('$.alg') -m str "HS256" }}
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify("HS256","{key}") -m int 1 }}
  http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request del-header authorization
  http-request set-header X-User-Id %[var(txn.token),jwt_payload_query('$.user_id')]
  default_backend upstream
backend upstream
  http-reuse always
  server one 127.0.0.1:{upstream}
"""

_CADDY = """
{{
  admin off
  auto_https off
  persist_config off
  storage file_system {folder}
}}
http://:{port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{upstream}
}}
"""

_TRAEFIK = """
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
log: {{level: ERROR}}
entryPoints: {{web: {{address: "127.0.0.1:{port}"}}}}
providers: {{file: {{filename: "{folder}/routes.yaml", watch: false}}}}
"""

_TRAEFIK_ROUTES = """
http:
  routers: {{all: {{rule: "PathPrefix(`/`)", service: upstream, entryPoints: [web]}}}}
  services: {{upstream: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{upstream}"}}]}}}}}}
"""

Command = tuple[list[str], int]
"""A server's argv and the port that it will listen on."""


def find(tool: str) -> str | None:
    """Where a program is: on the path, or beside this interpreter, where the `test` extra puts Caddy and Traefik."""
    return shutil.which(tool) or shutil.which(tool, path=str(Path(sys.executable).parent))


def program(tool: str) -> str:
    """As `find`. Raises `LookupError` when it is not installed."""
    path = find(tool)
    if path is None:
        raise LookupError(f"{tool} is not installed")
    return path


def versions() -> dict[str, str]:
    """Of the peers that are installed."""
    asked = {"haproxy": "-v", "nginx": "-v", "caddy": "version", "traefik": "version"}
    found = {}
    for tool, question in asked.items():
        if find(tool) is not None:
            done = subprocess.run([program(tool), question], capture_output=True, text=True)
            number = re.search(r"\d+(?:\.\d+)+", done.stdout + done.stderr)
            found[tool] = number[0] if number else "?"
    return found


def upstream_command(folder: Path) -> Command:
    (folder / "mebibyte").write_bytes(b"x" * MEBIBYTE)
    return _nginx(folder, _UPSTREAM)


def nginx_command(folder: Path, upstream: int) -> Command:
    return _nginx(folder, _NGINX_PROXY, upstream=upstream)


def _nginx(folder: Path, servers: str, **values: int) -> Command:
    port = free_port()
    text = servers.format(folder=folder, port=port, **values)
    config = folder / "nginx.conf"
    config.write_text(_NGINX_FRAME.format(folder=folder, servers=text, connections=IDLE_CONNECTIONS))
    return [program("nginx"), "-e", f"{folder}/nginx.log", "-c", str(config)], port


def haproxy_command(folder: Path, upstream: int) -> Command:
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(
        _HAPROXY.format(port=port, key=SIGNING_KEY, upstream=upstream, connections=IDLE_CONNECTIONS // 2 - 100)
    )
    return [program("haproxy"), "-db", "-f", str(config)], port


def caddy_command(folder: Path, upstream: int) -> Command:
    port = free_port()
    config = folder / "Caddyfile"
    config.write_text(_CADDY.format(port=port, upstream=upstream, folder=folder))
    return [program("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"], port


def traefik_command(folder: Path, upstream: int) -> Command:
    port = free_port()
    config = folder / "traefik.yaml"
    config.write_text(_TRAEFIK.format(port=port, folder=folder))
    (folder / "routes.yaml").write_text(_TRAEFIK_ROUTES.format(upstream=upstream))
    return [program("traefik"), f"--configFile={config}"], port


PEERS: dict[str, Callable[[Path, int], Command]] = {
    "haproxy": haproxy_command,
    "nginx": nginx_command,
    "caddy": caddy_command,
    "traefik": traefik_command,
}
TITLES = {
    "direct": "nginx itself, no proxy",
    "haproxy": "HAProxy, jwt_verify",
    "nginx": "nginx, no auth",
    "caddy": "Caddy, no auth",
    "traefik": "Traefik, no auth",
}
