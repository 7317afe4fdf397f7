"""Which server takes the next request: pure decisions over what the servers say of themselves.

Each server is looked at once at most, and what it says is a count that it keeps anyway.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol


class Candidate(Protocol):
    """A server as the choice sees it."""

    @property
    def has_room(self) -> bool:
        """Whether it can take a request now, on an idle connection or on a new one."""

    @property
    def busy(self) -> int:
        """How many of its connections serve a request or are being opened for one."""


NOBODY: Final = -1

Balance = Callable[[Sequence[Candidate], int], int]
"""The index of the server that is next when `start` is the one whose turn it is; `NOBODY` when none has room."""


def round_robin(servers: Sequence[Candidate], start: int) -> int:
    """The first with room, from the one whose turn it is."""
    count = len(servers)
    for step in range(count):
        at = (start + step) % count
        if servers[at].has_room:
            return at
    return NOBODY


def least_connections(servers: Sequence[Candidate], start: int) -> int:
    """The least busy with room; among equals the first from the one whose turn it is."""
    count = len(servers)
    best, least = NOBODY, 0
    for step in range(count):
        at = (start + step) % count
        server = servers[at]
        busy = server.busy
        if (best == NOBODY or busy < least) and server.has_room:
            best, least = at, busy
    return best
