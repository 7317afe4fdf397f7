"""Reload of a running gateway: nobody is disturbed, and what does not fit changes nothing."""

import contextlib
import dataclasses
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.auth.keys import generate_key
from tests.conformance.forging import HEADER, SIGNING_KEY, claims, sign
from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT, bearer, get, settings
from tests.integration.processes import Server
from tests.integration.raw_client import RawClient, ask
from tests.integration.scripted_upstream import ScriptedUpstream

PATIENCE = 20.0
WORKERS = pytest.mark.parametrize("workers", [1, 3])


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@dataclasses.dataclass
class Running:
    """A gateway, its file, and what happens to both."""

    gateway: Server
    config: Path
    values: dict[str, Any]
    upstream: ScriptedUpstream

    @property
    def port(self) -> int:
        return self.gateway.port

    def lines(self, event: str) -> list[str]:
        return [line.partition(" gateway ")[2] for line in self.gateway.output().splitlines() if f" {event}" in line]

    def write(self, **sections: Any) -> None:
        self.values |= sections
        self.write_text(yaml.safe_dump(self.values, sort_keys=False))

    def write_text(self, text: str) -> None:
        self.config.write_text(text)

    def hang_up(self) -> None:
        os.kill(self.gateway.process.pid, signal.SIGHUP)

    def reload(self, **sections: Any) -> str:
        """Write, ask for it, and wait until it is done by all; the line that says so."""
        before = len(self.lines("reloaded"))
        if sections:
            self.write(**sections)
        self.hang_up()
        until(lambda: len(self.lines("reloaded")) > before)
        return self.lines("reloaded")[-1]

    def fail_to_reload(self, **sections: Any) -> list[str]:
        before = len(self.lines("reload_failed"))
        if sections:
            self.write(**sections)
        self.hang_up()
        until(lambda: len(self.lines("reload_failed")) > before)
        return self.lines("reload_failed")[before:]

    def status(self, target: str, *lines: bytes) -> int:
        return ask(self.port, get(target, *lines)).status


@contextlib.contextmanager
def running(folder: Path, *, workers: int = 1, **sections: Any) -> Iterator[Running]:
    port = processes.free_port()
    with ScriptedUpstream().running() as upstream:
        values = settings(port=port, upstreams={"main": {"servers": [upstream.url]}}, folder=folder)
        values |= {"workers": workers, **sections}
        config = processes.write_gateway_config(folder, values)
        with processes.gateway(config, port=port, environment=ENVIRONMENT) as gateway:
            it = Running(gateway=gateway, config=config, values=values, upstream=upstream)
            until(lambda: workers == 1 or len(it.lines("worker_started")) == workers)
            yield it
            assert "Traceback" not in gateway.output(), gateway.output()


def write_key(folder: Path, name: str) -> str:
    """A new HMAC key in a file of its own."""
    (folder / name).touch(0o600)
    key = generate_key("HS256")
    (folder / name).write_text(key)
    return key


def signed(key: str, kid: str) -> bytes:
    """The Authorization line of user 1, by this key."""
    header = json.dumps({**HEADER, "kid": kid}).encode()
    return b"Authorization: Bearer " + sign(header, json.dumps(claims("access")).encode(), key=key)


class Load:
    """Clients that ask on and on over connections that they keep; `wrong` is whatever was not answered 200."""

    def __init__(self, port: int, requests: Callable[[], bytes], *, clients: int) -> None:
        self.wrong: list[object] = []
        self.answers = 0
        self._port = port
        self._requests = requests
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        try:
            with RawClient(self._port, timeout=PATIENCE) as client:
                while not self._is_over.is_set():
                    client.send(self._requests())
                    status = client.read().status
                    self.answers += 1
                    if status != 200:
                        self.wrong.append(status)
        except Exception as error:
            self.wrong.append(error)


@WORKERS
def test_s45_routes_and_keys_change_under_load_and_nobody_is_refused(tmp_path: Path, workers: int) -> None:
    public = {"path": "/load", "upstream": "main", "access": "public"}
    required = {**public, "access": "required", "stateless": True}
    with running(tmp_path, workers=workers) as it:
        routes = it.values["routes"]
        it.reload(routes=[*routes, required])
        # Every token that is sent is one that passes at that moment and at the next one.
        current = bearer()
        with Load(it.port, lambda: get("/load/x", current), clients=6) as load:
            keys = [{"signing_key": {"env": "GATEWAY_SIGNING_KEY"}}]
            for turn in range(20):
                name = f"key-{turn}"
                key = write_key(tmp_path, name)
                entry = {"kid": name, "algorithm": "HS256", "signing_key": {"file": name}}
                # As `gateway key rotate` has it: known, then active, and the last one goes when nobody uses it.
                it.reload(tokens={**keys[-1], "further_keys": [entry]})
                it.reload(
                    tokens={**entry, "further_keys": keys[-1:]},
                    routes=[*routes, required if turn % 2 else public],
                )
                current = signed(key, name)
                seen = load.answers
                until(lambda seen=seen: load.answers > seen + 50 or load.wrong)
                keys.append(entry)
            assert load.wrong == []
        assert load.answers > 1000
        assert len(it.lines("reloaded")) == 41
        assert not it.lines("reload_failed")
        assert it.status("/required/x", bearer()) == 401, "the first key is long gone"


@WORKERS
def test_a_file_that_is_refused_changes_nothing(tmp_path: Path, workers: int) -> None:
    with running(tmp_path, workers=workers) as it:
        routes = it.values["routes"]
        bad = [
            *routes,
            {"path": "/new", "upstream": "nobody"},
            {"path": "/other", "upstream": "main", "acess": "public"},
        ]
        first, second = it.fail_to_reload(routes=bad)
        assert f"{it.config}:" in first
        assert "routes[8].upstream: there is no upstream `nobody`" in first
        assert "routes[9].acess: unknown key `acess`; did you mean `access`?" in second
        it.write_text("routes: [")
        it.fail_to_reload()
        it.config.unlink()
        assert it.fail_to_reload() == [f"reload_failed {it.config}: does not exist"]
        assert it.status("/public/x") == 200
        assert it.reload(routes=[*routes, {"path": "/new", "upstream": "main", "access": "public"}])
        assert it.status("/new/x") == 200


@WORKERS
def test_what_needs_a_restart_is_named_and_nothing_of_the_file_is_taken(tmp_path: Path, workers: int) -> None:
    with running(tmp_path, workers=workers) as it:
        users = {**it.values["users"], "sqlite": str(tmp_path / "others.sqlite3")}
        open_ = [{"path": "/required", "upstream": "main", "access": "public"}]
        lines = it.fail_to_reload(users=users, workers=2, routes=open_)
        message = "cannot change while the gateway runs; restart it, or change it back"
        assert sorted(line.partition(": ")[2] for line in lines) == [f"users.sqlite: {message}", f"workers: {message}"]
        assert it.status("/required/x") == 401


@WORKERS
def test_the_line_tells_what_has_changed_and_no_secret(tmp_path: Path, workers: int) -> None:
    with running(tmp_path, workers=workers) as it:
        assert it.reload() == "reloaded changes=none"
        key = write_key(tmp_path, "new.key")
        line = it.reload(tokens={"signing_key": {"file": "new.key"}}, limits={"head_timeout": "7s"})
        assert line == "reloaded changes=tokens.signing_key,limits.head_timeout"
        assert key not in it.gateway.output()
        assert SIGNING_KEY not in it.gateway.output()
