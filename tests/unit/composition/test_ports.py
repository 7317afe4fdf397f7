"""What the configuration says to listen on is what is bound."""

import contextlib
from collections.abc import Iterator

from gateway.composition.ports import open_ports
from gateway.server.sockets import Ports
from tests.integration.processes import free_port
from tests.unit.config.sample import parse_with


@contextlib.contextmanager
def opened(*, admin: str, seats: int = 1) -> Iterator[tuple[Ports, ...]]:
    all_ports = open_ports(parse_with(listen="{port: 0}", admin=admin), seats=seats)
    yield all_ports
    for ports in all_ports:
        for sock in ports:
            sock.close()


def test_each_seat_has_the_clients_port_and_the_probes() -> None:
    port = free_port()
    with opened(admin=f"{{port: {port}}}", seats=2) as all_ports:
        assert [sock.getsockname() for ports in all_ports for sock in ports.admin] == [("127.0.0.1", port)] * 2
        assert len({sock.getsockname() for ports in all_ports for sock in ports.clients}) == 1


def test_an_admin_listener_that_is_not_enabled_is_none() -> None:
    with opened(admin="{enabled: false}") as (ports,):
        assert ports.admin == ()
        assert len(ports.clients) == 1
