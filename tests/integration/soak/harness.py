"""One soak: a gateway with two workers, backends that spoil answers, clients of all manners, workers that are killed.

What is asked at the end is told in `Report.violations`, one sentence for each fault. The choices of clients and
backends follow from the seed; what meets what in time does not.
"""

import collections
import contextlib
import dataclasses
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.integration import processes
from tests.integration.data_plane import Plane, bearer, get, post, running_plane
from tests.integration.scripted_upstream import ScriptedUpstream, echo
from tests.integration.soak.backend import SpoilingBackend
from tests.integration.soak.clients import Clients
from tests.integration.soak.ledger import Ledger
from tests.integration.soak.tunnels import TunnelUser

BACKENDS = 3
CLIENTS = 24
TUNNELS = 4
PATIENCE = 15.0
JSON = b"Content-Type: application/json"
# What freed memory leaves behind in the allocators of a worker after thousands of connections at once.
MOST_PAIRS = 2 * 10  # both ends of each connection that the pool of the control plane keeps
MOST_GROWTH = 24 * 1024 * 1024
WEBSOCKET_BACKEND = Path(__file__).parents[1] / "websocket_backend.py"
UPSTREAM = {
    "connections": {"max": 24, "idle_timeout": "500ms"},
    "response_timeout": "1s",
    "read_timeout": "1s",
    "health": {"pause": "100ms", "max_pause": "1s"},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """What a process holds: how many open descriptors of each kind, and bytes of resident memory."""

    descriptors: collections.Counter[str]
    resident: int

    @classmethod
    def of(cls, pid: int) -> "Resources":
        process = Path(f"/proc/{pid}")
        pairs = {line.split()[6] for line in (process / "net/unix").read_text().splitlines()[1:]}
        kinds: collections.Counter[str] = collections.Counter()
        for entry in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                kind, _, inode = os.readlink(entry).partition(":")
                kinds["socket pair" if inode.strip("[]") in pairs else kind] += 1
        pages = int((process / "statm").read_text().split()[1])
        return cls(descriptors=kinds, resident=pages * os.sysconf("SC_PAGE_SIZE"))

    def has_leaked(self, since: "Resources") -> bool:
        """Connections to the control plane may be kept, and are: so many at most."""
        more = self.descriptors - since.descriptors
        pairs = more.pop("socket pair", 0)
        return bool(more) or pairs > MOST_PAIRS or self.resident > since.resident + MOST_GROWTH


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    seed: str
    ledger: Ledger
    before: list[Resources]
    after: list[Resources]

    @property
    def violations(self) -> list[str]:
        return self.ledger.violations

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} × {what}" for what, count in sorted(self.ledger.outcomes.items()))
        held = [
            f"{each.descriptors.total()} descriptors {each.resident / 1024**2:.1f} MiB"
            for each in (*self.before, *self.after)
        ]
        return "\n".join(
            [
                f"seed {self.seed}: {len(self.ledger.sent)} requests, {len(self.ledger.kills)} workers ended",
                f"outcomes: {outcomes}",
                f"supervisor and workers before and after: {'; '.join(held)}",
                *self.violations[:20],
                f"{len(self.violations)} violations",
            ]
        )


