"""What probes see of a real gateway, with one worker and with two: at work, without its database, at its end."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import processes
from tests.integration.data_plane import Plane, get, running_plane
from tests.integration.raw_client import Answer, ask
from tests.integration.scripted_upstream import Link, Received, echo, plain

PATIENCE = 15.0  # for what takes a tenth of a second on an idle machine
SEVERAL = 20  # probes; with two workers, all of them at one of the two is one chance in half a million


class Probed:
    """A gateway with `workers` and its admin listener."""

    def __init__(self, plane: Plane, port: int, folder: Path) -> None:
        self.plane = plane
        self.port = port
        self.database = folder / "users.sqlite3"

    def probe(self, target: str, **options: Any) -> Answer:
        return ask(self.port, get(target, b"Connection: close"), **options)

    def statuses(self, target: str) -> set[int]:
        """Of probes enough to meet every worker."""
        return {self.probe(target).status for _ in range(SEVERAL)}

    def checks(self) -> dict[str, str]:
        checks: dict[str, str] = self.probe("/readyz?verbose").json()["checks"]
        return checks


@contextlib.contextmanager
def probed(folder: Path, workers: int, **sections: Any) -> Iterator[Probed]:
    port = processes.free_port()
    with running_plane(folder, workers=workers, admin={"enabled": True, "port": port}, **sections) as plane:
        it = Probed(plane, port, folder)
        wait_until(lambda: plane.gateway.output().count(" worker_started ") == (workers if workers > 1 else 0))
        yield it


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def is_refused(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def listeners(port: int) -> int:
    """Sockets that listen on a port of 127.0.0.1."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port for row in rows)


@pytest.fixture(scope="module", params=[1, 2], ids=["1 worker", "2 workers"])
def module_gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probed]:
    folder = tmp_path_factory.mktemp("admin")
    with probed(folder, request.param, routes=[{"path": "/healthz", "upstream": "main", "access": "public"}]) as it:
        yield it


@pytest.fixture
def gateway(module_gateway: Probed) -> Iterator[Probed]:
    module_gateway.plane.upstream.begin()
    yield module_gateway
    assert not module_gateway.plane.upstream.faults


def healthcheck(gateway: Probed) -> tuple[int, str]:
    """What `gateway healthcheck` exits with and says."""
    config = gateway.plane.gateway.log.with_name("gateway.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "healthcheck", "--config", str(config)],
        cwd=processes.CHECKOUT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


# At work.


def test_s87_it_is_alive_and_ready(gateway: Probed) -> None:
    assert gateway.statuses("/healthz") == {200}
    assert gateway.statuses("/readyz") == {200}
    assert gateway.checks() == {"listener": "ok", "state": "ok", "drain": "ok"}
    assert healthcheck(gateway) == (0, '200 {"status":"ok","checks":{"listener":"ok","state":"ok","drain":"ok"}}\n')


def test_s87_probes_have_no_way_to_a_backend_nor_to_the_token_endpoints(gateway: Probed) -> None:
    for target in ("/public/x", "/required/x", "/api/token/", "/"):
        assert gateway.probe(target).status == 404
    assert gateway.plane.upstream.requests == []


def test_s87_clients_have_no_way_to_what_probes_see(gateway: Probed) -> None:
    """Where clients connect these are paths like any other: one has a route to a backend here, the other has none."""
    assert gateway.plane.ask(get("/healthz")).body == b"/healthz"
    assert gateway.plane.ask(get("/readyz")).status == 404
    assert gateway.plane.upstream.targets() == ["/healthz"]


@pytest.mark.parametrize("agent", [b"kube-probe/1.31", b"GoogleHC/1.0", b"ELB-HealthChecker/2.0"])
def test_s24_s87_a_user_agent_opens_nothing(gateway: Probed, agent: bytes) -> None:
    for target in ("/required/x", "/required/healthz"):
        assert gateway.plane.ask(get(target, b"User-Agent: " + agent)).status == 401
    assert gateway.plane.upstream.requests == []


def test_s87_a_database_that_is_away_is_not_ready_but_alive(gateway: Probed) -> None:
    away = gateway.database.with_suffix(".away")
    gateway.database.rename(away)
    try:
        wait_until(lambda: gateway.statuses("/readyz") == {503})
        assert gateway.checks() == {"listener": "ok", "state": "unreachable", "drain": "ok"}
        assert gateway.statuses("/healthz") == {200}
    finally:
        away.rename(gateway.database)
    wait_until(lambda: gateway.statuses("/readyz") == {200})


# Workers that die.


def test_a_worker_that_is_gone_takes_no_probe_with_it(tmp_path: Path) -> None:
    """Its second death within seconds is followed by a pause, in which its socket must not collect probes."""
    with probed(tmp_path, 2) as gateway:
        supervisor = gateway.plane.gateway.process.pid
        for deaths in (1, 2):
            children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
            os.kill(max(int(pid) for pid in children), signal.SIGKILL)
            wait_until(lambda deaths=deaths: gateway.plane.gateway.output().count(" worker_died ") == deaths)  # type: ignore[misc]
            if deaths == 1:
                wait_until(lambda: gateway.plane.gateway.output().count(" worker_started ") == 3)
            if deaths == 2:
                wait_until(lambda: listeners(gateway.port) == 1)
        assert " restart_in=0.5s" in gateway.plane.gateway.output()
        assert gateway.statuses("/readyz") == {200}


# The end.


class Held:
    """A script that answers `/public/held` when it is let go, and everything else at once."""

    def __init__(self) -> None:
        self.released = threading.Event()

    async def __call__(self, link: Link, received: Received) -> None:
        if received.target != "/public/held":
            await echo(link, received)
            return
        await link.read_body(received)
        while not self.released.is_set():
            await asyncio.sleep(0.01)
        await link.send(plain(b"done"))


@pytest.mark.parametrize("workers", [1, 2])
def test_s87_readiness_fails_first_and_probes_are_answered_to_the_end(tmp_path: Path, workers: int) -> None:
    held = Held()
    with probed(tmp_path, workers, drain={"delay": "3s", "timeout": "30s"}) as gateway:
        plane = gateway.plane
        plane.upstream.play(held)
        with plane.connect() as client:
            client.send(get("/public/held"))
            plane.upstream.wait_until(lambda: plane.upstream.targets() == ["/public/held"])
            told_at = time.monotonic()
            plane.gateway.process.send_signal(signal.SIGTERM)
            wait_until(lambda: gateway.statuses("/readyz") == {503})
            if time.monotonic() - told_at < 2.0:  # else the machine is too busy to see it
                assert gateway.checks() == {"listener": "ok", "state": "ok", "drain": "draining"}
                assert plane.ask(get("/public/late")).status == 200, "clients that come late are still welcome"

            # With two workers the one that has nothing to wait for ends as soon as its port is closed.
            wait_until(lambda: plane.gateway.output().count(" drained ") == workers - 1)
            wait_until(lambda: gateway.checks()["listener"] == "closed")
            assert is_refused(plane.port)
            assert gateway.checks() == {"listener": "closed", "state": "ok", "drain": "draining"}
            assert gateway.statuses("/readyz") == {503}
            assert gateway.statuses("/healthz") == {200}
            code, line = healthcheck(gateway)
            assert (code, line.partition(" ")[0]) == (1, "503")

            held.released.set()
            assert client.read().body == b"done"
        assert plane.gateway.process.wait(PATIENCE) == 0
        assert is_refused(gateway.port)
