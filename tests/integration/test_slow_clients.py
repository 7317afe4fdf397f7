"""Clients that take their time: cut when they hold the gateway up, served when they only are slow (checklist 78, 81)."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import write_pair
from tests.integration.data_plane import Plane, chunked, get, post, running_plane
from tests.integration.raw_client import RawClient, assert_refusal
from tests.integration.scripted_upstream import Link, Received, answers, plain

# In one run of these a client has a dozen windows to be found too slow in, or fast enough.
BODY_TIMEOUT = 0.3
RUN_SECONDS = 12 * BODY_TIMEOUT
RATE = 1000
LIMITS = {"head_timeout": "500ms", "body_timeout": "300ms", "min_rate": f"{RATE}B"}


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("slow"), limits=LIMITS) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


def drip(client: RawClient, piece: bytes, *, pause: float, seconds: float = RUN_SECONDS) -> bool:
    """Send `piece` again and again; False when the gateway ended the connection, with or without an answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        client.send(piece)
        if not client.says_nothing(pause):
            return False
    return True


LONG = [
    pytest.param(get("/public/x", b"Content-Length: 1000000", method="POST"), b"%b", id="length"),
    pytest.param(chunked("/public/x", b""), b"%x\r\n%b\r\n", id="chunks"),
]


def framed(form: bytes, piece: bytes) -> bytes:
    return form % ((len(piece), piece) if b"%x" in form else piece)


@pytest.mark.parametrize(("head", "form"), LONG)
def test_s78_body_that_drips_for_ever_is_cut(plane: Plane, head: bytes, form: bytes) -> None:
    """Slow POST (R-U-D-Y): each byte comes within any time-out for silence."""
    with plane.connect() as client:
        client.send(head)
        assert not drip(client, framed(form, b"x"), pause=BODY_TIMEOUT / 6)
        assert_refusal(client.read(), 408, "body_timeout")
    plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
    assert not plane.upstream.only_started().is_whole


@pytest.mark.parametrize(("head", "form"), LONG)
def test_body_that_keeps_the_pace_is_let_be(plane: Plane, head: bytes, form: bytes) -> None:
    with plane.connect() as client:
        client.send(head)
        assert drip(client, framed(form, b"x" * RATE), pause=BODY_TIMEOUT / 6)


def test_slow_upstream_is_not_held_against_the_client(plane: Plane) -> None:
    async def slow(link: Link, received: Received) -> None:
        async for _ in link.body(received):
            if received.size < 2_000_000:
                await asyncio.sleep(BODY_TIMEOUT)
        await link.send(plain(b"done"))

    plane.upstream.play(slow)
    with plane.connect(timeout=30) as client:
        client.send(post("/public/x", b"x" * 12_000_000))
        assert client.read().body == b"done"


def test_s78_reader_that_drips_is_cut(plane: Plane) -> None:
    """Slow read: a window of a few bytes, opened now and then."""
    plane.upstream.play(answers(plain(b"x" * 16_000_000)))
    with plane.connect(receive_buffer=4096) as client:
        client.send(get("/public/x"))
        plane.upstream.wait_until(lambda: len(plane.upstream.requests) == 1)
        end = time.monotonic() + RUN_SECONDS
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < end and plane.upstream.open_links():
                client.socket.recv(1)
                time.sleep(BODY_TIMEOUT / 10)
        assert plane.upstream.open_links() == 0
        assert len(client.rest()) < 16_000_000
        assert client.was_reset


def test_reader_that_is_slow_but_reads_is_let_be(plane: Plane) -> None:
    """The kernel takes megabytes at once and then nothing for long: to the gateway that looks like a stalled reader."""
    plane.upstream.play(answers(plain(b"x" * 16_000_000)))
    with plane.connect(receive_buffer=4096) as client:
        client.send(get("/public/x"))
        end = time.monotonic() + RUN_SECONDS
        taken = 0
        while time.monotonic() < end:
            taken += len(client.socket.recv(4096))
            time.sleep(0.02)
        assert taken > 2 * RATE * RUN_SECONDS
        while taken < 16_000_000:
            piece = client.socket.recv(1024 * 1024)
            assert piece
            taken += len(piece)


