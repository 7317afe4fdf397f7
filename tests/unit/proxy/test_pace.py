"""Windows of a client's pace, and what the kernel still holds."""

import socket

import pytest

from gateway.proxy.pace import Pace, unsent_bytes


@pytest.mark.parametrize(
    ("moved", "rate", "is_kept"),
    [(2400, 240, True), (2399, 240, False), (0, 0, False), (1, 0, True), (0, 240, False)],
)
def test_s78_pace_is_bytes_in_a_window(moved: int, rate: int, is_kept: bool) -> None:
    pace = Pace()
    pace.begin(100.0, 5000)
    assert pace.end(10.0) == 110.0
    assert pace.is_kept(110.0, 5000 + moved, least_rate=rate) is is_kept


def test_a_window_is_of_one_exchange() -> None:
    pace = Pace()
    assert not pace.has_begun(0.0)
    pace.begin(100.0, 0)
    assert pace.has_begun(100.0)
    assert pace.has_begun(99.0)
    assert not pace.has_begun(100.1)
    pace.forget()
    assert not pace.has_begun(0.0)


def test_unsent_bytes_are_those_that_the_peer_did_not_take() -> None:
    with socket.socket() as listening, socket.socket() as client:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listening.getsockname())
        with listening.accept()[0] as served:
            served.setblocking(False)
            assert unsent_bytes(served.fileno()) == 0
            sent = served.send(b"x" * 1_000_000)
            held = unsent_bytes(served.fileno())
            assert 0 < held <= sent
            client.settimeout(5)
            taken = 0
            while taken < sent:
                taken += len(client.recv(65536))
            assert unsent_bytes(served.fileno()) < held


def test_what_is_no_socket_holds_nothing() -> None:
    with open("/dev/null", "rb") as file:
        assert unsent_bytes(file.fileno()) == 0
