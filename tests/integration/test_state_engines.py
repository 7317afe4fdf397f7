"""Two gateways on one store, whichever keeps it: real processes, real servers, and what happens when one is killed."""

import concurrent.futures
import contextlib
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT
from tests.integration.gateway_pair import ENGINES, SERVERS, Pair, beside, running_pair
from tests.integration.raw_client import CutShort
from tests.redis_servers import BINARIES, LocalServer


@pytest.fixture(scope="module", params=ENGINES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running_pair(request.param, tmp_path_factory.mktemp("engines")) as pair:
        yield pair


@pytest.fixture(params=ENGINES)
def own_pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """For a test that ends one of them."""
    with running_pair(request.param, tmp_path) as pair:
        yield pair


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_s55_one_successor_for_all_who_refresh_at_either(pair: Pair) -> None:
    tokens = pair.log_in(pair.one)
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda n: pair.refresh((pair.one, pair.other)[n % 2], tokens), range(48)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json()["refresh"] for answer in answers}) == 1
    assert pair.refresh(pair.other, answers[0].json()).status == 200


def test_s57_a_log_out_at_one_ends_the_access_token_at_the_other_within_a_second(pair: Pair) -> None:
    took = []
    for _ in range(5):
        tokens = pair.log_in(pair.one)
        assert pair.status_with(pair.other, tokens) == 200
        pair.log_out(pair.one, tokens)
        took.append(pair.await_refusal(pair.other, tokens))
        assert pair.refresh(pair.other, tokens).status == 401
        assert pair.refresh(pair.one, tokens).status == 401
    assert statistics.median(took) < 1, took  # one may meet a machine that is busy with other tests


