"""A real browser, Chromium: its WebSockets, whose scripts can set no Authorization field, and the client of docs/wire.md.

Debian's package `chromium` is enough; without one these tests are skipped.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.forging import token
from tests.integration import processes
from tests.integration.browsers import CHROMIUM, PATIENCE, Site, browser
from tests.integration.data_plane import Plane, running_plane
from tests.integration.processes import CHECKOUT

BACKEND = Path(__file__).parent / "websocket_backend.py"

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

[CLIENT] = re.findall(r"```js\n(const API.*?)```", (CHECKOUT / "docs/wire.md").read_text(), re.DOTALL)
# Two tabs, as far as storage and locks are concerned: the page, and a frame of it. Each asks three times at once.
CLIENT_PAGE = """<!doctype html><script>
%s
const statuses = async () => Promise.all([1, 2, 3].map(async () => (await ask("/orders/")).status));
async function tell() {
  try { await logIn("alice", "wrong"); } catch (error) { var wrong = [error.status, error.message]; }
  await logIn("alice", "alice-password");
  const first = {...localStorage};
  localStorage.access = "expired";
  const frame = document.createElement("iframe");
  frame.src = "/#frame";
  document.body.append(frame);
  await new Promise(loaded => { frame.onload = loaded; });
  const seen = await Promise.all([statuses(), frame.contentWindow.statuses()]);
  Object.assign(localStorage, {access: "expired", refresh: "spent"});
  const gone = await ask("/orders/").catch(error => error.status);
  await fetch("/told", {method: "POST", body: JSON.stringify({wrong, first, seen: seen.flat(), gone})});
}
window.statuses = statuses;
if (location.hash !== "#frame") addEventListener("load", tell);
</script><body></body>"""


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
    site.page = lambda: PAGE % json.dumps(attempts)
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

    def page() -> str:
        short = token("access", exp=int(time.time()) + 2).decode()
        return PAGE % json.dumps([{"url": url, "protocols": ["bearer", short], "stays": True}])

    site.page = page
    with browser(site.origin, tmp_path):
        (told,) = site.told.get(timeout=PATIENCE)
    assert (told["opened"], told["echo"], told["code"], told["reason"]) == (True, "hello", 4401, "token_expired")


@pytest.mark.timeout(90)
def test_of_many_requests_one_refreshes(tmp_path: Path) -> None:
    with (
        Site().running() as site,
        running_plane(
            tmp_path,
            routes=[{"path": "/", "upstream": "main"}],
            users=["alice"],
            tokens={"rotate_refresh_tokens": True},
            cors={"allow_origins": [site.origin]},
        ) as plane,
    ):
        client = CLIENT.replace("https://api.example.org", f"http://127.0.0.1:{plane.port}")
        site.page = lambda: CLIENT_PAGE % client
        with browser(site.origin, tmp_path / "profile"):
            told = site.told.get(timeout=PATIENCE)
        assert told["wrong"] == [401, "No active account found with the given credentials"]
        assert set(told["first"]) == {"access", "refresh"}
        assert told["seen"] == [200] * 6
        assert told["gone"] == 401
        events = [json.loads(line).get("event") for line in plane.gateway.raw_output().splitlines()]
        assert events.count("refresh_succeeded") == 1
