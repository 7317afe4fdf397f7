"""`gateway run` under a service manager that wants to be told, as systemd does of Type=notify."""

import socket
from pathlib import Path

import pytest

from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT, settings


@pytest.mark.parametrize("workers", [1, 2])
def test_it_is_told_once_when_it_serves_and_once_when_it_stops(tmp_path: Path, workers: int) -> None:
    port = processes.free_port()
    plane = settings(port=port, upstreams={"main": {"servers": ["http://127.0.0.1:9"]}}, folder=tmp_path)
    plane["routes"] = [{"path": "/", "upstream": "main"}]
    config = processes.write_gateway_config(tmp_path, {**plane, "workers": workers})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(processes.START_TIMEOUT)
        environment = {**ENVIRONMENT, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with processes.gateway(config, port=port, environment=environment) as gateway:
            assert manager.recv(1000) == b"READY=1\nSTATUS=serving"
            assert (gateway.process.terminate(), gateway.process.wait(processes.STOP_TIMEOUT)) == (None, 0)
        assert manager.recv(1000) == b"STOPPING=1\nSTATUS=draining"
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(1000)
