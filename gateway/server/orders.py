"""What the supervisor hands to its workers while they serve: bytes, as an open file through a socket.

So the size of an order is bounded by nothing, and a worker that does not come to read it keeps nobody waiting: the
supervisor writes one byte to it, with the descriptor.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Final, Protocol

from gateway.files import memory_file

logger: Final = logging.getLogger("gateway")

_ORDER: Final = b"!"
_NEVER: Final = float("inf")


class Orders(Protocol):
    """What the workers are to be told while they serve, and how often somebody looks whether that is something."""

    @property
    def interval(self) -> float:
        """Seconds between two looks."""

    def next(self, *, is_asked: bool) -> bytes | None:
        """The order, if there is one. Whoever is forked from now on has it."""

    def on_obeyed(self) -> None:
        """All workers have carried out all orders."""


@dataclass(slots=True)
class _Line:
    """To one worker; `open_orders` it has been given and not carried out."""

    end: socket.socket
    open_orders: int = 0


class Dispatch:
    """The supervisor's end. Looks for orders from `start` to `stop`, at `next_look` on the monotonic clock and when
    `is_asked` says that somebody has asked since the last look."""

    def __init__(self, orders: Orders, is_asked: Callable[[], bool]) -> None:
        self.next_look = _NEVER
        self._orders = orders
        self._is_asked = is_asked
        self._lines: dict[int, _Line] = {}
        self._is_open = False

    def start(self) -> None:
        self.next_look = 0.0

    def stop(self) -> None:
        self.next_look = _NEVER

    def open_line(self) -> tuple[socket.socket, socket.socket]:
        """Our end and that of a worker who is yet to be forked."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        return ours, theirs

    def add(self, worker: int, end: socket.socket) -> None:
        """`worker` is the number of its process."""
        self._lines[worker] = _Line(end)

    def remove(self, worker: int) -> None:
        self._lines.pop(worker).end.close()

    def close(self) -> None:
        """In a worker: these are the supervisor's."""
        for line in self._lines.values():
            line.end.close()

    def on_obeyed(self, worker: int, count: int) -> None:
        """It has carried out `count` more."""
        self._lines[worker].open_orders -= count

    def look(self) -> None:
        """Give the next order when it is time to, and say so when the last one has been carried out."""
        if self.next_look < _NEVER:
            is_asked = self._is_asked()
            if is_asked or time.monotonic() >= self.next_look:
                self._look_for_order(is_asked=is_asked)
        if self._is_open and not any(line.open_orders for line in self._lines.values()):
            self._is_open = False
            self._orders.on_obeyed()

    def _look_for_order(self, *, is_asked: bool) -> None:
        order = self._orders.next(is_asked=is_asked)
        self.next_look = time.monotonic() + self._orders.interval
        if order is None:
            return
        self._is_open = True
        with memory_file(order) as file:
            for worker, line in self._lines.items():
                _give(worker, line, file)


def _give(worker: int, line: _Line, order: IO[bytes]) -> None:
    try:
        socket.send_fds(line.end, [_ORDER], [order.fileno()])
    except BlockingIOError:
        logger.error("worker_hangs pid=%d", worker)  # noqa: TRY400  (a stack says nothing)
        os.kill(worker, signal.SIGKILL)
    except OSError:
        return  # it is gone, which its status tells
    else:
        line.open_orders += 1


async def next_order(end: socket.socket) -> bytes:
    """Waits for it. When the supervisor is gone there is none any more, which the lifeline tells."""
    loop = asyncio.get_running_loop()
    while True:
        readable = loop.create_future()
        loop.add_reader(end, _wake, readable)
        try:
            await readable
        finally:
            loop.remove_reader(end)
        try:
            data, descriptors, _, _ = socket.recv_fds(end, len(_ORDER), 1)
        except BlockingIOError:
            continue
        if not data:
            await loop.create_future()
        with os.fdopen(descriptors[0], "rb") as order:
            # From its beginning and not from where it stands: that is one place for all workers.
            return os.pread(order.fileno(), os.fstat(order.fileno()).st_size, 0)


def _wake(readable: "asyncio.Future[None]") -> None:
    if not readable.done():
        readable.set_result(None)
