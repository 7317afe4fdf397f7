"""Reload of a running gateway: nobody is disturbed, and what does not fit changes nothing."""

import asyncio
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
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from gateway.auth.keys import generate_key
from tests.certificates import write_pair
from tests.conformance.forging import HEADER, SIGNING_KEY, claims, sign
from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT, bearer, get, settings
from tests.integration.processes import Server
from tests.integration.raw_client import RawClient, ask
from tests.integration.scripted_upstream import Link, Received, Script, ScriptedUpstream, echo, never_accepting_port

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

    def fail_to_reload(self, *, problems: int = 1, **sections: Any) -> list[str]:
        """Each problem has a line of its own."""
        before = len(self.lines("reload_failed"))
        if sections:
            self.write(**sections)
        self.hang_up()
        until(lambda: len(self.lines("reload_failed")) >= before + problems)
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
        # A key's file that is seen to be new just after the signal is one more reload, of nothing.
        assert len([line for line in it.lines("reloaded") if "changes=none" not in line]) == 41
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
        first, second = it.fail_to_reload(problems=2, routes=bad)
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
        lines = it.fail_to_reload(problems=2, users=users, workers=2, routes=open_)
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


# What has begun


def halves(second: threading.Event) -> Script:
    """An answer whose second half comes when the test says so."""

    async def script(link: Link, received: Received) -> None:
        await link.read_body(received)
        await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        await asyncio.to_thread(second.wait, PATIENCE)
        await link.send(b"-half")

    return script


@WORKERS
def test_long_exchanges_outlive_the_route_and_the_upstream_that_they_are_on(tmp_path: Path, workers: int) -> None:
    backend = Path(__file__).parent / "websocket_backend.py"
    second = threading.Event()
    with (
        processes.python_server("websocket-backend", backend, folder=tmp_path) as sockets,
        running(tmp_path, workers=workers) as it,
    ):
        routes, upstreams = it.values["routes"], it.values["upstreams"]
        ways = [
            {"path": "/ws", "upstream": "ws", "stateless": True, "websocket": {"allow_origins": ["*"]}},
            {"path": "/long", "upstream": "long", "access": "public"},
        ]
        more = {"ws": {"servers": [sockets.url]}, "long": {"servers": [it.upstream.url]}}
        it.reload(routes=[*routes, *ways], upstreams={**upstreams, **more})
        it.upstream.play(halves(second))
        with (
            RawClient(it.port, timeout=PATIENCE) as downloading,
            connect(f"ws://127.0.0.1:{it.port}/ws", additional_headers=[bearer_pair()]) as tunnel,
        ):
            downloading.send(get("/long/x"))
            downloading.wait_for(b"first")
            it.upstream.play(echo)
            for turn in range(20):
                is_there = bool(turn % 2)
                it.reload(
                    routes=[*routes, *ways] if is_there else routes,
                    upstreams={**upstreams, **more} if is_there else upstreams,
                    limits={"head_timeout": f"{10 + turn}s"},
                )
                tunnel.send(f"message {turn}")
                assert tunnel.recv(timeout=PATIENCE) == f"message {turn}"
            it.reload(routes=routes, upstreams=upstreams)
            second.set()
            assert downloading.read().body == b"first-half"
            downloading.send(get("/long/x"))
            assert downloading.read().status == 404, "the same connection, and the rules of now"
            tunnel.send("the last one")
            assert tunnel.recv(timeout=PATIENCE) == "the last one"


def bearer_pair() -> tuple[str, str]:
    name, _, value = bearer().decode().partition(": ")
    return name, value


def test_s43_what_a_key_has_signed_ends_with_it(tmp_path: Path) -> None:
    """Tokens that are remembered as good, and the tunnels that they have opened."""
    backend = Path(__file__).parent / "websocket_backend.py"
    with (
        processes.python_server("websocket-backend", backend, folder=tmp_path) as sockets,
        running(tmp_path) as it,
    ):
        way = {"path": "/ws", "upstream": "ws", "stateless": True, "websocket": {"allow_origins": ["*"]}}
        it.reload(
            routes=[*it.values["routes"], way],
            upstreams={**it.values["upstreams"], "ws": {"servers": [sockets.url]}},
        )
        with connect(f"ws://127.0.0.1:{it.port}/ws", additional_headers=[bearer_pair()]) as tunnel:
            old = bearer()
            assert it.status("/required/x", old) == 200
            key = write_key(tmp_path, "new.key")
            new = {"kid": "new", "signing_key": {"file": "new.key"}}
            it.reload(tokens={**new, "further_keys": [{"signing_key": {"env": "GATEWAY_SIGNING_KEY"}}]})
            tunnel.send("still there")
            assert tunnel.recv(timeout=PATIENCE) == "still there"
            assert it.status("/required/x", old) == 200
            it.reload(tokens=new)
            assert it.status("/required/x", old) == 401
            assert it.status("/required/x", signed(key, "new")) == 200
            with pytest.raises(ConnectionClosed):
                tunnel.recv(timeout=PATIENCE)
            assert tunnel.close_code == 4401


# Files


