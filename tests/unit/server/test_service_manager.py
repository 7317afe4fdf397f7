"""Against a real socket, as systemd has one."""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.server.service_manager import ALIVE, READY, STOPPING, reloading, tell, watchdog_interval


@contextlib.contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.settimeout(20)
        yield receiver


def test_it_is_told_at_its_path(tmp_path: Path) -> None:
    with manager(str(tmp_path / "notify")) as receiver:
        tell(READY, {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert receiver.recv(100).splitlines()[0] == b"READY=1"


def test_it_is_told_at_its_abstract_name() -> None:
    name = f"gateway-{os.getpid()}"
    with manager(f"\0{name}") as receiver:
        tell(STOPPING, {"NOTIFY_SOCKET": f"@{name}"})
        assert receiver.recv(100).splitlines()[0] == b"STOPPING=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_nobody_asked(environ: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    tell(READY, environ)
    assert caplog.records == []


def test_a_manager_that_is_gone_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tell(READY, {"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert [record.getMessage() for record in caplog.records] == [
        "service_manager_unreachable No such file or directory"
    ]


def test_a_sign_of_life_does_not_wait_for_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    address = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    with manager(address["NOTIFY_SOCKET"]):
        before = time.monotonic()
        while not caplog.records:
            tell(ALIVE, address)
        took = time.monotonic() - before
        assert caplog.messages == ["service_manager_unreachable Resource temporarily unavailable"]
        caplog.clear()
        before = time.monotonic()
        tell(READY, address)  # this one is worth a second
    assert time.monotonic() - before > took
    assert len(caplog.records) == 1


def test_the_time_of_a_reload_is_the_managers_clock() -> None:
    before = time.monotonic_ns() // 1000
    lines = reloading().splitlines()
    assert lines[0] == b"RELOADING=1"
    assert before <= int(lines[1].removeprefix(b"MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_how_often_it_wants_a_sign_of_life(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_interval(environ) == seconds
