"""Two gateways on one store, whichever keeps it: real processes, real servers, and what happens when one is killed."""

import concurrent.futures
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.cli import main
from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT
from tests.integration.gateway_pair import ENGINES, SERVERS, Pair, running_pair


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
    tokens = pair.log_in(pair.one)
    assert pair.status_with(pair.other, tokens) == 200
    pair.log_out(pair.one, tokens)
    pair.await_refusal(pair.other, tokens)
    assert pair.refresh(pair.other, tokens).status == 401
    assert pair.refresh(pair.one, tokens).status == 401


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
