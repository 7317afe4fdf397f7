"""Several workers under a supervisor: real processes, their signals, deaths and restarts."""

import asyncio
import concurrent.futures
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests import secret_scan
from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT, ROUTES, Plane, bearer, get, post, running_plane, settings
from tests.integration.raw_client import CutShort, RawClient
from tests.integration.scripted_upstream import Link, Received, echo, plain, silent

JSON = b"Content-Type: application/json"
PATIENCE = 15.0  # for what takes a tenth of a second on an idle machine


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """For what leaves both workers as they were."""
    with running_plane(
        tmp_path_factory.mktemp("workers"),
        workers=2,
        users=["alice", "bob"],
        routes=[{"path": "/users", "upstream": "main"}],
        tokens={"rotate_refresh_tokens": True},
        sessions={"rotation_grace": "2s"},
    ) as plane:
        wait_for_workers(plane, 2)
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


@pytest.fixture
def own_plane(tmp_path: Path) -> Iterator[Plane]:
    """For what ends workers or the whole."""
    with running_plane(tmp_path, workers=2, drain={"timeout": "2s"}) as plane:
        wait_for_workers(plane, 2)
        yield plane


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers_of(plane: Plane) -> list[int]:
    return children(plane.gateway.process.pid)


def lines(plane: Plane, event: str) -> list[str]:
    return [line for line in plane.gateway.output().splitlines() if f" {event} " in line]


def wait_for_workers(plane: Plane, starts: int) -> None:
    """Until so many have begun to serve since the beginning."""
    wait_until(lambda: len(lines(plane, "worker_started")) >= starts or plane.gateway.process.poll() is not None)
    assert plane.gateway.process.returncode is None


def is_alive(pid: int) -> bool:
    try:
        # A worker whose supervisor was killed is buried by whoever adopts it, or stays a zombie.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def worker_behind(client: RawClient) -> str:
    """Each worker has a prefix of its own for its request ids."""
    client.send(get("/required/x"))
    return (client.read().field("x-request-id") or "").partition("-")[0]


@contextlib.contextmanager
def client_of_each(plane: Plane) -> Iterator[list[RawClient]]:
    """One open connection to each of the two workers."""
    with contextlib.ExitStack() as stack:
        found: dict[str, RawClient] = {}
        while len(found) < 2:
            client = stack.enter_context(plane.connect())
            found.setdefault(worker_behind(client), client)
        yield list(found.values())


def pid_behind(plane: Plane, client: RawClient) -> int:
    """The worker that holds the other end of this connection."""
    here, there = client.socket.getsockname()[1], plane.port
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        ends = [int(address.rpartition(":")[2], 16) for address in columns[1:3]]
        if ends == [there, here]:
            target = f"socket:[{columns[9]}]"
            for pid in workers_of(plane):
                for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                    with contextlib.suppress(OSError):
                        if os.readlink(descriptor) == target:
                            return pid
    raise AssertionError("no worker has this connection")


async def slow(link: Link, received: Received) -> None:
    await link.read_body(received)
    await asyncio.sleep(0.5)
    await link.send(plain(b"done"))


def stop_in_flight(plane: Plane, clients: Sequence[RawClient], stop: Callable[[], None]) -> None:
    """Call `stop` while each client waits for the answer to a request."""
    plane.upstream.play(slow)
    for client in clients:
        client.send(get("/public/x"))
    plane.upstream.wait_until(lambda: len(plane.upstream.requests) == len(clients))
    stop()


# What they are.


def test_one_worker_is_one_process(tmp_path: Path) -> None:
    with running_plane(tmp_path, workers=1) as plane:
        assert plane.ask(get("/public/x")).status == 200
        assert workers_of(plane) == []


