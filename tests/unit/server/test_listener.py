"""Binding; what the listener does with connections is held in tests/integration/test_listener.py."""

import socket

import pytest

from gateway.server.listener import bind


async def test_a_name_is_every_address_that_it_stands_for() -> None:
    sockets = await bind("localhost", 0)
    try:
        assert {sock.getsockname()[0] for sock in sockets} <= {"127.0.0.1", "::1"}
        assert sockets
    finally:
        for sock in sockets:
            sock.close()


async def test_a_taken_port_is_an_error_and_leaves_no_socket_open() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="Address already in use"):
            await bind("127.0.0.1", taken.getsockname()[1])
