"""The parent of the workers: starts them, starts anew the ones that die, passes on the end and what is to change.

It serves nothing itself.

Theory of operation. The supervisor forks; it has no event loop and no thread, so a fork copies a process at rest, and
whatever was prepared before (configuration, keys, modules) is there once, shared and the same in each worker, also in
one that starts weeks later. Measured against starting a new interpreter: a worker serves after 40 ms instead of 450,
and has 9 MiB of its own instead of 33.

Two pipes tie them together. Of the *lifeline* the supervisor holds the writing end: when it is closed, to stop or
because the supervisor was killed, every worker reads the end of it and drains. So the end is told once, whether the
signal went to the supervisor or to the whole process group; a signal passed on would be a worker's second one, which
ends it at once. Of the *status* pipe a worker holds the writing end: a byte says that it serves, the end that it died.

What is to change comes through a third way, `orders`: the supervisor has read and checked all of it, so the workers are
the same again, whatever becomes of the files in the meantime, and those that start later are so by the fork. A worker
says by a byte that it has carried an order out; one that cannot dies, and the next one starts with it.

A service manager that wants signs of life gets them from the supervisor, which wants them of the workers in turn: bytes
of the status pipe, written by their loops. A worker that gives none is killed and replaced, the others serve on.

The first worker starts alone. If it cannot serve, nor can the others: its reason is printed once and its exit code is
the supervisor's. From then on a worker that dies is replaced, at once or, when it died young, after a growing pause in
which its socket is closed, so that clients reach the others.
"""

import contextlib
import gc
import logging
import os
import select
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from gateway.server.hangups import HangUps
from gateway.server.lifecycle import STOP_SIGNALS, SignOfLife, end_by_signal
from gateway.server.orders import Dispatch, Orders
from gateway.server.sockets import Ports, stop_listening

logger: Final = logging.getLogger("gateway")

