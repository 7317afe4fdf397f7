import argparse
import asyncio
import socket
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli import build_parser
from gateway.commands import demo
from gateway.errors import UsageError


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("text", "port"), [("0", 0), ("8080", 8080), ("65535", 65535)])
def test_a_port_is_a_number(text: str, port: int) -> None:
    arguments: argparse.Namespace = build_parser().parse_args(["demo", "--port", text])
    assert arguments.port == port


@pytest.mark.parametrize("text", ["", "-1", "65536", "80.0", "٨٠", "1_0", "http"])
def test_what_is_no_port_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        build_parser().parse_args(["demo", f"--port={text}"])
    assert "is not a port" in capsys.readouterr().err


async def test_serves_while_the_context_lasts_and_leaves_nothing(
    temporary_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with demo._demonstration(0, 0):
        (folder,) = temporary_folder.iterdir()
        assert folder.stat().st_mode & 0o077 == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("gateway ")]
        url = line.split()[1]
        body = await asyncio.to_thread(lambda: urllib.request.urlopen(f"{url}/public/x").read().decode())
        assert body.startswith("GET /public/x HTTP/1.1\n")
    assert list(temporary_folder.iterdir()) == []


@pytest.mark.parametrize("option", ["--port", "--backend-port"])
async def test_a_port_that_was_asked_for_and_is_in_use_is_a_failure(
    option: str, busy_port: int, temporary_folder: Path
) -> None:
    arguments = build_parser().parse_args(["demo", option, str(busy_port)])
    port = 0 if arguments.port is None else arguments.port
    with pytest.raises(UsageError, match=f"Port {busy_port} is in use; give another one to {option}"):
        async with demo._demonstration(port, arguments.backend_port):
            pytest.fail("It started.")
    assert list(temporary_folder.iterdir()) == []


async def test_a_usual_port_that_is_in_use_is_replaced(
    busy_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_PORT", busy_port)
    async with demo._demonstration(None, 0):
        lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Port {busy_port} is in use, so this demo takes a free one; --port chooses another."
    assert lines[2].startswith("gateway    http://127.0.0.1:")
    assert f":{busy_port} " not in lines[2]


def test_another_fault_of_binding_is_not_taken_for_a_busy_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_LOOPBACK", "192.0.2.1")  # documentation only, RFC 5737: no machine has it
    with pytest.raises(OSError, match="assign requested address"):
        demo._bind(None, usual=0, option="--port")
