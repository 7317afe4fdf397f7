"""The listening sockets: opened before there are workers, one set for each of them.

Several workers do not share one socket but have one each on the same port (SO_REUSEPORT), and the supervisor keeps all
of them open. Measured with two workers on Linux, asyncio and uvloop:

- One shared socket: of 64 clients that connected at once and stayed, one worker took 58 to 64 in four of five runs (38
  and 26 in the fifth), since a loop that wakes up accepts all that is there. With a socket each the kernel deals them
  out: 27 to 37.
- A socket that only its worker holds, as nginx has it with `reuseport`: a killed worker takes the connections with it
  that it had not accepted yet, 14 to 64 of 64 clients were reset, against 1 to 13 (those it had accepted) when the
  supervisor holds the socket too. The next worker in that seat then accepts what has been waiting.
"""

import contextlib
import socket
from collections.abc import Sequence

from gateway.errors import GatewayError

Sockets = tuple[socket.socket, ...]
"""One for each address that the configured one stands for."""


def open_sockets(address: str, port: int, *, seats: int = 1) -> tuple[Sockets, ...]:
    """Bind `address`, an IP address or a name, once for each seat; port 0 is one free port for all of them.

    They take connections as soon as a server listens on them. Raises `GatewayError` with what the operator can do.
    """
    with contextlib.ExitStack() as undo:
        try:
            places = _resolve(address, port)
            if seats > 1:
                _refuse_taken(places)
            first = tuple(undo.enter_context(_bind(family, place, shares=seats > 1)) for family, place in places)
            bound = [(sock.family, sock.getsockname()) for sock in first]
            rest = [
                tuple(undo.enter_context(_bind(family, place, shares=True)) for family, place in bound)
                for _ in range(seats - 1)
            ]
        except OSError as error:
            raise GatewayError(
                f"Cannot listen on {address} port {port}: {error.strerror or error}. "
                "Is another program there? Change listen.address or listen.port."
            ) from None
        undo.pop_all()
    return first, *rest


def stop_listening(sockets: Sequence[socket.socket]) -> None:
    """Let the kernel send no further connections here, whichever processes hold these sockets too."""
    for sock in sockets:
        # Closing would not do while the supervisor has them open: connections would queue up where nobody accepts.
        # Linux takes a listening socket out of the port's group and resets what waits there; `listen` undoes it.
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _resolve(address: str, port: int) -> list[tuple[int, tuple[object, ...]]]:
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, place) for family, _, _, _, place in found))


def _refuse_taken(places: Sequence[tuple[int, tuple[object, ...]]]) -> None:
    """Raises `OSError` when another program is there: with SO_REUSEPORT on both sides the two would share the port."""
    for family, place in places:
        _bind(family, place, shares=False).close()


def _bind(family: int, place: tuple[object, ...], *, shares: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        # Without it the port of a gateway that has just ended would count as in use for a minute.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What it accepts inherits this. asyncio does not see to it, because an accepted socket's protocol is not named.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if shares:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as asyncio does; "::" is not 0.0.0.0 as well
        sock.bind(place)
    except BaseException:
        sock.close()
        raise
    return sock