_YOUNG_SECONDS: Final = 10.0
_FIRST_PAUSE: Final = 0.5
_DOUBLINGS: Final = 5
_SERVES: Final = b"+"
_OBEYED: Final = b"!"
_ALIVE: Final = b"."
_MOST_UNHEARD: Final = 2  # looks: whoever gives a sign between any two of them may just miss one
_SIGNALS: Final = (*STOP_SIGNALS, signal.SIGHUP)
_SIGNAL_SECONDS: Final = 0.2
_KILL_AFTER: Final = 5.0  # beyond the time to drain; a worker that is still there hangs


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a worker is given: its seat (from 0) and ports, the lifeline's end to watch, where orders come, and whom to
    tell that it serves, that it has carried one out, and that it is alive."""

    seat: int
    ports: Ports
    lifeline: int
    orders: socket.socket
    tell_serving: Callable[[], None]
    tell_obeyed: Callable[[], None]
    tell_alive: Callable[[], None]


@dataclass(slots=True, kw_only=True)
class _Seat:
    """One of the N places. `starts_at` counts while `pid` is 0: infinity before the first worker serves. `unheard` are
    the looks since the last sign of life: minus infinity before the first one."""

    number: int
    ports: Ports
    starts_at: float
    pid: int = 0
    status: int = -1
    started_at: float = 0.0
    early_deaths: int = 0
    unheard: float = float("-inf")


def restart_pause(early_deaths: int) -> float:
    """Seconds until the next try: 0 for the first death, then 0.5, 1, 2, 4, … up to 16."""
    return 0.0 if early_deaths <= 1 else _FIRST_PAUSE * 2.0 ** min(early_deaths - 2, _DOUBLINGS)


class Supervisor:
    """Keeps one worker in each seat; `seats` are their ports. `work` is what a worker does, and gives its exit code.

    `on_serving` is called once, when the first one serves, `on_stopping` when all are told to end. `drain_seconds`
    tells how long a worker may take to end. `hang_ups` are those that have come before, too.
    `sign_of_life` is wanted of the supervisor, and at the same interval of each worker that serves.
    """

    def __init__(
        self,
        *,
        seats: Sequence[Ports],
        work: Callable[[Post], int],
        on_serving: Callable[[], None],
        on_stopping: Callable[[], None],
        drain_seconds: Callable[[], float],
        orders: Orders,
        hang_ups: HangUps,
        sign_of_life: SignOfLife | None,
    ) -> None:
        self._work = work
        self._on_serving = on_serving
        self._on_stopping = on_stopping
        self._drain_seconds = drain_seconds
        self._dispatch = Dispatch(orders, hang_ups.take)
        self._sign_of_life = sign_of_life
        self._next_sign_at = float("inf")
        self._seats = [
            _Seat(number=number, ports=ports, starts_at=0.0 if number == 1 else float("inf"))
            for number, ports in enumerate(seats, start=1)
        ]
        self._has_served = False
        self._is_stopping = False
        self._kill_at = float("inf")
        self._exit_code = 0
        # Not epoll: a worker inherits that and, closing what it does not need, would change it for the supervisor.
        self._selector = selectors.PollSelector()
        self._lifeline, self._lifeline_end = os.pipe()
        self._signals, self._signals_end = os.pipe()

    def run(self) -> int:
        """Until a signal or until the first worker cannot start; the exit code."""
        gc.enable()
        gc.collect()
        gc.freeze()  # or a worker's first collection would copy every page that the fork shares
        with self._signals_as_bytes():
            try:
                while self._has_work():
                    self._start_due()
                    for key, _ in self._selector.select(self._until_next()):
                        key.data()
                    self._kill_overdue()
                    self._watch()
                    self._dispatch.look()
            finally:
                self._close()
        return self._exit_code

    def _has_work(self) -> bool:
        return not self._is_stopping or any(seat.pid for seat in self._seats)

    def _until_next(self) -> float | None:
        waiting = () if self._is_stopping else (seat for seat in self._seats if not seat.pid)
        times = [self._kill_at, self._dispatch.next_look, self._next_sign_at, *(seat.starts_at for seat in waiting)]
        soonest = min(times)
        return None if soonest == float("inf") else max(0.0, soonest - time.monotonic())

    # Workers

    def _start_due(self) -> None:
        for seat in self._seats:
            if not self._is_stopping and not seat.pid and seat.starts_at <= time.monotonic():
                self._start(seat)

    def _start(self, seat: _Seat) -> None:
        status, status_end = os.pipe()
        line, line_end = self._dispatch.open_line()
        sys.stdout.flush()  # or the worker would write it once more
        # A signal that came before the worker has left the supervisor's handlers would be lost in it.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = _fork(seat)
        if pid == 0:
            line.close()
            self._become_worker(seat, status, status_end, line_end, blocked)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(status_end)
        line_end.close()
        seat.started_at = time.monotonic()
        if pid is None:
            os.close(status)
            line.close()
            self._on_death(seat, 0, os.EX_OSERR)
            return
        seat.pid, seat.status, seat.unheard = pid, status, float("-inf")
        self._dispatch.add(pid, line)
        self._selector.register(status, selectors.EVENT_READ, lambda: self._on_status(seat))

    def _become_worker(
        self, seat: _Seat, status: int, status_end: int, line_end: socket.socket, blocked: set[int | signal.Signals]
    ) -> NoReturn:
        """In the new process, and nothing of it comes back: it would be a second supervisor."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one to the whole group is the supervisor's
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            self._release(but_for=seat)
            os.close(status)
            post = Post(
                seat=seat.number - 1,
                ports=seat.ports,
                lifeline=self._lifeline,
                orders=line_end,
                tell_serving=lambda: _tell(status_end, _SERVES),
                tell_obeyed=lambda: _tell(status_end, _OBEYED),
                tell_alive=lambda: _tell(status_end, _ALIVE),
            )
            code = self._work(post)
            sys.stdout.flush()
        except BaseException:
            logger.exception("worker_failed")
        finally:
            os._exit(code)

    def _release(self, *, but_for: _Seat) -> None:
        """Close what only the supervisor needs."""
        self._selector.close()
        self._dispatch.close()
        for descriptor in (self._lifeline_end, self._signals, self._signals_end):
            os.close(descriptor)
        for seat in self._seats:
            if seat.pid:
                os.close(seat.status)
            if seat is not but_for:
                for sock in seat.ports:
                    sock.close()

    def _on_status(self, seat: _Seat) -> None:
        said = os.read(seat.status, 16)
        if said:
            seat.unheard = 0
            self._dispatch.on_obeyed(seat.pid, said.count(_OBEYED))
            if _SERVES in said:
                self._on_served(seat)
            return
        self._selector.unregister(seat.status)
        os.close(seat.status)
        self._dispatch.remove(seat.pid)
        _, ended = os.waitpid(seat.pid, 0)
        pid, seat.pid = seat.pid, 0
        self._on_death(seat, pid, os.waitstatus_to_exitcode(ended))

    def _on_served(self, seat: _Seat) -> None:
        logger.info("worker_started worker=%d pid=%d", seat.number, seat.pid)
        if not self._has_served:
            self._has_served = True
            self._on_serving()
            self._dispatch.start()
            self._next_sign_at = float("inf") if self._sign_of_life is None else 0.0
            for other in self._seats:
                other.starts_at = 0.0

    def _on_death(self, seat: _Seat, pid: int, code: int) -> None:
        how = _signal_name(-code) if code < 0 else str(code)
        if -code in STOP_SIGNALS and not self._has_served:
            # Perhaps a signal to the whole group, of which the worker's death was heard first.
            self._hear_signals(_SIGNAL_SECONDS)
        if self._is_stopping:
            stop_listening(seat.ports)  # as it has done itself, unless it was killed
            if code and -code not in STOP_SIGNALS:  # which end a worker that has not begun to serve
                logger.error("worker_died worker=%d pid=%d exit=%s", seat.number, pid, how)
            return
        if not self._has_served:
            # It has said why itself, unless a signal ended it.
            if code < 0:
                logger.error("worker_died worker=%d pid=%d exit=%s before it served", seat.number, pid, how)
            self._exit_code = code if code >= 0 else 1
            self._stop()
            return
        now = time.monotonic()
        is_young = now - seat.started_at < _YOUNG_SECONDS
        seat.early_deaths = seat.early_deaths + 1 if is_young else 0
        pause = restart_pause(seat.early_deaths)
        if pause:
            stop_listening(seat.ports)
        seat.starts_at = now + pause
        level = logging.ERROR if code else logging.INFO  # 0: it was told to end, by a signal of its own
        logger.log(level, "worker_died worker=%d pid=%d exit=%s restart_in=%gs", seat.number, pid, how, pause)

    def _watch(self) -> None:
        """Counted in looks and not in seconds: whoever was stopped together with the supervisor has missed none."""
        now = time.monotonic()
        if self._sign_of_life is None or now < self._next_sign_at:
            return
        self._sign_of_life.tell()
        self._next_sign_at = now + self._sign_of_life.interval
        for seat in self._seats:
            seat.unheard += 1
            if seat.pid and seat.unheard > _MOST_UNHEARD:
                self._kill_hanging(seat)
                seat.unheard = float("-inf")

    # The end

    def _hear_signals(self, seconds: float) -> None:
        """Those that come in this time, until one of them is the end."""
        until = time.monotonic() + seconds
        while not self._is_stopping and select.select([self._signals], [], [], max(0.0, until - time.monotonic()))[0]:
            self._on_signals()

    def _on_signals(self) -> None:
        try:
            numbers = os.read(self._signals, 16)
        except BlockingIOError:
            return  # `_hear_signals` was first
        for number in numbers:
            if number == signal.SIGHUP:
                continue  # noted already; it has only to wake the selector
            if not self._is_stopping:
                logger.info("stopping signal=%s", signal.Signals(number).name)
                self._stop()
            else:
                self._end_at_once(number)

    def _stop(self) -> None:
        self._is_stopping = True
        self._on_stopping()
        self._kill_at = time.monotonic() + self._drain_seconds() + _KILL_AFTER
        self._dispatch.stop()
        os.close(self._lifeline_end)
        for seat in self._seats:
            if not seat.pid:
                stop_listening(seat.ports)

    def _end_at_once(self, number: int) -> None:
        for seat in self._seats:
            if seat.pid:
                os.kill(seat.pid, signal.SIGKILL)
        end_by_signal(number)

    def _kill_overdue(self) -> None:
        if time.monotonic() < self._kill_at:
            return
        self._kill_at = float("inf")
        for seat in self._seats:
            if seat.pid:
                self._kill_hanging(seat)

    def _kill_hanging(self, seat: _Seat) -> None:
        logger.error("worker_hangs worker=%d pid=%d", seat.number, seat.pid)
        os.kill(seat.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def _signals_as_bytes(self) -> Iterator[None]:
        """Signals come out of a pipe that the selector watches: nothing happens between two instructions."""
        os.set_blocking(self._signals, False)
        os.set_blocking(self._signals_end, False)
        before = signal.set_wakeup_fd(self._signals_end)
        handlers = {number: signal.signal(number, lambda *_: None) for number in STOP_SIGNALS}
        self._selector.register(self._signals, selectors.EVENT_READ, self._on_signals)
        # Inherited as ignored from whoever started us, it would make the kernel bury the dead before we know of them.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _close(self) -> None:
        self._selector.close()
        if not self._is_stopping:
            os.close(self._lifeline_end)
        for descriptor in (self._lifeline, self._signals, self._signals_end):
            os.close(descriptor)
        for seat in self._seats:
            for sock in seat.ports:
                sock.close()


def _fork(seat: _Seat) -> int | None:
    """As `os.fork`; None when the system has no room for one more process now, which must not end those that serve."""
    try:
        return os.fork()
    except OSError as error:
        logger.error("fork_failed worker=%d error=%s", seat.number, error.strerror)  # noqa: TRY400  (a stack says nothing)
        return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)  # most real-time signals have no name


def _tell(status_end: int, what: bytes) -> None:
    # The supervisor may be gone already; then the lifeline tells.
    with contextlib.suppress(OSError):
        os.write(status_end, what)
