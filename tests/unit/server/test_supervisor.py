"""The supervisor with workers of a few lines; with the whole gateway it is in tests/integration/test_workers.py."""

import os
import signal
import time
from pathlib import Path

import pytest

from gateway.server.supervisor import restart_pause
from tests.unit.server.scripts import Script, script

# `work` is the body of the worker; it has its `post`, and `seat`, the number that `serve` says.
SOURCE = """
import os, signal, sys, time
from gateway.observability.log_output import configure_logging
from gateway.server import supervisor
from gateway.server.hangups import HangUps
from gateway.server.sockets import open_ports

configure_logging(form="text")
supervisor._KILL_AFTER = 0.2
seats = open_ports(("127.0.0.1", 0), None, seats=2)
numbers = {ports.clients[0].fileno(): number for number, ports in enumerate(seats, 1)}

def serve(post):
    print("serves", numbers[post.ports.clients[0].fileno()], os.getpid(), flush=True)
    post.tell_serving()

def wait(post):
    os.read(post.lifeline, 1)

def work(post):
WORK

class NoOrders:
    interval = 60.0

    def next(self, *, is_asked):
        return None

print("once")
code = supervisor.Supervisor(
    seats=seats,
    work=work,
    on_serving=lambda: print("on_serving", flush=True),
    on_stopping=lambda: None,
    drain_seconds=lambda: 0.1,
    orders=NoOrders(),
    hang_ups=HangUps(),
    sign_of_life=None,
).run()
print("code", code, flush=True)
"""
PATIENT = ["serve(post)", "wait(post)", "return 0"]


def supervised(*work: str) -> str:
    return SOURCE.replace("WORK", "\n".join(f"    {line}" for line in work))


def pids(process: Script) -> list[int]:
    """Of both workers, by seat."""
    found = dict(process.line_with("serves").split()[1:] for _ in range(2))
    return [int(found["1"]), int(found["2"])]


@pytest.mark.parametrize(
    ("early_deaths", "seconds"), [(0, 0), (1, 0), (2, 0.5), (3, 1), (4, 2), (7, 16), (8, 16), (5000, 16)]
)
def test_pause_grows_to_a_bound(early_deaths: int, seconds: float) -> None:
    assert restart_pause(early_deaths) == seconds


def test_workers_serve_until_the_lifeline_ends() -> None:
    with script(supervised(*PATIENT)) as process:
        assert len(set(pids(process))) == 2
        process.signal(signal.SIGTERM)
        code, rest = process.end()
    assert code == 0
    assert rest[-1] == "code 0"
    assert not any("worker_died" in line for line in rest)


def test_what_was_printed_before_the_fork_is_printed_once() -> None:
    with script(supervised(*PATIENT)) as process:
        assert process.line() == "once"
        pids(process)
        process.signal(signal.SIGTERM)
        assert "once" not in process.end()[1]


def test_it_is_told_once_that_somebody_serves() -> None:
    with script(supervised(*PATIENT)) as process:
        process.line_with("serves 1")
        process.line_with("on_serving")
        os.kill(int(process.line_with("serves 2").split()[2]), signal.SIGKILL)
        process.line_with("serves 2")
        process.signal(signal.SIGTERM)
        assert "on_serving" not in process.end()[1]


def test_first_worker_that_does_not_come_to_serve_ends_it_all_with_its_code() -> None:
    with script(supervised("print('says why', flush=True)", "return 78")) as process:
        code, lines = process.end()
    assert code == 0  # the script's own
    assert [line for line in lines if line != "once"] == ["says why", "code 78"]


def test_first_worker_that_a_signal_kills_before_it_serves_is_code_1() -> None:
    with script(supervised("os.kill(os.getpid(), signal.SIGSEGV)")) as process:
        _, lines = process.end()
    assert lines[-1] == "code 1"
    assert "exit=SIGSEGV before it served" in lines[-2]


def test_worker_that_raises_is_logged_and_does_not_become_a_second_supervisor() -> None:
    with script(supervised("raise LookupError('a defect')")) as process:
        _, lines = process.end()
    assert [line for line in lines if line.startswith("code")] == ["code 1"]
    assert any("worker_failed" in line for line in lines)
    assert "LookupError: a defect" in lines


@pytest.mark.parametrize(("number", "name"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGRTMIN + 6, "40")])
def test_dead_worker_is_replaced_in_its_seat(number: int, name: str) -> None:
    with script(supervised(*PATIENT)) as process:
        first, second = pids(process)
        os.kill(second, number)
        assert f"worker=2 pid={second} exit={name} restart_in=0s" in process.line_with("worker_died")
        seat, pid = process.line_with("serves").split()[1:]
        assert seat == "2"
        assert int(pid) not in (first, second)


NO_ROOM_FOR_THE_THIRD = """
import os
system_fork, forks = os.fork, []

def fork():
    forks.append(None)
    if len(forks) == 3:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return system_fork()

os.fork = fork
"""


def test_a_worker_that_the_system_has_no_room_for_comes_later_and_the_others_stay() -> None:
    with script(NO_ROOM_FOR_THE_THIRD + supervised(*PATIENT)) as process:
        first, second = pids(process)
        os.kill(second, signal.SIGKILL)
        assert "Resource temporarily unavailable" in process.line_with("fork_failed worker=2")
        process.line_with("serves 2")
        os.kill(first, 0)
        process.signal(signal.SIGTERM)
        assert process.end()[1][-1] == "code 0"


