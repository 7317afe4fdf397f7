"""Binding: every address, one port for all seats, a taken port said in a sentence, and no socket left open."""

import socket
from collections.abc import Iterator, Sequence

import pytest

from gateway.errors import GatewayError
from gateway.server.sockets import Sockets, open_ports, open_sockets, stop_listening
from tests.integration.processes import free_port


@pytest.fixture
def seats() -> Iterator[tuple[Sockets, ...]]:
    opened = open_sockets("127.0.0.1", 0, section="listen", seats=3)
    yield opened
    close(opened)


def close(seats: Sequence[Sockets]) -> None:
    for sockets in seats:
        for sock in sockets:
            sock.close()


def is_refused(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def test_a_name_is_every_address_that_it_stands_for() -> None:
    (sockets,) = seats = open_sockets("localhost", 0, section="listen")
    assert sockets
    assert {sock.getsockname()[0] for sock in sockets} <= {"127.0.0.1", "::1"}
    close(seats)


def test_accepted_connections_send_at_once(seats: tuple[Sockets, ...]) -> None:
    """With Nagle's algorithm the second part of an answer waits 40 ms for the client's delayed acknowledgement."""
    (sock,) = seats[0]
    sock.listen()
    sock.setblocking(True)
    with socket.create_connection(sock.getsockname()), sock.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_all_seats_have_the_one_free_port(seats: tuple[Sockets, ...]) -> None:
    assert len({sock.getsockname() for sockets in seats for sock in sockets}) == 1
    assert len({sock.fileno() for sockets in seats for sock in sockets}) == 3


def test_a_single_seat_shares_its_port_with_nobody() -> None:
    seats = open_sockets("127.0.0.1", 0, section="listen")
    assert seats[0][0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
    close(seats)


def test_nobody_is_served_before_somebody_listens(seats: tuple[Sockets, ...]) -> None:
    assert is_refused(seats[0][0].getsockname()[1])


def test_connections_go_to_the_seats_that_listen_until_they_stop(seats: tuple[Sockets, ...]) -> None:
    (first,), (second,), _ = seats
    port = first.getsockname()[1]
    for _ in range(2):  # a socket that has stopped can listen again
        first.listen()
        second.listen()
        stop_listening([first])
        for _ in range(16):
            with socket.create_connection(("127.0.0.1", port)):
                second.accept()[0].close()
    stop_listening([second])
    assert is_refused(port)
    stop_listening([second])  # no matter


def test_who_was_stopped_twice_and_listens_again_is_heard(seats: tuple[Sockets, ...]) -> None:
    """By a worker that drains and by its supervisor, before the next worker."""
    (sock,) = seats[0]
    sock.listen()
    stop_listening([sock])
    stop_listening([sock])
    sock.listen()
    sock.setblocking(True)
    with socket.create_connection(sock.getsockname()) as client:
        accepted, _ = sock.accept()
        with accepted:
            client.sendall(b"x")
            assert accepted.recv(1) == b"x"


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("shares", [False, True])
def test_a_taken_port_is_a_sentence_and_leaves_no_socket_open(count: int, shares: bool) -> None:
    with socket.socket() as taken:
        if shares:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        # A socket left open would be a ResourceWarning, which fails the test.
        with pytest.raises(GatewayError, match=f"port {port}: Address already in use.*listen.port"):
            open_sockets("127.0.0.1", port, section="listen", seats=count)


def test_an_address_of_another_machine_is_a_sentence() -> None:
    with pytest.raises(GatewayError, match=r"Cannot listen on 192\.0\.2\.1 port 0"):
        open_sockets("192.0.2.1", 0, section="listen", seats=2)


def test_version_6_is_no_version_4_as_well() -> None:
    try:
        seats = open_sockets("::1", 0, section="listen")
    except GatewayError:
        pytest.skip("this machine has no IPv6")
    assert seats[0][0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    close(seats)


# Two listeners.


def test_each_seat_listens_on_both_ports() -> None:
    opened = open_ports(("127.0.0.1", 0), ("127.0.0.1", 0), seats=2)
    assert [len(tuple(ports)) for ports in opened] == [2, 2]
    assert len({ports.clients[0].getsockname() for ports in opened}) == 1
    assert len({ports.admin[0].getsockname() for ports in opened}) == 1
    close([tuple(ports) for ports in opened])


def test_without_an_admin_listener_there_is_one_port() -> None:
    opened = open_ports(("127.0.0.1", 0), None, seats=2)
    assert [ports.admin for ports in opened] == [(), ()]
    close([tuple(ports) for ports in opened])


@pytest.mark.parametrize("seats", [1, 2])
@pytest.mark.parametrize("clients", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("admin", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_s87_probes_and_clients_have_no_port_in_common(clients: str, admin: str, seats: int) -> None:
    """Some of these the kernel would refuse when the second one listens; with two seats it would deal them out."""
    port = free_port()
    with pytest.raises(GatewayError, match=f"admin listener cannot be at port {port}"):
        open_ports((clients, port), (admin, port), seats=seats)


def test_a_taken_admin_port_is_a_sentence_and_leaves_no_socket_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            GatewayError, match=f"port {port}: Address already in use.*Change admin.address or admin.port"
        ):
            open_ports(("127.0.0.1", 0), ("127.0.0.1", port), seats=2)
