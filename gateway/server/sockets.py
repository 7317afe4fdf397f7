"""The listening sockets, for clients and for probes: opened before there are workers, a set of each for each of them.

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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.errors import GatewayError

Sockets = tuple[socket.socket, ...]
"""One for each address that the configured one stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What one process listens on: for its clients, and for probes unless nobody wants them. Iterates over all."""

    clients: Sockets
    admin: Sockets = ()

    def __iter__(self) -> Iterator[socket.socket]:
        yield from self.clients
        yield from self.admin


def open_ports(clients: tuple[str, int], admin: tuple[str, int] | None, *, seats: int = 1) -> tuple[Ports, ...]:
    """Address and port of each, bound as by `open_sockets`. Raises `GatewayError`, also where both would be one."""
    with contextlib.ExitStack() as undo:
        of_clients = open_sockets(*clients, section="listen", seats=seats)
        _close_on_failure(undo, of_clients)
        of_admin: Sequence[Sockets] = (
            [()] * seats if admin is None else open_sockets(*admin, section="admin", seats=seats)
        )
        _close_on_failure(undo, of_admin)
        opened = tuple(Ports(clients=ours, admin=probes) for ours, probes in zip(of_clients, of_admin, strict=True))
        _refuse_overlap(opened[0])
        undo.pop_all()
    return opened


def _close_on_failure(undo: contextlib.ExitStack, sets: Sequence[Sockets]) -> None:
    for sockets in sets:
        for sock in sockets:
            undo.callback(sock.close)


def _refuse_overlap(ports: Ports) -> None:
    """Two names of one address pass the configuration's own check, and the kernel lets a program share with itself."""
    for client in ports.clients:
        for admin in ports.admin:
            (address, port, *_), (admin_address, admin_port, *_) = client.getsockname(), admin.getsockname()
            is_any = not {address, admin_address}.isdisjoint({"0.0.0.0", "::"})
            if client.family == admin.family and port == admin_port and (address == admin_address or is_any):
                raise GatewayError(f"The admin listener cannot be at port {port} of {address}: clients connect there.")


def open_sockets(address: str, port: int, *, section: str, seats: int = 1) -> tuple[Sockets, ...]:
    """Bind `address`, an IP address or a name, once for each seat; port 0 is one free port for all of them.

    They take connections as soon as a server listens on them. Raises `GatewayError` with what the operator can do
    in that `section` of the configuration.
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
                f"Is another program there? Change {section}.address or {section}.port."
            ) from None
        undo.pop_all()
    return first, *rest


def stop_listening(sockets: Iterable[socket.socket]) -> None:
    """Let the kernel send no further connections here, whichever processes hold these sockets too."""
    for sock in sockets:
        # Closing would not do while the supervisor has them open: connections would queue up where nobody accepts.
        # Linux takes a listening socket out of the port's group and resets what waits there; `listen` undoes it. It
        # does not undo what the same call does to a socket that listens no more: whatever that accepts later is at its
        # end from the beginning. A worker that drains and its supervisor both come here.
        with contextlib.suppress(OSError):
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
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
