"""How fast a client moves what only it can move: the bytes of a body that it sends, those of an answer that it takes.

A deadline for silence does not see a client that sends or takes a byte now and then, for hours. So the connection's
timer looks, window by window, how much has moved. Nothing is measured between two looks, and so nothing is paid.
"""

import fcntl
import struct
import termios
from typing import Final

_NEVER: Final = float("-inf")


class Pace:
    """One window; `moved` is any count of bytes that only grows while the window lasts."""

    __slots__ = ("_began", "_moved")

    def __init__(self) -> None:
        self._began = _NEVER
        self._moved = 0

    def begin(self, now: float, moved: int) -> None:
        self._began = now
        self._moved = moved

    def forget(self) -> None:
        """The window says nothing about the client: something else was waited for."""
        self._began = _NEVER

    def has_begun(self, since: float) -> bool:
        """Whether there is a window, of an exchange that began at `since`."""
        return self._began >= since

    def end(self, seconds: float) -> float:
        """When a window of this length is over."""
        return self._began + seconds

    def is_kept(self, now: float, moved: int, *, least_rate: float) -> bool:
        """Whether at least `least_rate` bytes moved in each second of the window, and at least one in all of it."""
        return moved - self._moved >= max(1, least_rate * (now - self._began))


def unsent_bytes(descriptor: int) -> int:
    """What the kernel still holds of a connection's output: it takes megabytes long before a slow client has them.

    0 where the system does not tell (SIOCOUTQ, Linux).
    """
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0" * 4))
    except OSError:
        return 0
    return int(count)