class Soak:
    """`seconds` of load on `plane`, behind which the `backends` stand."""

    def __init__(self, *, plane: Plane, backends: list[ScriptedUpstream], ledger: Ledger, seed: str) -> None:
        self._plane = plane
        self._backends = backends
        self._ledger = ledger
        self._seed = seed
        self._chance = random.Random(f"{seed} kills")
        self._is_over = threading.Event()

    def run(self, seconds: float, *, kill_every: float) -> Report:
        self._warm_up()
        before = self._resources()
        for number, backend in enumerate(self._backends):
            backend.play(SpoilingBackend(self._ledger, f"{self._seed} backend {number}"))
        visitors = [threading.Thread(target=self._visit, args=(visit,)) for visit in self._visits()]
        for visitor in visitors:
            visitor.start()
        self._kill_workers(time.monotonic() + seconds, kill_every)
        self._is_over.set()
        for visitor in visitors:
            visitor.join(4 * PATIENCE)
            if visitor.is_alive():
                self._ledger.violate("a client that does not come to an end", visitor)
        self._check_workers()
        after = self._check_leaks(before)
        self._check_end()
        return Report(seed=self._seed, ledger=self._ledger, before=before, after=after)

    def _visits(self) -> Iterator[Callable[[], None]]:
        for number in range(CLIENTS + TUNNELS):
            kind = Clients if number < CLIENTS else TunnelUser
            chance = random.Random(f"{self._seed} client {number}")
            yield kind(port=self._plane.port, ledger=self._ledger, chance=chance, user=f"user-{number}").visit

    def _visit(self, visit: Callable[[], None]) -> None:
        while not self._is_over.is_set():
            try:
                visit()
            except Exception as fault:
                self._ledger.violate("a client failed", fault)

    def _warm_up(self) -> None:
        """Everything that a worker opens once, at both of them: connections are dealt out by the kernel."""
        assert wait_until(lambda: self._started() == 2)
        warm = Ledger()
        tunnels = TunnelUser(port=self._plane.port, ledger=warm, chance=random.Random(self._seed), user="1")
        token = bearer()
        body = json.dumps({"token": token.decode().rpartition(" ")[2]}).encode()
        for _ in range(24):
            assert self._plane.ask(get("/required/warm", token)).status == 200
            assert self._plane.ask(post("/api/token/verify/", body, JSON)).status == 200
            tunnels.visit()
        assert not warm.violations, warm.violations
        assert wait_until(self._is_quiet)

    # Workers and what they hold

    def _workers(self) -> list[int]:
        pid = self._plane.gateway.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def _started(self) -> int:
        return self._plane.gateway.output().count(" worker_started ")

    def _kill_workers(self, until: float, every: float) -> None:
        while (left := until - time.monotonic()) > every:
            time.sleep(every * self._chance.uniform(0.7, 1.0))
            workers = self._workers()
            if len(workers) == 2:
                self._ledger.note_kill()
                # One that is told to end lets its exchanges end, but closes under those who are about to ask.
                how = self._chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
                os.kill(self._chance.choice(workers), how)
        time.sleep(max(left, 0))

    def _resources(self) -> list[Resources]:
        return [Resources.of(pid) for pid in (self._plane.gateway.process.pid, *self._workers())]

    def _is_quiet(self) -> bool:
        return all(backend.open_links() == 0 for backend in self._backends)

    # The end

    def _check_workers(self) -> None:
        """Each that was ended has been replaced, and no other."""
        if not wait_until(lambda: self._started() == 2 + len(self._ledger.kills)):
            self._ledger.violate("not as many workers as were ended", self._started(), len(self._ledger.kills))

    def _check_leaks(self, before: list[Resources]) -> list[Resources]:
        """With no client left and no connection in use, every process holds what it held before (and is as many)."""
        for backend in self._backends:
            backend.play(echo)
        if not wait_until(self._is_quiet):
            self._ledger.violate("connections to a backend that nobody uses", self._backends)
        wait_until(lambda: not self._leaks(before))
        after = self._resources()
        if self._leaks(before):
            self._ledger.violate("more than before", before, after)
        return after

    def _leaks(self, before: list[Resources]) -> bool:
        after = self._resources()
        return len(after) != len(before) or any(now.has_leaked(then) for now, then in zip(after, before))

    def _check_end(self) -> None:
        if self._plane.ask(get("/required/end", bearer())).status != 200:
            self._ledger.violate("the gateway does not answer any more")
        for backend in self._backends:
            for fault in backend.faults:
                self._ledger.violate("a backend could not read what it got", fault)
        self._ledger.check_arrivals()
        self._check_output(self._plane.gateway.output())

    def _check_output(self, output: str) -> None:
        for sign in ("Traceback", "never retrieved", "was destroyed", "never awaited"):
            if sign in output:
                self._ledger.violate("in the output of the gateway", sign, output[output.index(sign) :])
        for line in output.splitlines():
            record = json.loads(line) if line.startswith("{") else {}
            sent = self._ledger.sent.get(record.get("request_id", ""))
            if sent is not None and sent.target != record["path"]:
                self._ledger.violate("a line of the access log that mixes requests", line, sent)
            elif sent is not None and record["user_id"] not in (sent.user, None):
                self._ledger.violate("wrong identity in the access log", line, sent)


def wait_until(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def soak(folder: Path, *, seconds: float, seed: str, kill_every: float) -> Report:
    ledger = Ledger()
    with contextlib.ExitStack() as stack:
        backends = [stack.enter_context(ScriptedUpstream().running()) for _ in range(BACKENDS)]
        sockets = stack.enter_context(processes.python_server("websocket-backend", WEBSOCKET_BACKEND, folder=folder))
        plane = stack.enter_context(
            running_plane(
                folder,
                workers=2,
                drain={"timeout": "2s"},  # of a worker that is told to end
                upstream={**UPSTREAM, "servers": [backend.url for backend in backends]},
                further_upstreams={"sockets": {"servers": [sockets.url]}},
                routes=[{"path": "/ws", "upstream": "sockets", "stateless": True, "websocket": {"allow_origins": []}}],
            )
        )
        return Soak(plane=plane, backends=backends, ledger=ledger, seed=seed).run(seconds, kill_every=kill_every)
