"""`gateway run` under a service manager that wants to be told, as systemd does of Type=notify."""

import contextlib
import dataclasses
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT, settings
from tests.integration.processes import Server

WORKERS = pytest.mark.parametrize("workers", [1, 2])


@dataclasses.dataclass
class Managed:
    """A gateway, its file, and the socket of its manager."""

    gateway: Server
    config: Path
    values: dict[str, Any]
    manager: socket.socket

    def told(self) -> bytes:
        return self.manager.recv(1000)

    def told_nothing_more(self) -> bool:
        self.manager.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            return not self.manager.recv(1000)
        return True

    def reload(self, **sections: Any) -> int:
        """Write these and ask for it; the time before that, as systemd would take it."""
        processes.write_gateway_config(self.config.parent, {**self.values, **sections})
        before = time.monotonic_ns() // 1000
        os.kill(self.gateway.process.pid, signal.SIGHUP)
        return before


@contextlib.contextmanager
def managed(folder: Path, *, workers: int, **environment: str) -> Iterator[Managed]:
    port = processes.free_port()
    plane = settings(port=port, upstreams={"main": {"servers": ["http://127.0.0.1:9"]}}, folder=folder)
    plane |= {"routes": [{"path": "/", "upstream": "main"}], "workers": workers, "reload": {"watch": False}}
    config = processes.write_gateway_config(folder, plane)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(processes.START_TIMEOUT)
        environment = {**ENVIRONMENT, "NOTIFY_SOCKET": str(folder / "notify"), **environment}
        with processes.gateway(config, port=port, environment=environment) as gateway:
            yield Managed(gateway, config, plane, manager)


@WORKERS
def test_it_is_told_once_when_it_serves_and_once_when_it_stops(tmp_path: Path, workers: int) -> None:
    with managed(tmp_path, workers=workers) as it:
        assert it.told() == b"READY=1\nSTATUS=serving"
        assert (it.gateway.process.terminate(), it.gateway.process.wait(processes.STOP_TIMEOUT)) == (None, 0)
        assert it.told() == b"STOPPING=1\nSTATUS=draining"
        assert it.told_nothing_more()


@WORKERS
def test_a_reload_is_told_from_its_beginning_to_its_end(tmp_path: Path, workers: int) -> None:
    """Type=notify-reload waits for both, the first with a time after its signal; what runs is in STATUS."""
    with managed(tmp_path, workers=workers) as it:
        it.told()
        for sections, end in (
            ({"limits": {"max_fields": 50}}, b"READY=1\nSTATUS=serving"),
            ({"routes": []}, b"READY=1\nSTATUS=serving; the last reload was refused"),
            ({}, b"READY=1\nSTATUS=serving"),
        ):
            asked_at = it.reload(**sections)
            begun, at, status = it.told().split(b"\n")
            assert (begun, status) == (b"RELOADING=1", b"STATUS=reloading")
            assert asked_at <= int(at.removeprefix(b"MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
            assert it.told() == end
        assert it.told_nothing_more()


@WORKERS
def test_signs_of_life_end_when_it_hangs(tmp_path: Path, workers: int) -> None:
    with managed(tmp_path, workers=workers, WATCHDOG_USEC="1000000") as it:
        assert it.told() == b"READY=1\nSTATUS=serving"
        assert [it.told() for _ in range(3)] == [b"WATCHDOG=1"] * 3
        os.kill(it.gateway.process.pid, signal.SIGSTOP)
        it.manager.settimeout(2.0)  # four intervals
        with pytest.raises(TimeoutError):
            [it.told() for _ in range(3)]
        os.kill(it.gateway.process.pid, signal.SIGCONT)
        assert it.told() == b"WATCHDOG=1"
        assert "worker_hangs" not in it.gateway.output()


def test_a_worker_that_hangs_is_replaced_and_costs_nobody_else_the_service(tmp_path: Path) -> None:
    with managed(tmp_path, workers=2, WATCHDOG_USEC="1000000") as it:
        it.told()
        deadline = time.monotonic() + processes.START_TIMEOUT
        while it.gateway.output().count("worker_started") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        started = [line for line in it.gateway.output().splitlines() if "worker_started" in line]
        os.kill(int(started[-1].rpartition("pid=")[2]), signal.SIGSTOP)
        while it.gateway.output().count("worker_started") < 3:
            assert it.told() == b"WATCHDOG=1"
        assert it.gateway.output().count("worker_hangs") == 1