def test_auto_is_as_many_as_cores(tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    with running_plane(tmp_path, workers=2) as plane:
        wait_for_workers(plane, 2)
        assert len(workers_of(plane)) == 2
    config = tmp_path / "gateway.yaml"
    config.write_text(config.read_text().replace("workers: 2", "workers: auto"))
    argv = ["taskset", "-c", str(core), sys.executable, "-m", "gateway", "run", "--config", str(config)]
    port = int(re.findall(r"port: (\d+)", config.read_text())[0])
    with processes.running("auto", argv, port=port, folder=tmp_path, environment=ENVIRONMENT) as server:
        assert children(server.process.pid) == []


def test_both_serve_the_port_and_no_request_id_comes_twice(plane: Plane) -> None:
    ids = [plane.ask(get("/public/x")).field("x-request-id") or "" for _ in range(60)]
    assert len(set(ids)) == 60
    assert len({request_id.partition("-")[0] for request_id in ids}) == 2


def test_free_port_is_one_for_all(tmp_path: Path) -> None:
    values = settings(port=0, upstreams={"main": {"servers": ["http://127.0.0.1:9"]}}, folder=tmp_path)
    config = processes.write_gateway_config(tmp_path, {**values, "workers": 3})
    with gateway_process(config) as process:
        ports = set()

        def all_listen() -> bool:
            ports.update(port for pid in children(process.pid) for port in listening_ports(pid))
            return len(ports) >= 1 and len(children(process.pid)) == 3

        wait_until(all_listen)
        assert len(ports) == 1


@contextlib.contextmanager
def gateway_process(config: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """For gateways whose port is not known or never opens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "run", "--config", str(config)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(processes.CHECKOUT), **ENVIRONMENT},
        start_new_session=True,
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **options},
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        _, said = process.communicate()
    secret_scan.check((said or b"").decode(), by="gateway run")


def listening_ports(pid: int) -> set[int]:
    with contextlib.suppress(OSError):
        sockets = {os.readlink(descriptor) for descriptor in Path(f"/proc/{pid}/fd").iterdir()}
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return {
            int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets
        }
    return set()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_log_tells_once_where_it_listens(tmp_path: Path, workers: int) -> None:
    values = settings(port=0, upstreams={"main": {"servers": ["http://127.0.0.1:9"]}}, folder=tmp_path)
    config = processes.write_gateway_config(tmp_path, {**values, "workers": workers})
    with gateway_process(config) as process:
        assert process.stderr is not None
        told = next(json.loads(line) for line in process.stderr if b'"listening"' in line)
        assert (told["workers"], told["routes"]) == (workers, len(ROUTES))
        with RawClient(int(told["url"].removeprefix("http://127.0.0.1:"))) as client:
            client.send(get("/required/x"))
            assert client.read().status == 401
        process.terminate()
        assert b'"listening"' not in process.stderr.read()


# One gateway to its clients.


def ask_json(client: RawClient, path: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
    client.send(post(path, json.dumps(body).encode(), JSON))
    answer = client.read()
    return answer.status, answer.json() if answer.body else {}


def test_s55_login_at_one_refresh_at_both_and_get_the_same_successor(plane: Plane) -> None:
    with client_of_each(plane) as (first, second):
        _, pair = ask_json(first, "/api/token/", {"username": "alice", "password": "alice-password"})
        body = json.dumps({"refresh": pair["refresh"]}).encode()
        for client in (second, first):  # neither waits for the other
            client.send(post("/api/token/refresh/", body, JSON))
        successors = {json.loads(client.read().body)["refresh"] for client in (first, second)}
        assert len(successors) == 1
        status, _ = ask_json(second, "/api/token/refresh/", {"refresh": successors.pop()})
        assert status == 200


def test_s55_who_stole_a_refresh_token_and_who_owned_it_are_both_out(plane: Plane) -> None:
    with client_of_each(plane) as (owner, thief):
        _, pair = ask_json(owner, "/api/token/", {"username": "alice", "password": "alice-password"})
        status, renewed = ask_json(owner, "/api/token/refresh/", {"refresh": pair["refresh"]})
        assert status == 200
        time.sleep(2.5)  # the grace time ends
        status, refusal = ask_json(thief, "/api/token/refresh/", {"refresh": pair["refresh"]})
        assert (status, refusal["detail"]) == (401, "Token is blacklisted")
        status, _ = ask_json(owner, "/api/token/refresh/", {"refresh": renewed["refresh"]})
        assert status == 401
        request = get("/users/x", b"Authorization: Bearer " + renewed["access"].encode())
        ended = time.monotonic() + 3
        while plane.ask(request).status == 200:
            assert time.monotonic() < ended


def test_s55_login_at_one_refresh_at_the_other_and_spent_at_both(plane: Plane) -> None:
    with client_of_each(plane) as (first, second):
        status, pair = ask_json(first, "/api/token/", {"username": "alice", "password": "alice-password"})
        assert status == 200
        second.send(get("/users/x", b"Authorization: Bearer " + pair["access"].encode()))
        assert second.read().status == 200
        status, _ = ask_json(second, "/api/token/refresh/", {"refresh": pair["refresh"]})
        assert status == 200
        time.sleep(2.5)  # the grace time ends
        status, refusal = ask_json(first, "/api/token/refresh/", {"refresh": pair["refresh"]})
        assert (status, refusal["code"]) == (401, "token_not_valid")


def test_s57_revocation_at_one_bites_at_the_other_within_about_a_second(plane: Plane) -> None:
    with client_of_each(plane) as (first, second):
        _, pair = ask_json(first, "/api/token/", {"username": "bob", "password": "bob-password"})
        request = get("/users/x", b"Authorization: Bearer " + pair["access"].encode())
        for client in (first, second):
            client.send(request)
            assert client.read().status == 200
        status, _ = ask_json(first, "/api/token/blacklist/", {"refresh": pair["refresh"]})
        assert status == 200
        acknowledged = time.monotonic()
        first.send(request)
        assert first.read().status == 401, "the worker that acknowledged it knows at once"
        last_pass = acknowledged
        while time.monotonic() < acknowledged + 3.0:
            # Fresh connections, so that every worker is asked.
            if plane.ask(request).status == 200:
                last_pass = time.monotonic()
        assert last_pass - acknowledged < 2.0, "the change feed looks once a second"


# The end.


@pytest.mark.parametrize("whom", ["supervisor", "group"])
def test_sigterm_drains_all(own_plane: Plane, whom: str) -> None:
    plane = own_plane
    supervisor = plane.gateway.process.pid
    send = {"supervisor": os.kill, "group": os.killpg}[whom]
    with client_of_each(plane) as clients:
        stop_in_flight(plane, clients, lambda: send(supervisor, signal.SIGTERM))
        for client in clients:
            answer = client.read()
            assert (answer.body, answer.field("connection")) == (b"done", "close")
            assert client.rest() == b""
    assert plane.gateway.process.wait(PATIENCE) == 0
    assert len(lines(plane, "draining")) == len(lines(plane, "drained")) == 2
    assert not lines(plane, "worker_died")


def test_second_sigterm_ends_all_at_once(own_plane: Plane) -> None:
    plane, pids = own_plane, workers_of(own_plane)
    with client_of_each(plane) as clients:
        stop_in_flight(plane, clients, plane.gateway.process.terminate)
        wait_until(lambda: len(lines(plane, "draining")) == 2)
        plane.gateway.process.terminate()
        assert plane.gateway.process.wait(PATIENCE) == -signal.SIGTERM
        for client in clients:
            with pytest.raises(CutShort):
                client.read()
    wait_until(lambda: not any(map(is_alive, pids)))


def test_what_is_left_at_the_end_is_cut_and_counted(tmp_path: Path) -> None:
    with running_plane(tmp_path, workers=2, drain={"timeout": "200ms"}) as plane:
        wait_for_workers(plane, 2)
        plane.upstream.play(silent)
        with plane.connect() as client:
            client.send(get("/public/x"))
            plane.upstream.wait_until(lambda: len(plane.upstream.requests) == 1)
            plane.gateway.process.terminate()
            with pytest.raises(CutShort):
                client.read()
            assert plane.gateway.process.wait(PATIENCE) == 0
        assert sorted(line.rpartition("=")[2] for line in lines(plane, "drained")) == ["0", "1"]


def test_supervisor_that_is_killed_takes_the_workers_along_in_good_order(own_plane: Plane) -> None:
    plane, pids = own_plane, workers_of(own_plane)
    with client_of_each(plane) as clients:
        stop_in_flight(plane, clients, plane.gateway.process.kill)
        for client in clients:
            assert client.read().body == b"done"
    wait_until(lambda: not any(map(is_alive, pids)))
    with pytest.raises(ConnectionRefusedError):
        plane.connect()
    plane.gateway.process.returncode = 0  # this test killed it


@pytest.mark.parametrize("workers", [1, 2])
def test_drain_delay_goes_on_accepting(tmp_path: Path, workers: int) -> None:
    with running_plane(
        tmp_path, workers=workers, drain={"delay": "1s"}, limits={"connections": {"idle_timeout": "30s"}}
    ) as plane:
        if workers > 1:
            wait_for_workers(plane, workers)
        with plane.connect() as idle, plane.connect() as silent_one:
            idle.send(get("/public/x"))
            assert idle.read().field("connection") is None
            plane.gateway.process.terminate()
            wait_until(lambda: len(lines(plane, "draining")) == workers)
            for _ in range(8):
                assert plane.ask(get("/public/x")).field("connection") == "close"
            idle.send(get("/public/x"))
            assert idle.read().field("connection") == "close"
            assert idle.rest() == b""
            assert not lines(plane, "drained"), "the delay was not over"
            assert silent_one.rest() == b""
            assert not silent_one.was_reset
        assert plane.gateway.process.wait(PATIENCE) == 0
        with pytest.raises(ConnectionRefusedError):
            plane.connect()


# Death and restart.


def test_killed_worker_takes_its_own_exchanges_only(own_plane: Plane) -> None:
    plane = own_plane
    with client_of_each(plane) as (victim, other):
        pid = pid_behind(plane, victim)
        stop_in_flight(plane, [victim, other], lambda: os.kill(pid, signal.SIGKILL))
        with pytest.raises(CutShort):
            victim.read()
        assert other.read().body == b"done"
    plane.upstream.begin()
    # Those that the kernel deals to the empty seat wait there for the next worker.
    assert [plane.ask(get("/public/x")).status for _ in range(40)] == [200] * 40
    wait_for_workers(plane, 3)
    assert len(workers_of(plane)) == 2
    assert pid not in workers_of(plane)
    (line,) = lines(plane, "worker_died")
    assert f"pid={pid} exit=SIGKILL restart_in=0s" in line


def test_deaths_under_load_cost_nobody_else_anything_and_leak_no_descriptor(own_plane: Plane) -> None:
    plane = own_plane
    supervisor = Path(f"/proc/{plane.gateway.process.pid}/fd")
    before = sorted(os.readlink(entry).partition(":")[0] for entry in supervisor.iterdir())
    is_over = threading.Event()

    def load() -> tuple[int, int]:
        answered = failed = 0
        while not is_over.is_set():
            try:
                assert plane.ask(get("/public/x")).status == 200
                answered += 1
            except (CutShort, ConnectionError):
                failed += 1
        return answered, failed

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load) for _ in range(4)]
        for deaths in range(1, 4):
            os.kill(workers_of(plane)[0], signal.SIGKILL)
            wait_until(lambda deaths=deaths: len(lines(plane, "worker_died")) == deaths)
            wait_for_workers(plane, 2 + deaths)
        is_over.set()
        results = [result.result() for result in loads]
    # A client has one connection at a time, so a death can cost each of the four one; a socket that is closed for a
    # pause resets what waits in it, again one of each at most.
    assert sum(failed for _, failed in results) <= 4 * 2 * 3
    assert all(answered > failed for answered, failed in results)
    assert sorted(os.readlink(entry).partition(":")[0] for entry in supervisor.iterdir()) == before


def test_worker_that_keeps_dying_young_is_left_alone_for_longer_each_time(own_plane: Plane) -> None:
    plane = own_plane
    with client_of_each(plane) as (victim, other):
        pid, survivor = pid_behind(plane, victim), pid_behind(plane, other)
    for starts, listening in ((3, 2), (4, 1)):
        os.kill(pid, signal.SIGKILL)
        # While nobody is in that seat for long, its socket must not take clients that nobody answers.
        wait_until(lambda starts=starts: len(lines(plane, "worker_died")) == starts - 2)
        assert listening_sockets(plane.port) == listening
        assert [plane.ask(get("/public/x")).status for _ in range(20)] == [200] * 20
        wait_for_workers(plane, starts)
        (pid,) = set(workers_of(plane)) - {survivor}
    assert [line.rpartition("=")[2] for line in lines(plane, "worker_died")] == ["0s", "0.5s"]


def test_worker_that_is_told_to_end_drains_and_is_replaced(own_plane: Plane) -> None:
    plane = own_plane
    with client_of_each(plane) as (leaving, other):
        pid = pid_behind(plane, leaving)
        stop_in_flight(plane, [leaving, other], lambda: os.kill(pid, signal.SIGTERM))
        wait_until(lambda: lines(plane, "draining"))
        plane.upstream.play(echo)
        assert [plane.ask(get("/public/x")).status for _ in range(10)] == [200] * 10
        assert leaving.read().body == other.read().body == b"done"
    wait_for_workers(plane, 3)
    assert len(workers_of(plane)) == 2
    assert "exit=0" in lines(plane, "worker_died")[0]


def test_worker_that_was_told_to_end_young_is_replaced_by_one_that_serves(own_plane: Plane) -> None:
    """Its seat's sockets are stopped by itself and, for the pause, by the supervisor."""
    plane = own_plane
    for starts in (3, 4):
        (worker, _) = sorted(workers_of(plane), reverse=starts == 4)
        os.kill(worker, signal.SIGTERM)
        wait_for_workers(plane, starts)
    assert any("restart_in=0.5s" in line for line in lines(plane, "worker_died"))
    assert [plane.ask(get("/public/x")).status for _ in range(40)] == [200] * 40


# Starts that cannot be.


def settled(config: Path, **environment: str) -> tuple[int, list[str]]:
    """Exit code and lines of a gateway that must end by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "run", "--config", str(config)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(processes.CHECKOUT), **ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=20,
    )
    secret_scan.check(done.stdout + done.stderr, by="gateway run")
    return done.returncode, done.stderr.splitlines()


def write_config(folder: Path, port: int, **sections: Any) -> Path:
    values = settings(port=port, upstreams={"main": {"servers": ["http://127.0.0.1:9"]}}, folder=folder)
    return processes.write_gateway_config(folder, {**values, "workers": 2, **sections})


@pytest.mark.parametrize("shares", [False, True])
def test_port_in_use_is_said_once(tmp_path: Path, shares: bool) -> None:
    with socket.socket() as taken:
        if shares:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = settled(write_config(tmp_path, port))
    assert code == 1
    assert len(said) == 1
    assert f"Cannot listen on 127.0.0.1 port {port}" in said[0]


def test_refused_key_is_said_once(tmp_path: Path) -> None:
    code, said = settled(write_config(tmp_path, 0), GATEWAY_SIGNING_KEY="short")
    assert code == 78
    assert len(said) == 1
    assert "tokens.signing_key" in said[0]


def test_database_that_cannot_be_is_said_once(tmp_path: Path) -> None:
    """Only a worker opens it: after the fork."""
    code, said = settled(write_config(tmp_path, 0, users={"sqlite": str(tmp_path / "absent" / "users.sqlite3")}))
    assert code == 1
    assert len(said) == 1
    assert "absent does not exist" in said[0]


# The access log.


def test_access_log_lines_of_two_workers_stay_whole_in_a_pipe(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with contextlib.closing(os.fdopen(reader, "rb")) as pipe:
        assert_whole_lines(tmp_path, writer, pipe.read)


def test_access_log_lines_of_two_workers_stay_whole_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    assert_whole_lines(tmp_path, os.open(path, os.O_WRONLY | os.O_CREAT), path.read_bytes)


def assert_whole_lines(folder: Path, output: int, read: Callable[[], bytes]) -> None:
    """Both workers log at once; `output` is closed here."""
    port = processes.free_port()
    config = write_config(folder, port)
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(1) as background:
        process = stack.enter_context(gateway_process(config, stdout=output))
        os.close(output)
        everything = background.submit(read) if read.__name__ == "read" else None
        wait_until(lambda: len(listening_workers(process.pid)) == 2)
        # So many that hardly ever one worker has them all.
        clients = [stack.enter_context(RawClient(port)) for _ in range(32)]
        target = "/required/" + "x" * 400
        for _ in range(10):
            for client in clients:
                client.send(get(target) * 8)
            for client in clients:
                for _ in range(8):
                    assert client.read().status == 401
        process.terminate()
        assert process.wait(PATIENCE) == 0
        written = everything.result(PATIENCE) if everything is not None else read()
    records = [json.loads(line) for line in written.decode().splitlines()]
    assert len(records) == 32 * 8 * 10
    assert {record["path"] for record in records} == {target}
    assert len({record["request_id"].partition("-")[0] for record in records}) == 2


def listening_sockets(port: int) -> int:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port for row in rows)


def listening_workers(pid: int) -> list[int]:
    return [child for child in children(pid) if listening_ports(child)]


def test_s84_no_worker_writes_a_traceback(own_plane: Plane) -> None:
    for client_count in range(2):
        for _ in range(20):
            own_plane.ask(get("/required/x", bearer(), b"X-Count: %d" % client_count))
    own_plane.gateway.process.terminate()
    assert own_plane.gateway.process.wait(PATIENCE) == 0
    assert "Traceback" not in own_plane.gateway.output()