def test_a_configmap_that_is_swapped_is_a_reload(tmp_path: Path) -> None:
    """As the kubelet does: `gateway.yaml` → `..data/gateway.yaml`, and `..data` → a folder for each version."""
    mount = tmp_path / "mount"
    mount.mkdir()

    def mounted(version: str, routes: list[Any]) -> None:
        folder = mount / f"..{version}"
        folder.mkdir()
        write_key(folder, "signing.key") if version == "1" else (folder / "signing.key").write_bytes(
            (mount / "..1" / "signing.key").read_bytes()
        )
        (folder / "signing.key").chmod(0o600)
        (folder / "gateway.yaml").write_text(yaml.safe_dump({**values, "routes": routes}))
        (mount / "..new").symlink_to(folder.name)
        os.replace(mount / "..new", mount / "..data")

    port = processes.free_port()
    with ScriptedUpstream().running() as upstream:
        values = settings(port=port, upstreams={"main": {"servers": [upstream.url]}}, folder=tmp_path)
        values |= {"reload": {"watch": True, "interval": "100ms"}, "tokens": {"signing_key": {"file": "signing.key"}}}
        mounted("1", values["routes"])
        for name in ("gateway.yaml", "signing.key"):
            (mount / name).symlink_to(f"..data/{name}")
        config = mount / "gateway.yaml"
        with processes.gateway(config, port=port, environment={}) as gateway:
            it = Running(gateway=gateway, config=config, values=values, upstream=upstream)
            mounted("2", [*values["routes"], {"path": "/new", "upstream": "main", "access": "public"}])
            until(lambda: it.lines("reloaded"))
            assert it.status("/new/x") == 200
            mounted("3", [{"path": "/half", "upst": "main"}])
            until(lambda: it.lines("reload_failed"))
            mounted("4", [{"path": "/other", "upstream": "main", "access": "public"}])
            until(lambda: len(it.lines("reloaded")) == 2)
            assert [it.status(path) for path in ("/new/x", "/other/x")] == [404, 200]
            assert len(it.lines("reload_failed")) == 1, "once, however often it is looked at"


@WORKERS
def test_a_renewed_certificate_needs_nobody_to_say_so(tmp_path: Path, workers: int) -> None:
    pair = write_pair(tmp_path, "own")
    tls = {"certificate": "own.crt", "key": "own.key"}
    routes = [{"path": "/open", "upstream": "main", "access": "public"}]
    with running(tmp_path, workers=workers, routes=routes) as it:
        it.reload(listen={**it.values["listen"], "tls": tls}, reload={"interval": "100ms"})
        trust = pair.client_context()
        assert ask(it.port, get("/open/x"), tls=trust).status == 200
        # Not told to the gateway, so it must not count yet.
        it.write(routes=[{"path": "/other", "upstream": "main", "access": "public"}])
        renewed = write_pair(tmp_path, "own").client_context()
        until(lambda: it.lines("reloaded")[-1] == "reloaded changes=listen.tls")
        for _ in range(4 * workers):
            assert ask(it.port, get("/open/x"), tls=renewed).status == 200


# The process


def catches_hang_ups(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGHUP - 1))


def test_one_that_comes_during_the_start_is_kept(tmp_path: Path) -> None:
    port = processes.free_port()
    with ScriptedUpstream().running() as upstream, never_accepting_port() as deaf:
        # The start waits some seconds for the keys of an issuer that does not answer.
        issuer = {"issuer": "https://a.example", "audience": ["a"], "jwks_url": f"https://127.0.0.1:{deaf}/"}
        values = settings(port=port, upstreams={"main": {"servers": [upstream.url]}}, folder=tmp_path)
        values["foreign_issuers"] = {"deaf": {**issuer, "algorithms": ["RS256"]}}
        config = processes.write_gateway_config(tmp_path, values)
        read = threading.Event()

        def change() -> None:
            until((tmp_path / "users.sqlite3").exists)  # opened behind the reading of the file
            (pid,) = {int(name) for name in os.listdir("/proc") if name.isdigit() and runs(int(name), config)}
            assert catches_hang_ups(pid)
            values["routes"] = [{"path": "/new", "upstream": "main", "access": "public"}]
            processes.write_gateway_config(tmp_path, values)
            os.kill(pid, signal.SIGHUP)
            read.set()

        changing = threading.Thread(target=change)
        changing.start()
        with processes.gateway(config, port=port, environment=ENVIRONMENT) as gateway:
            changing.join()
            assert read.is_set()
            it = Running(gateway=gateway, config=config, values=values, upstream=upstream)
            until(lambda: it.lines("reloaded changes=routes"))
            assert it.status("/new/x") == 200


def runs(pid: int, config: Path) -> bool:
    try:
        return str(config).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


