"""Against a real socket, as systemd has one."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.server.service_manager import READY, STOPPING, tell


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
