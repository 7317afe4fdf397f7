"""WebSockets of a real browser: Chromium, headless, whose scripts can set no Authorization field.

Debian's package `chromium` is enough; without one these tests are skipped.
"""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.forging import token
from tests.integration import processes
from tests.integration.data_plane import Plane, running_plane

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BACKEND = Path(__file__).parent / "websocket_backend.py"
PATIENCE = 40.0  # a first start of Chromium on a busy machine

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")

# One attempt after the other; each says how it was opened, what came back, and how it ended.
PAGE = """<!doctype html><script>
async function attempt({url, protocols, stays}) {
  const seen = {opened: false};
  await new Promise(done => {
    const socket = new WebSocket(url, protocols);
    socket.onopen = () => {
      seen.opened = true; seen.protocol = socket.protocol; seen.extensions = socket.extensions; socket.send("hello");
    };
    socket.onmessage = event => { seen.echo = event.data; if (!stays) socket.close(4000); };
    socket.onclose = event => { seen.code = event.code; seen.reason = event.reason; done(); };
  });
  return seen;
}
(async () => {
  const told = [];
  for (const one of %s) told.push(await attempt(one));
  await fetch("/told", {method: "POST", body: JSON.stringify(told)});
})();
</script>"""


class Site:
    """A page on an origin of its own, and what its script told. `attempts` is asked when the page is."""

    def __init__(self) -> None:
        self.attempts: Callable[[], list[dict[str, Any]]] = list
        self.told: queue.Queue[list[dict[str, Any]]] = queue.Queue()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = (PAGE % json.dumps(site.attempts())).encode() if self.path == "/" else b""
                self.send_response(200 if page else 404)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def do_POST(self) -> None:
                site.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @contextlib.contextmanager
    def running(self) -> Iterator["Site"]:
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site().running() as site:
        yield site


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("browser")
    usual = {"upstream": "ws", "stateless": True}
    with (
        processes.python_server("websocket-backend", BACKEND, folder=folder) as backend,
        running_plane(
            folder,
            further_upstreams={"ws": {"servers": [backend.url]}},
            routes=[
                {"path": "/ws", **usual, "websocket": {"allow_origins": [site.origin]}},
                {"path": "/ws/query", **usual, "websocket": {"allow_origins": [site.origin], "token_query": "token"}},
                {"path": "/ws/others", **usual, "websocket": {"allow_origins": ["https://app.example.org"]}},
            ],
        ) as plane,
    ):
        yield plane


@contextlib.contextmanager
def browser(url: str, profile: Path) -> Iterator[None]:
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"]
    process = subprocess.Popen(
        [str(CHROMIUM), *arguments, *quiet, f"--user-data-dir={profile}", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def refusals(plane: Plane, count: int) -> list[dict[str, Any]]:
    """The log lines of the first `count`; they are written a few times a second."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        lines = [line for line in plane.gateway.output().splitlines() if '"reason"' in line]
        if len(lines) >= count:
            break
        time.sleep(0.02)
    return [json.loads(line) for line in lines]


@pytest.mark.timeout(90)
def test_a_browser_opens_what_it_may_and_learns_why_it_ended(plane: Plane, site: Site, tmp_path: Path) -> None:
    good = token("access").decode()
    url = f"ws://127.0.0.1:{plane.port}"
    attempts: list[dict[str, Any]] = [
        {"url": f"{url}/ws", "protocols": ["bearer", good]},
        {"url": f"{url}/ws", "protocols": ["bearer", good, "chat"]},
        {"url": f"{url}/ws/query?token={good}", "protocols": []},
        {"url": f"{url}/ws", "protocols": []},
        {"url": f"{url}/ws", "protocols": ["bearer", "a.b.c"]},
        {"url": f"{url}/ws/others", "protocols": ["bearer", good]},
    ]
    site.attempts = lambda: attempts
    with browser(site.origin, tmp_path):
        told = site.told.get(timeout=PATIENCE)
    opened = [(each.get("protocol"), each.get("echo"), each["code"]) for each in told if each["opened"]]
    assert opened == [("bearer", "hello", 4000), ("chat", "hello", 4000), ("", "hello", 4000)]
    assert "permessage-deflate" in told[0]["extensions"]
    # A script is told nothing of a refused handshake, whatever its status.
    assert [(each["opened"], each["code"]) for each in told[3:]] == [(False, 1006)] * 3
    assert [(record["status"], record["reason"]) for record in refusals(plane, 3)] == [
        (401, "not_authenticated"),
        (401, "token_invalid"),
        (403, "origin_not_allowed"),
    ]


@pytest.mark.timeout(90)
def test_s71_a_browser_is_told_that_its_token_has_expired(plane: Plane, site: Site, tmp_path: Path) -> None:
    url = f"ws://127.0.0.1:{plane.port}/ws"

    def attempts() -> list[dict[str, Any]]:
        short = token("access", exp=int(time.time()) + 2).decode()
        return [{"url": url, "protocols": ["bearer", short], "stays": True}]

    site.attempts = attempts
    with browser(site.origin, tmp_path):
        (told,) = site.told.get(timeout=PATIENCE)
    assert (told["opened"], told["echo"], told["code"], told["reason"]) == (True, "hello", 4401, "token_expired")
