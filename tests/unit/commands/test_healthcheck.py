"""Exit code and the one line, for whatever answers or does not."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.commands import healthcheck

Run = Callable[..., tuple[int, str, str]]


@contextlib.contextmanager
def answering(*pieces: bytes, stays_open: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """A port where the first connection gets `pieces`; and what was asked there."""
    asked: list[bytes] = []
    done = threading.Event()

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            while b"\r\n\r\n" not in b"".join(asked):
                asked.append(connection.recv(4096))
            for piece in pieces:
                connection.sendall(piece)
            if stays_open:
                done.wait()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        yield listening.getsockname()[1], asked
        done.set()
        thread.join()


def answer(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n\r\n" + body


def configured(config_file: Path, admin: str) -> Path:
    config_file.write_text(f"{config_file.read_text()}admin: {admin}\n")
    return config_file


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (b"200 OK", b'{"status":"ok"}', 0),
        (b"503 Service Unavailable", b'{"status":"unavailable"}', 1),
        (b"404", b"", 1),
    ],
)
def test_the_status_decides_and_the_answer_is_shown(run: Run, status: bytes, body: bytes, code: int) -> None:
    whole = answer(status, body)
    with answering(whole[:20], whole[20:]) as (port, asked):
        line = f"{status[:3].decode()} {body.decode()}\n"
        assert run("healthcheck", "--url", f"http://127.0.0.1:{port}/x?y=z") == (code, line, "")
    assert b"".join(asked) == b"GET /x?y=z HTTP/1.0\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % port


def test_the_configuration_says_where_to_ask(run: Run, config_file: Path) -> None:
    with answering(answer(b"200 OK", b"{}")) as (port, asked):
        assert run("healthcheck", "--config", configured(config_file, f"{{port: {port}}}"))[0] == 0
    assert b"".join(asked).startswith(b"GET /readyz?verbose HTTP/1.0\r\n")


@pytest.mark.parametrize("address", ["0.0.0.0", "localhost"])
def test_every_address_is_also_loopback(run: Run, config_file: Path, address: str) -> None:
    with answering(answer(b"200 OK", b"{}")) as (port, _):
        admin = f"{{address: {address}, port: {port}}}"
        assert run("healthcheck", "--config", configured(config_file, admin))[0] == 0


def test_without_options_it_asks_where_a_gateway_is_by_default(
    run: Run, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(url: str) -> tuple[int, str]:
        asked.append(url)
        return 200, ""

    monkeypatch.setattr(healthcheck, "_ask", ask)
    assert run("healthcheck")[0] == run("healthcheck", "--config", config_file)[0] == 0
    assert asked == ["http://127.0.0.1:8081/readyz?verbose"] * 2


def test_other_sections_and_secrets_are_not_its_business(
    run: Run, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may be on its way to the next start while the gateway runs on the old one, and is well."""
    monkeypatch.delenv("GATEWAY_SIGNING_KEY")
    with answering(answer(b"200 OK", b"{}")) as (port, _):
        config = configured(config_file, f"{{port: {port}}}\nnonsense: true")
        assert run("healthcheck", "--config", config)[0] == 0


@pytest.mark.parametrize(
    ("admin", "said"),
    [
        ("{enabled: false}", "admin.enabled is false, so nobody can be asked"),
        ("{port: x, address: 1.2.3}", "admin.address: "),
    ],
)
def test_without_a_place_it_is_1_and_one_line(run: Run, config_file: Path, admin: str, said: str) -> None:
    code, line, error = run("healthcheck", "--config", configured(config_file, admin))
    assert (code, error, line.count("\n")) == (1, "", 1)
    assert said in line


def test_a_missing_file_is_1_and_one_line(run: Run, tmp_path: Path) -> None:
    code, line, error = run("healthcheck", "--config", tmp_path / "none.yaml")
    assert (code, error, line.count("\n")) == (1, "", 1)


def test_nobody_there_is_1(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert run("healthcheck", "--url", url) == (1, f"{url}: Connection refused\n", "")


@pytest.mark.parametrize("raw", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1", b"HTTP/1.1 OK\r\n\r\n", b"\xff\xfe"])
def test_what_speaks_no_http_is_1(run: Run, raw: bytes) -> None:
    with answering(raw) as (port, _):
        code, line, _ = run("healthcheck", "--url", f"http://127.0.0.1:{port}/")
    assert code == 1
    assert line.endswith("what answers there does not speak HTTP\n")


def test_no_answer_in_time_is_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthcheck, "_SECONDS", 0.2)
    with answering(b"HTTP/1.1 200 OK\r\n", stays_open=True) as (port, _):
        code, line, _ = run("healthcheck", "--url", f"http://127.0.0.1:{port}/")
    assert code == 1
    assert line.endswith("no answer within 0.2 s\n")


def test_an_answer_is_one_short_line_that_no_terminal_obeys(run: Run) -> None:
    with answering(answer(b"200 OK", b"a\nb\x1b[2J" + b"x" * 100_000)) as (port, _):
        code, line, _ = run("healthcheck", "--url", f"http://127.0.0.1:{port}/")
    assert code == 0
    assert line.startswith("200 a\\nb\\x1b[2Jxxx")
    assert len(line) < 400


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8081",
        "https://127.0.0.1/",
        "http:///x",
        "http://a:0/",
        "http://a:99999/",
        "http://a/\r\nX: y",
        "http://a/ b",
    ],
)
def test_what_is_no_url_is_wrong_usage(url: str, capsys: pytest.CaptureFixture[str], run: Run) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("healthcheck", "--url", url)
    assert "is no http:// URL" in capsys.readouterr().err