def test_workers_hold_their_own_descriptors_only() -> None:
    with script(supervised(*PATIENT)) as process:
        first, second = pids(process)
        os.kill(first, signal.SIGKILL)
        third = int(process.line_with("serves").split()[2])
        process.line_with("worker_started")
        for pid in (second, third):
            kinds = sorted(os.readlink(entry).partition(":")[0] for entry in Path(f"/proc/{pid}/fd").iterdir())
            # Standard input is /dev/null; output, errors, lifeline and status are pipes; a port of its own, and orders.
            assert kinds == ["/dev/null", "pipe", "pipe", "pipe", "pipe", "socket", "socket"]


def test_worker_that_hangs_is_killed_when_the_time_to_drain_is_over() -> None:
    with script(supervised("serve(post)", "time.sleep(60)")) as process:
        workers = pids(process)
        process.line_with("worker_started")
        process.signal(signal.SIGTERM)
        code, lines = process.end()
    assert code == 0
    hanging = [line for line in lines if "worker_hangs" in line]
    assert [f"pid={pid}" in line for pid, line in zip(workers, hanging, strict=True)] == [True, True]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_all_at_once(second: int) -> None:
    source = supervised("serve(post)", "time.sleep(60)").replace("lambda: 0.1", "lambda: 60")
    with script(source) as process:
        pids(process)
        process.signal(signal.SIGTERM)
        process.line_with("stopping signal=SIGTERM")
        process.signal(second)
        code, lines = process.end()
    assert code == -second
    assert all("worker_started" in line for line in lines), lines


def test_workers_that_have_not_begun_are_not_waited_for_in_vain() -> None:
    """Stopped while the first worker starts: it dies of the signal, or reads the end of the lifeline."""
    with script(supervised("print('starts', flush=True)", *PATIENT[1:]), process_group=0) as process:
        process.line_with("starts")
        os.killpg(process.pid, signal.SIGTERM)
        code, lines = process.end()
    assert code == 0
    assert lines[-1] == "code 0"
    assert not any("worker_died" in line for line in lines)


def test_a_signal_that_reaches_a_worker_first_is_no_failed_start() -> None:
    """One to the whole group, in the order in which the kernel happens to deliver it."""
    with script(supervised("print('starts', os.getpid(), flush=True)", *PATIENT[1:])) as process:
        worker = int(process.line_with("starts").split()[1])
        os.kill(worker, signal.SIGTERM)
        time.sleep(0.05)  # the kernel takes microseconds, but then it is hardly ever in this order
        process.signal(signal.SIGTERM)
        code, lines = process.end()
    assert (code, lines[-1]) == (0, "code 0")
    assert not any("worker_died" in line for line in lines)


def test_a_request_to_reload_does_not_keep_a_failed_start_waiting() -> None:
    """The worker alone was told to end; the signal that the supervisor then hears is no reason to wait for another."""
    with script(supervised("print('starts', os.getpid(), flush=True)", *PATIENT[1:])) as process:
        worker = int(process.line_with("starts").split()[1])
        process.signal(signal.SIGSTOP)  # so that it finds both at once
        os.kill(worker, signal.SIGTERM)
        process.signal(signal.SIGHUP)
        process.signal(signal.SIGCONT)
        code, lines = process.end()
    assert (code, lines[-1]) == (0, "code 1")
    assert "exit=SIGTERM before it served" in lines[-2]


def test_children_that_the_kernel_was_told_to_ignore_are_waited_for_all_the_same() -> None:
    """SIGCHLD may be inherited as ignored; then `waitpid` would find nobody."""
    source = "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n" + supervised(*PATIENT)
    with script(source) as process:
        _, second = pids(process)
        os.kill(second, signal.SIGKILL)
        process.line_with("worker_died")
        process.line_with("serves 2")
        process.signal(signal.SIGTERM)
        assert process.end()[1][-1] == "code 0"


WATCHED = "import select\nfrom gateway.server.lifecycle import SignOfLife\n" + supervised(
    PATIENT[0],
    "while not select.select([post.lifeline], [], [], 0.02)[0]: post.tell_alive()",
    "return 0",
).replace("sign_of_life=None", "sign_of_life=SignOfLife(interval=0.4, tell=lambda: print('alive', flush=True))")


def test_a_worker_that_gives_no_sign_of_life_is_replaced() -> None:
    with script(WATCHED) as process:
        first, second = pids(process)
        process.line_with("alive")
        os.kill(second, signal.SIGSTOP)
        assert f"worker=2 pid={second}" in process.line_with("worker_hangs")
        assert "exit=SIGKILL" in process.line_with("worker_died")
        process.line_with("serves 2")
        process.line_with("alive")
        os.kill(first, 0)
        process.signal(signal.SIGTERM)
        _, lines = process.end()
    assert lines[-1] == "code 0"
    assert not any("worker_hangs" in line for line in lines)


def test_workers_that_were_stopped_together_with_the_supervisor_live_on() -> None:
    """A container that is paused, a machine that sleeps: nobody hangs."""
    with script(WATCHED, process_group=0) as process:
        pids(process)
        process.line_with("alive")
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(2)  # five times the interval
        os.killpg(process.pid, signal.SIGCONT)
        for _ in range(5):
            process.line_with("alive")
        process.signal(signal.SIGTERM)
        _, lines = process.end()
    assert lines[-1] == "code 0"
