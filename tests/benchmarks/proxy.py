"""CPU time per proxied authenticated GET: the gateway beside HAProxy with jwt_verify and beside no proxy at all.

    python tests/benchmarks/proxy.py [--seconds 3] [--rounds 3] [--json]

Needs nginx (the upstream) and wrk (the load) from the distribution's packages; HAProxy takes part if it is installed.
The measured process runs on one core, load and upstream on the other. Figures are CPU time of the measured process
(user and system) by requests answered, medians over the rounds; only ratios within one run mean something.
"""

import argparse
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = 32
TICK_MICROSECONDS = 1_000_000 / os.sysconf("SC_CLK_TCK")
PASSWORD = "benchmark-pass-1"

NGINX = """
worker_processes 1; daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 10000000; keepalive_timeout 65s;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type text/plain; return 200 "hello world\\n"; }} }}
}}
"""

# What the gateway does with each request, in HAProxy's words: signature, algorithm, expiry, identity from the claim.
HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
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

GATEWAY = """
listen: {{address: 127.0.0.1, port: {port}, access_log: false}}
upstreams: {{upstream: {{servers: ["http://127.0.0.1:{upstream}"]}}}}
routes: [{{path: /, upstream: upstream}}]
tokens: {{signing_key: {{env: GATEWAY_SIGNING_KEY}}, access_lifetime: 1h}}
users: {{sqlite: "{folder}/users.sqlite3"}}
"""


@dataclass(frozen=True)
class Figures:
    """One peer's medians."""

    peer: str
    cpu_us_per_request: float
    requests_per_second: float
    p99_ms: float
    rss_mib: float


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode} before it listened.")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise SystemExit(f"{process.args!r} does not listen on port {port}.")


@contextlib.contextmanager
def running(arguments: list[str], port: int, core: int, **environment: str) -> Iterator[int]:
    """Runs a server pinned to `core`; gives its process id."""
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=sys.stderr,
        preexec_fn=pin(core),
    )
    try:
        wait_for_port(port, process)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def pin(core: int) -> Callable[[], None]:
    cores = sorted(os.sched_getaffinity(0))
    chosen = {cores[core % len(cores)]}
    return lambda: os.sched_setaffinity(0, chosen)


def cpu_microseconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_MICROSECONDS


def rss_mib(pid: int) -> float:
    match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(match.group(1)) / 1024 if match else 0.0


def load(port: int, pid: int, token: str, seconds: int) -> tuple[float, float, float]:
    """One round of wrk: CPU µs a request, requests a second, p99 in ms. Every answer must be a 200."""
    before = cpu_microseconds(pid)
    url = f"http://127.0.0.1:{port}/hello"
    output = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-H", f"Authorization: Bearer {token}", url],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=pin(1),
    ).stdout
    spent = cpu_microseconds(pid) - before
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"The load on {url} met errors:\n{output}")
    requests = int(re.search(r"(\d+) requests in", output).group(1))  # type: ignore[union-attr]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output).group(1))  # type: ignore[union-attr]
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", output).groups()  # type: ignore[union-attr]
    return spent / requests, rate, float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def add_user(config: Path, key: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "gateway", "user", "add", "alice", "--config", str(config)],
        cwd=ROOT,
        env={**os.environ, "GATEWAY_SIGNING_KEY": key},
        input=PASSWORD.encode(),
        check=True,
        stdout=subprocess.DEVNULL,
    )


def log_in(port: int) -> str:
    body = json.dumps({"username": "alice", "password": PASSWORD}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/token/", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        token: str = json.load(response)["access"]
        return token


def measure(seconds: int, rounds: int) -> list[Figures]:
    for tool in ("nginx", "wrk"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is not installed; it comes with the distribution's package of that name.")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        key = secrets.token_urlsafe(32)
        upstream = free_port()
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=upstream))
        nginx = ["nginx", "-e", f"{folder}/nginx.log", "-c", f"{folder}/nginx.conf"]
        peers = {"direct (nginx itself)": (upstream, stack.enter_context(running(nginx, upstream, 1)))}
        if shutil.which("haproxy"):
            port = free_port()
            (folder / "haproxy.cfg").write_text(HAPROXY.format(port=port, key=key, upstream=upstream))
            haproxy = ["haproxy", "-db", "-f", f"{folder}/haproxy.cfg"]
            peers["haproxy jwt_verify"] = (port, stack.enter_context(running(haproxy, port, 0)))
        port = free_port()
        config = folder / "gateway.yaml"
        config.write_text(GATEWAY.format(port=port, upstream=upstream, folder=folder))
        add_user(config, key)
        command = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
        peers["gateway"] = (port, stack.enter_context(running(command, port, 0, GATEWAY_SIGNING_KEY=key)))
        return run_rounds(peers, log_in(port), seconds, rounds)


def run_rounds(peers: dict[str, tuple[int, int]], token: str, seconds: int, rounds: int) -> list[Figures]:
    """Peers take turns, so that a noisy minute meets all of them."""
    samples: dict[str, list[tuple[float, float, float]]] = {peer: [] for peer in peers}
    for peer, (port, pid) in peers.items():
        load(port, pid, token, 1)
        print(f"warmed up {peer}", file=sys.stderr)
    for number in range(rounds):
        for peer, (port, pid) in peers.items():
            samples[peer].append(load(port, pid, token, seconds))
        print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return [
        Figures(
            peer=peer,
            cpu_us_per_request=statistics.median(sample[0] for sample in samples[peer]),
            requests_per_second=statistics.median(sample[1] for sample in samples[peer]),
            p99_ms=statistics.median(sample[2] for sample in samples[peer]),
            rss_mib=rss_mib(pid),
        )
        for peer, (_, pid) in peers.items()
    ]


def show(figures: list[Figures]) -> None:
    by_peer = {row.peer: row for row in figures}
    reference = by_peer.get("haproxy jwt_verify")
    print(f"{'peer':24}{'CPU µs/request':>16}{'× HAProxy':>12}{'requests/s':>12}{'p99 ms':>9}{'RSS MiB':>9}")
    for row in figures:
        ratio = f"{row.cpu_us_per_request / reference.cpu_us_per_request:.2f}" if reference else "-"
        print(
            f"{row.peer:24}{row.cpu_us_per_request:16.1f}{ratio:>12}{row.requests_per_second:12.0f}"
            f"{row.p99_ms:9.2f}{row.rss_mib:9.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=3, help="length of one measurement (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each peer (default 3)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    figures = measure(arguments.seconds, arguments.rounds)
    if arguments.json:
        print(json.dumps([asdict(row) for row in figures], indent=2))
    else:
        show(figures)


if __name__ == "__main__":
    main()