def test_s78_reader_that_drips_is_cut_over_tls(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, "gateway")
    listen = {"tls": {"certificate": "gateway.crt", "key": "gateway.key"}}
    with running_plane(tmp_path, limits=LIMITS, listen=listen) as plane:
        plane.upstream.play(answers(plain(b"x" * 16_000_000)))
        with plane.connect(receive_buffer=4096, tls=pair.client_context()) as client:
            client.send(get("/public/x"))
            plane.upstream.wait_until(lambda: len(plane.upstream.requests) == 1)
            plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0, timeout=RUN_SECONDS)


def test_s78_without_a_rate_only_silence_counts(tmp_path: Path) -> None:
    with running_plane(tmp_path, limits={**LIMITS, "min_rate": "0B"}) as plane, plane.connect() as client:
        client.send(get("/public/x", b"Content-Length: 1000000", method="POST"))
        assert drip(client, b"x", pause=BODY_TIMEOUT / 6)
        assert_refusal(client.read(), 408, "body_timeout")


def test_s78_s81_two_hundred_slow_clients_are_cut_and_change_nothing_for_others(plane: Plane) -> None:
    """Slow heads (Slowloris), slow bodies, slow readers and silence at once, beside clients like any other."""
    plane.upstream.play(echo_or_flood)
    head, body, flood = b"GET /public/x HTTP/1.1\r\nHost: a\r\nX-A: ", LONG[0].values[0], get("/public/flood")
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(plane.connect(receive_buffer=4096)) for _ in range(200)]
        for index, client in enumerate(slow):
            client.send((head, body, flood, b"")[index % 4])
        cut: list[bool] = [False] * len(slow)
        dripping = threading.Thread(target=drip_all, args=(slow, cut))
        dripping.start()
        served = 0
        while dripping.is_alive():
            answer = plane.ask(get("/public/normal"))
            assert (answer.status, answer.body) == (200, b"/public/normal")
            answer = plane.ask(post("/public/normal", b"x" * 100_000))
            assert answer.status == 200
            served += 2
        assert served
        assert all(cut)


async def echo_or_flood(link: Link, received: Received) -> None:
    await link.read_body(received)
    await link.send(plain(b"x" * 8_000_000 if "flood" in received.target else received.target.encode()))


def drip_all(clients: list[RawClient], cut: list[bool]) -> None:
    """A byte to and from each, round after round, until all are cut or it has taken far too long for any machine."""
    end = time.monotonic() + 40
    for client in clients:
        client.socket.settimeout(0)
    while not all(cut) and time.monotonic() < end:
        for index, client in enumerate(clients):
            if cut[index]:
                continue
            try:
                client.socket.send(b"x")
                cut[index] = client.socket.recv(8) == b""
            except BlockingIOError:
                continue
            except ConnectionError:
                cut[index] = True
        time.sleep(BODY_TIMEOUT / 10)


def test_the_last_request_of_a_connection_says_so(tmp_path: Path) -> None:
    with running_plane(tmp_path, limits={"connections": {"max_requests": 3}}) as plane:
        with plane.connect() as client:
            for number in range(3):
                client.send(get("/required/x") if number == 1 else get("/public/x"))
                answer = client.read()
                assert answer.status == (401 if number == 1 else 200)
                assert answer.field("connection") == ("close" if number == 2 else None)
            assert client.rest() == b""
        with plane.connect() as client:
            client.send(get("/public/x") * 5)
            assert [client.read().status for _ in range(3)] == [200] * 3
            assert client.rest() == b""
        assert len(plane.upstream.requests) == 5


def test_s81_memory_of_slow_clients_is_bounded(plane: Plane) -> None:
    """What a client that does not read has asked for waits at the upstream, not here: of 400 MB a read or two each."""
    plane.upstream.play(answers(plain(os.urandom(8_000_000))))
    with plane.bounded_memory(50 * 1024 * 1024), contextlib.ExitStack() as stack:
        for _ in range(50):
            client = stack.enter_context(plane.connect(receive_buffer=4096))
            client.send(get("/public/x"))
        plane.upstream.wait_until(lambda: len(plane.upstream.requests) == 50)
        plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0, timeout=2 * RUN_SECONDS)