def test_gateway_explain_looks_the_log_out_up(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_SIGNING_KEY", ENVIRONMENT["GATEWAY_SIGNING_KEY"])
    tokens, file = pair.log_in(pair.one), tmp_path / "token"
    file.write_text(tokens["access"])
    argv = ["explain", "--config", str(pair.config), "--token", str(file), "GET", "/users/x"]
    assert main(argv) == 0
    assert "revocation                  none that concerns it" in capsys.readouterr().out
    pair.log_out(pair.one, tokens)
    assert main(argv) == 1
    assert "revocation                  refused: Token is blacklisted" in capsys.readouterr().out


def test_s58_what_a_gateway_acknowledged_it_may_die_after(own_pair: Pair) -> None:
    kept, ended = own_pair.log_in(own_pair.other), own_pair.log_in(own_pair.other)
    successor = own_pair.refresh(own_pair.other, kept).json()
    own_pair.log_out(own_pair.other, ended)
    own_pair.servers[1].process.kill()
    assert own_pair.refresh(own_pair.one, ended).status == 401
    assert own_pair.refresh(own_pair.one, successor).status == 200


class Unavailable(Exception):
    """A 503: nobody knows whether it was done."""


class Storm:
    """Clients who log in, refresh and log out at the same moment; what was acknowledged to them, and what may be so."""

    def __init__(self, pair: Pair, port: int) -> None:
        self._pair = pair
        self._port = port
        self._is_over = threading.Event()
        self.alive: list[Any] = []  # the last tokens that they were given
        self.ended: list[Any] = []
        self.operations = 0

    def rage(self, seconds: float, end: Callable[[], None]) -> None:
        """Until `end`, which is called after so long, has ended the gateway."""
        with concurrent.futures.ThreadPoolExecutor(6) as threads:
            clients = [threads.submit(self._client, random.Random(seed)) for seed in range(6)]
            until(lambda: self.operations > 5)
            time.sleep(seconds)
            end()
            self._is_over.set()
        for client in clients:
            client.result()

    def _client(self, choice: random.Random) -> None:
        while not self._is_over.is_set():
            tokens = None
            with contextlib.suppress(OSError, CutShort, Unavailable):
                tokens = self._post("", username="alice", password="alice-password")
                while choice.random() < 0.7:
                    tokens = self._post("refresh/", refresh=tokens["refresh"])
                if choice.random() < 0.7:
                    ending, tokens = tokens, None  # from here on it may have ended
                    self._post("blacklist/", refresh=ending["refresh"])
                    self.ended.append(ending)
            if tokens is not None:
                self.alive.append(tokens)

    def _post(self, path: str, **content: str) -> Any:
        answer = self._pair.post(self._port, f"/api/token/{path}", **content)
        if answer.status == 503:
            raise Unavailable
        assert answer.status == 200, answer
        self.operations += 1
        return answer.json()


def test_s58_a_gateway_that_is_killed_at_any_moment_has_lost_nothing_that_it_acknowledged(
    own_pair: Pair, tmp_path: Path
) -> None:
    delays = random.Random(58)
    for number in range(6):
        with beside(tmp_path, f"victim{number}") as victim:
            storm = Storm(own_pair, victim.port)
            storm.rage(delays.random() / 2, victim.process.kill)
        assert storm.ended or storm.alive
        for tokens in storm.ended:
            own_pair.await_refusal(own_pair.other, tokens)
            assert own_pair.refresh(own_pair.one, tokens).status == 401
        for tokens in storm.alive:
            assert own_pair.status_with(own_pair.other, tokens) == 200
            assert own_pair.refresh(own_pair.one, tokens).status == 200


@pytest.mark.parametrize("own_pair", SERVERS, indirect=True)
def test_s58_a_server_that_is_killed_at_any_moment_has_lost_nothing_that_was_acknowledged(own_pair: Pair) -> None:
    store, delays = own_pair.store, random.Random(58)
    assert store is not None
    for _ in range(3):
        storm = Storm(own_pair, own_pair.other)
        storm.rage(delays.random() / 2, store.kill)
        store.start()
        for tokens in storm.ended:
            until(lambda tokens=tokens: own_pair.refresh(own_pair.one, tokens).status != 503)  # type: ignore[misc]
            assert own_pair.refresh(own_pair.one, tokens).status == 401
        for tokens in storm.alive:
            until(lambda tokens=tokens: own_pair.refresh(own_pair.one, tokens).status != 503)  # type: ignore[misc]
            assert own_pair.refresh(own_pair.one, tokens).status == 200


@pytest.mark.parametrize("own_pair", sorted(BINARIES), indirect=True)
def test_s58_what_was_revoked_is_refused_at_gateways_that_start_after_the_store_was_emptied(
    own_pair: Pair, tmp_path: Path
) -> None:
    store = own_pair.store
    assert isinstance(store, LocalServer)
    ended = [own_pair.log_in(own_pair.one) for _ in range(3)]
    for tokens in ended:
        own_pair.log_out(own_pair.one, tokens)
        own_pair.await_refusal(own_pair.other, tokens)
    store.ask("FLUSHALL")
    until(lambda: store.ask("ZCARD", "{gateway}:revocations") == b":3\r\n")
    with beside(tmp_path, "newcomer") as newcomer:
        for tokens in ended:
            assert own_pair.status_with(newcomer.port, tokens) == 401
            assert own_pair.refresh(newcomer.port, tokens).status == 401
        again = own_pair.log_in(newcomer.port)
        assert own_pair.refresh(own_pair.one, again).status == 200
    log = "".join(server.raw_output() for server in own_pair.servers)
    assert "store_emptied" in log
    assert "store_lost_data" in log


@pytest.mark.parametrize("own_pair", SERVERS, indirect=True)
def test_s58_a_server_that_is_killed_and_comes_back_has_lost_nothing(own_pair: Pair) -> None:
    store = own_pair.store
    assert store is not None
    kept, ended = own_pair.log_in(own_pair.one), own_pair.log_in(own_pair.one)
    own_pair.log_out(own_pair.one, ended)
    assert own_pair.status_with(own_pair.one, kept) == 200
    store.kill()
    # Who is known passes, who is known to be out stays out, and nobody is told anything that is not sure.
    assert own_pair.status_with(own_pair.one, kept) == 200
    assert own_pair.status_with(own_pair.one, ended) == 401
    assert own_pair.refresh(own_pair.one, kept).status == 503
    assert own_pair.post(own_pair.one, "/api/token/blacklist/", refresh=kept["refresh"]).status == 503
    store.start()
    deadline = time.monotonic() + 20
    while own_pair.refresh(own_pair.other, ended).status == 503:
        assert time.monotonic() < deadline
    assert own_pair.refresh(own_pair.other, ended).status == 401
    assert own_pair.refresh(own_pair.other, kept).status == 200


@pytest.mark.parametrize(
    ("section", "url"),
    [
        ("state", "redis://:s3cret@127.0.0.1:1/0"),
        ("state", "unix:///nowhere/redis.sock"),
        ("state", "postgresql://u:s3cret@127.0.0.1:1/d"),
        ("users", "postgresql://u:s3cret@127.0.0.1:1/d"),
    ],
)
def test_s88_a_store_that_is_not_there_at_the_start_ends_it_with_a_sentence(
    tmp_path: Path, section: str, url: str
) -> None:
    values = {
        "listen": {"port": processes.free_port()},
        "admin": {"enabled": False},
        "tokens": {"signing_key": {"env": "GATEWAY_SIGNING_KEY"}},
        "upstreams": {"main": {"servers": ["http://127.0.0.1:9"]}},
        "routes": [{"path": "/", "upstream": "main"}],
        "users": {"sqlite": str(tmp_path / "users.sqlite3")},
    }
    values[section] = {"url": {"env": "THE_URL"}}
    config = processes.write_gateway_config(tmp_path, values)
    command = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
    environment = ENVIRONMENT | {"THE_URL": url, "PATH": ""}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    assert ended.returncode == 1
    assert "cannot be reached" in ended.stderr
    assert "s3cret" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr
