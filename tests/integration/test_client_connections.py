"""Client connections: slow ones, many of them, and what becomes of them when the gateway is told to stop."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.data_plane import Plane, chunked, get, post, running_plane
from tests.integration.raw_client import CutShort, assert_refusal
from tests.integration.scripted_upstream import Link, Received, answers, echo, plain, silent

# As configured below; every wait for one of them is asserted from both sides, with room for a busy machine.
HEAD_TIMEOUT = 0.5
BODY_TIMEOUT = 0.6
KEEPALIVE_TIMEOUT = 0.8
ROOM = 0.5
LINGER = 3.0


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    limits = {"head_timeout": "500ms", "body_timeout": "600ms", "connections": {"idle_timeout": "800ms"}}
    with running_plane(tmp_path_factory.mktemp("clients"), limits=limits) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


# Slow clients (checklist 78).


def test_s78_head_that_stops_is_a_408(plane: Plane) -> None:
    with plane.connect() as client:
        begun = time.monotonic()
        client.send(b"GET /public/x HTTP/1.1\r\nHost: ")
        answer = client.read()
        assert HEAD_TIMEOUT * 0.9 < time.monotonic() - begun < HEAD_TIMEOUT + ROOM
        assert_refusal(answer, 408, "head_timeout")
        assert answer.field("connection") == "close"
        client.finish_sending()
        assert client.rest() == b""


def test_s78_head_that_drips_is_a_408_in_the_same_time(plane: Plane) -> None:
    with plane.connect() as client:
        begun = time.monotonic()
        drip = (bytes([byte]) for byte in get("/public/x", b"X-Padding: " + b"x" * 200))
        client.send_in_pieces((piece for piece in drip if time.monotonic() - begun < HEAD_TIMEOUT * 1.5), pause=0.02)
        assert_refusal(client.read(), 408, "head_timeout")


def test_s78_second_head_of_a_connection_has_a_deadline_too(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(get("/public/x") + b"GET /pub")
        assert client.read().status == 200
        begun = time.monotonic()
        assert_refusal(client.read(), 408, "head_timeout")
        assert time.monotonic() - begun < HEAD_TIMEOUT + ROOM


@pytest.mark.parametrize(("sent", "seconds"), [(b"", HEAD_TIMEOUT), (get("/public/x"), KEEPALIVE_TIMEOUT)])
def test_s78_idle_connection_is_closed_without_a_word(plane: Plane, sent: bytes, seconds: float) -> None:
    with plane.connect() as client:
        client.send(sent)
        if sent:
            client.read()
        begun = time.monotonic()
        assert client.rest() == b""
        assert not client.was_reset
        assert seconds * 0.9 < time.monotonic() - begun < seconds + ROOM


@pytest.mark.parametrize(
    "raw",
    [get("/public/x", b"Content-Length: 9", method="POST") + b"half", chunked("/public/x", b"9\r\nhalf")],
    ids=["length", "chunks"],
)
def test_s78_body_that_stops_is_a_408(plane: Plane, raw: bytes) -> None:
    with plane.connect() as client:
        client.send(raw)
        begun = time.monotonic()
        assert_refusal(client.read(), 408, "body_timeout")
        assert BODY_TIMEOUT * 0.9 < time.monotonic() - begun < BODY_TIMEOUT + ROOM
    plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
    assert not plane.upstream.only_started().is_whole


def test_body_that_is_slow_but_moves_is_no_timeout(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(get("/public/x", b"Content-Length: 6", method="POST"))
        client.send_in_pieces((bytes([byte]) for byte in b"slowly"), pause=BODY_TIMEOUT / 4)
        assert client.read().status == 200
    assert plane.upstream.only().body == b"slowly"


def test_s78_expectation_that_is_not_followed_by_a_body_is_a_408(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(get("/public/x", b"Expect: 100-continue", b"Content-Length: 5", method="POST"))
        answer = client.read()
        assert_refusal(answer, 408, "body_timeout")
        assert [interim.status for interim in answer.interim] == [100]


def test_refused_client_that_sends_on_gets_its_answer_and_an_end(plane: Plane) -> None:
    """RFC 9112 §9.6: closing at once would take the answer away from a client that is still sending."""
    with plane.connect() as client:
        client.send(get("/required/x", b"Content-Length: 100000000", method="POST") + b"x" * 500_000)
        assert_refusal(client.read(), 401)
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begun < LINGER + ROOM:
                client.socket.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - begun < LINGER + ROOM


# Clients that end their own side and wait for the answer.


@pytest.mark.parametrize("wait", [0.0, 0.6], ids=["at-once", "asked-in-between"])
@pytest.mark.parametrize("raw", [get("/public/x"), post("/public/x", b"body")], ids=["get", "post"])
def test_half_closed_client_gets_its_answer_and_an_end(plane: Plane, raw: bytes, wait: float) -> None:
    body = b"x" * 3_000_000

    async def takes_its_time(link: Link, received: Received) -> None:
        await link.read_body(received)
        await asyncio.sleep(wait)
        await link.send(plain(body))

    plane.upstream.play(takes_its_time)
    with plane.connect() as client:
        client.send(raw)
        client.finish_sending()
        answer = client.read()
        assert (answer.status, answer.body) == (200, body)
        if wait:  # else the answer may have begun before the end of the client's side was seen
            assert answer.field("connection") == "close"
        assert [interim.status for interim in answer.interim] == ([100] if wait else [])
        assert client.rest() == b""
        assert not client.was_reset


def test_half_closed_client_gets_what_it_pipelined(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(get("/public/1") + get("/required/2") + get("/public/3"))
        client.finish_sending()
        assert [client.read().status for _ in range(3)] == [200, 401, 200]
        assert client.rest() == b""


def test_half_closed_client_that_is_refused_is_told_so(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(get("/required/x"))
        client.finish_sending()
        assert_refusal(client.read(), 401)
        assert client.rest() == b""


# Many clients (checklist 81).


def test_s81_idle_connections_change_nothing(plane: Plane) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(plane.connect())
        begun = time.monotonic()
        assert plane.ask(get("/public/x")).status == 200
        assert time.monotonic() - begun < 0.2


def test_s81_connections_over_the_cap_are_closed_at_once(tmp_path: Path) -> None:
    with running_plane(tmp_path, limits={"connections": {"max": 5}}) as plane, contextlib.ExitStack() as stack:
        clients = []
        for _ in range(5):  # one after the other: the connection that waited for the port has ended by the last
            clients.append(stack.enter_context(plane.connect()))
            clients[-1].send(get("/public/x", b"Content-Length: 2", method="POST") + b"x")
            plane.upstream.wait_until(lambda: len(plane.upstream.requests) == len(clients))
        for _ in range(3):
            with plane.connect() as sixth:
                sixth.send(get("/public/x"))
                assert sixth.rest() == b""
        clients[0].send(b"x")
        assert clients[0].read().status == 200
        clients[1].socket.close()
        assert_becomes_free(plane)
        assert plane.gateway.output().count("connections_over_cap") == 1


def test_s81_idle_connections_make_room_the_oldest_first(tmp_path: Path) -> None:
    with running_plane(tmp_path, limits={"connections": {"max": 5}}) as plane, contextlib.ExitStack() as stack:
        clients = []
        for _ in range(5):  # one after the other: the connection that waited for the port has ended by the last
            clients.append(stack.enter_context(plane.connect()))
            clients[-1].send(get("/public/x"))
            assert clients[-1].read().status == 200
        clients[0].send(b"GET /public")  # has begun a request, so it is not idle
        plane.upstream.play(answers_after_a_while)
        clients[1].send(get("/public/x"))
        plane.upstream.wait_until(lambda: len(plane.upstream.requests) == 6)
        plane.upstream.play(echo)
        assert plane.ask(get("/public/x")).status == 200
        assert clients[2].rest() == b""
        assert not clients[2].was_reset
        assert clients[1].read().body == b"done"
        for client, request in ((clients[0], b"/x HTTP/1.1\r\nHost: a\r\n\r\n"), (clients[3], get("/public/x"))):
            client.send(request)
            assert client.read().status == 200


async def answers_after_a_while(link: Link, received: Received) -> None:
    await asyncio.sleep(0.3)
    await link.send(plain(b"done"))


def assert_becomes_free(plane: Plane) -> None:
    deadline = time.monotonic() + 1
    while True:
        try:
            assert plane.ask(get("/public/x")).status == 200
            return
        except (CutShort, ConnectionError):
            assert time.monotonic() < deadline


# The end.


@pytest.fixture
def stopping_plane(tmp_path: Path) -> Iterator[Plane]:
    with running_plane(tmp_path, drain={"timeout": "700ms"}) as plane:
        yield plane


def stop(plane: Plane) -> None:
    plane.gateway.process.send_signal(signal.SIGTERM)


def test_sigterm_lets_requests_in_flight_end(stopping_plane: Plane) -> None:
    plane = stopping_plane

    async def slow(link: Link, received: Received) -> None:
        await link.read_body(received)
        await asyncio.sleep(0.3)
        await link.send(plain(b"done"))

    plane.upstream.play(slow)
    with plane.connect() as busy, plane.connect() as sending, plane.connect() as idle, plane.connect() as silent_one:
        idle.send(get("/required/x"))
        assert idle.read().status == 401
        busy.send(get("/public/x"))
        sending.send(get("/public/x", b"Content-Length: 4", method="POST") + b"bo")
        plane.upstream.wait_until(lambda: len(plane.upstream.requests) == 2)
        stop(plane)
        for client in (idle, silent_one):
            assert client.rest() == b""
            assert not client.was_reset
        assert is_refused(plane)
        sending.send(b"dy")
        for client in (busy, sending):
            answer = client.read()
            assert (answer.body, answer.field("connection")) == (b"done", "close")
            client.send(get("/public/second"))
            assert client.rest() == b""
        assert plane.gateway.process.wait(2) == 0
    assert plane.upstream.targets() == ["/public/x"] * 2


def is_refused(plane: Plane) -> bool:
    try:
        with plane.connect() as client:
            client.send(get("/public/x"))
            return client.rest() == b""
    except ConnectionError:
        return True


def test_sigterm_cuts_what_does_not_end(stopping_plane: Plane) -> None:
    plane = stopping_plane
    plane.upstream.play(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", end="stall"))
    with plane.connect() as client:
        client.send(get("/public/x"))
        plane.upstream.wait_until(lambda: len(plane.upstream.requests) == 1)
        begun = time.monotonic()
        stop(plane)
        with pytest.raises(CutShort):
            client.read()
        assert plane.gateway.process.wait(2) == 0
        assert 0.6 < time.monotonic() - begun < 0.7 + 2 * ROOM


def test_sigterm_does_not_wait_for_a_client_that_was_refused(stopping_plane: Plane) -> None:
    with stopping_plane.connect() as client:
        client.send(get("/required/x", b"Content-Length: 9", method="POST"))
        assert client.read().status == 401
        begun = time.monotonic()
        stop(stopping_plane)
        assert stopping_plane.gateway.process.wait(3) == 0
        assert time.monotonic() - begun < 0.7 + ROOM


def test_second_signal_ends_it_at_once(stopping_plane: Plane) -> None:
    stopping_plane.upstream.play(silent)
    with stopping_plane.connect() as client:
        client.send(get("/public/x"))
        stopping_plane.upstream.wait_until(lambda: len(stopping_plane.upstream.requests) == 1)
        stop(stopping_plane)
        time.sleep(0.1)
        begun = time.monotonic()
        stop(stopping_plane)
        assert stopping_plane.gateway.process.wait(2) in (0, -signal.SIGTERM)
        assert time.monotonic() - begun < 0.4
