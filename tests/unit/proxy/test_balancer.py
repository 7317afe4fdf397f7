"""Which server is next, given what the servers say of themselves."""

from dataclasses import dataclass

import pytest

from gateway.proxy.balancer import NOBODY, least_connections, round_robin


@dataclass
class Server:
    """`looks` counts how often it was asked for room."""

    busy: int = 0
    is_full: bool = False
    looks: int = 0

    @property
    def has_room(self) -> bool:
        self.looks += 1
        return not self.is_full


def servers(*busy: int | None) -> list[Server]:
    """One for each number of busy connections; None is full."""
    return [Server(is_full=True, busy=9) if number is None else Server(busy=number) for number in busy]


@pytest.mark.parametrize(
    ("busy", "start", "chosen"),
    [
        ((0, 0, 0), 0, 0),
        ((0, 0, 0), 1, 1),
        ((0, 0, 0), 2, 2),
        ((0, 0, 0), 3, 0),
        ((0, 0, 0), 7, 1),
        ((5, 0), 0, 0),
        ((None, 0, 0), 0, 1),
        ((0, 0, None), 2, 0),
        ((None, None, 0), 0, 2),
        ((None, None), 1, NOBODY),
        ((), 3, NOBODY),
    ],
)
def test_round_robin(busy: tuple[int | None, ...], start: int, chosen: int) -> None:
    assert round_robin(servers(*busy), start) == chosen


@pytest.mark.parametrize(
    ("busy", "start", "chosen"),
    [
        ((2, 1, 3), 0, 1),
        ((2, 1, 3), 2, 1),
        ((1, 1, 1), 0, 0),
        ((1, 1, 1), 2, 2),
        ((2, 1, 1), 0, 1),
        ((1, 2, 1), 1, 2),
        ((None, 12, 10), 0, 2),
        ((None, None), 0, NOBODY),
        ((), 0, NOBODY),
    ],
)
def test_least_connections(busy: tuple[int | None, ...], start: int, chosen: int) -> None:
    assert least_connections(servers(*busy), start) == chosen


@pytest.mark.parametrize("balance", [round_robin, least_connections])
@pytest.mark.parametrize("busy", [(0,) * 5, (None,) * 5, (4, 3, 2, 1, 0)])
def test_no_server_is_looked_at_twice(balance: type[object], busy: tuple[int | None, ...]) -> None:
    asked = servers(*busy)
    balance(asked, 2)  # type: ignore[call-arg]
    assert max(server.looks for server in asked) <= 1