@WORKERS
def test_one_that_comes_during_the_end_changes_nothing(tmp_path: Path, workers: int) -> None:
    second = threading.Event()
    with running(tmp_path, workers=workers) as it:
        it.upstream.play(halves(second))
        with RawClient(it.port, timeout=PATIENCE) as client:
            client.send(get("/public/x"))
            client.wait_for(b"first")
            it.gateway.process.terminate()
            until(lambda: it.lines("draining"))
            it.write(routes=[{"path": "/new", "upstream": "main", "access": "public"}])
            it.hang_up()
            second.set()
            assert client.read().body == b"first-half"
        assert it.gateway.process.wait(PATIENCE) == 0
        assert not it.lines("reload")


def test_a_worker_that_comes_later_has_what_the_others_have(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as it:
        it.reload(routes=[{"path": "/new", "upstream": "main", "access": "public"}])
        for line in it.lines("worker_started"):
            os.kill(int(line.rpartition("pid=")[2]), signal.SIGKILL)
        until(lambda: len(it.lines("worker_started")) == 4)
        for _ in range(20):
            assert (it.status("/new/x"), it.status("/public/x")) == (200, 404)
        assert it.reload(limits={"head_timeout": "3s"}) == "reloaded changes=limits.head_timeout"


def test_reloads_are_counted_for_all_workers(tmp_path: Path) -> None:
    admin = processes.free_port()
    with running(tmp_path, workers=2, admin={"port": admin}) as it:

        def metrics() -> dict[str, float]:
            body = ask(admin, get("/metrics", b"Connection: close")).body.decode()
            return {
                name: float(value)
                for name, _, value in (line.rpartition(" ") for line in body.splitlines())
                if name.startswith("gateway_config_")
            }

        before = metrics()
        it.fail_to_reload(workers=7)
        until(lambda: metrics()["gateway_config_last_reload_successful"] == 0.0)
        assert ask(admin, get("/readyz", b"Connection: close")).status == 200
        it.reload(workers=2, limits={"head_timeout": "3s"})
        # Of the two workers, the one that is scraped samples; the other one may still show what was before the failure.
        until(lambda: metrics()["gateway_config_hash"] != before["gateway_config_hash"])
        until(lambda: metrics()["gateway_config_last_reload_successful"] == 1.0)
        after = metrics()
        assert after['gateway_config_reloads_total{result="ok"}'] == 1
        assert after['gateway_config_reloads_total{result="failed"}'] == 1
        assert (
            after["gateway_config_last_reload_success_timestamp_seconds"]
            >= before["gateway_config_last_reload_success_timestamp_seconds"]
        )


def resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) * 1024


def test_reloads_leave_nothing_behind(tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as it, RawClient(it.port, timeout=PATIENCE) as client:
        pids = [it.gateway.process.pid, *(int(line.rpartition("pid=")[2]) for line in it.lines("worker_started"))]

        def reload_often(times: int) -> list[tuple[int, int]]:
            for turn in range(times):
                it.reload(
                    routes=[{"path": f"/{turn}", "upstream": "main", "access": "public"}],
                    upstreams={"main": {"servers": [it.upstream.url], "connect_timeout": f"{turn + 1}s"}},
                )
                client.send(get(f"/{turn}/x"))
                assert client.read().status == 200
                client.send(get("/api/token/verify/"))
                assert client.read().status == 405
            return [(resident(pid), len(os.listdir(f"/proc/{pid}/fd"))) for pid in pids]

        before = reload_often(60)
        after = reload_often(200)
        for (memory, descriptors), (more_memory, more_descriptors) in zip(before, after, strict=True):
            assert more_descriptors <= descriptors + 2
            assert more_memory < memory + 4 * 1024 * 1024


@WORKERS
def test_one_to_the_whole_group_is_one(tmp_path: Path, workers: int) -> None:
    with running(tmp_path, workers=workers) as it:
        started = it.lines("worker_started")
        it.write(routes=[{"path": "/new", "upstream": "main", "access": "public"}])
        os.killpg(it.gateway.process.pid, signal.SIGHUP)
        until(lambda: it.lines("reloaded"))
        assert it.reload() == "reloaded changes=none"
        assert len(it.lines("reloaded")) == 2
        assert it.status("/new/x") == 200
        assert it.lines("worker_started") == started
        assert not it.lines("worker_died")


@WORKERS
def test_what_is_logged_and_in_which_form_changes_without_a_restart(tmp_path: Path, workers: int) -> None:
    def told(it: Running, target: str) -> str | None:
        return next((line for line in it.gateway.raw_output().splitlines() if f"/{target}" in line), None)

    with running(tmp_path, workers=workers) as it:
        assert it.status("/public/first") == 200
        until(lambda: told(it, "public/first"))
        it.reload(log={"access": False})
        assert it.status("/public/second") == 200
        assert it.reload(log={"format": "text"}) == "reloaded changes=log.format,log.access"
        assert "Z INFO gateway reloaded changes=log.format,log.access" in it.gateway.raw_output()
        assert it.status("/public/third") == 200
        until(lambda: told(it, "public/third"))
        assert "Z INFO gateway.access GET /public/third 200" in str(told(it, "public/third"))
        it.reload(log={})
        assert it.status("/public/fourth") == 200
        until(lambda: told(it, "public/fourth"))
        assert str(told(it, "public/fourth")).startswith("{")
        assert told(it, "public/second") is None
