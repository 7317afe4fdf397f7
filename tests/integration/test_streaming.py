"""Bodies of any size pass as they come, both ways, in bounded memory, however slow the one or the other side is."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.integration.data_plane import Plane, bearer, get, post, running_plane
from tests.integration.raw_client import RawClient, assert_refusal
from tests.integration.scripted_upstream import Link, Received, answers_early, echo, never_accepting_port, plain
from tests.integration.streams import (
    BLOCK,
    BLOCKS,
    DIGEST,
    MIB,
    PATIENCE,
    SIZE,
    download,
    encoded,
    framing,
    sink,
    source,
    upload,
)

MOST_MEMORY = 8 * MIB
STALL = 0.5


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    limits = {"body_timeout": "2s"}
    folder = tmp_path_factory.mktemp("streaming")
    with (
        never_accepting_port() as full,
        running_plane(
            folder,
            limits=limits,
            upstream={"response_timeout": "2s"},
            further_upstreams={"full": {"servers": [f"http://127.0.0.1:{full}"], "connect_timeout": "2s"}},
            routes=[{"path": "/full", "upstream": "full", "access": "public"}],
        ) as plane,
    ):
        # What is allocated once for every size: parsers, first connections, first chunks.
        for _ in range(20):
            plane.ask(post("/public/warm", b"x" * 300_000))
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize(
    ("reader", "writer"), [(0, 0), (STALL, 0), (0, STALL)], ids=["fast", "slow-reader", "slow-writer"]
)
def test_s75_download(plane: Plane, is_chunked: bool, reader: float, writer: float) -> None:
    plane.upstream.play(source(is_chunked=is_chunked, stall=writer))
    with plane.bounded_memory(MOST_MEMORY), plane.connect(timeout=PATIENCE) as client:
        client.send(get("/required/x", bearer()))
        assert download(client, stall=reader) == DIGEST


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize(
    ("reader", "writer"), [(0, 0), (STALL, 0), (0, STALL)], ids=["fast", "slow-reader", "slow-writer"]
)
def test_s75_upload(plane: Plane, is_chunked: bool, reader: float, writer: float) -> None:
    plane.upstream.play(sink(stall=reader))
    with plane.bounded_memory(MOST_MEMORY), plane.connect(timeout=PATIENCE) as client:
        assert upload(client, is_chunked=is_chunked, stall=writer) == DIGEST
    assert plane.upstream.only().size == SIZE


def test_s75_download_by_http10(plane: Plane) -> None:
    """Chunks end here, and the answer with its connection."""
    plane.upstream.play(source(is_chunked=True))
    with plane.bounded_memory(MOST_MEMORY), plane.connect(timeout=PATIENCE) as client:
        client.send(get("/public/x", version="HTTP/1.0"))
        assert download(client) == DIGEST


def test_s75_answer_that_ends_with_its_connection(plane: Plane) -> None:
    async def until_close(link: Link, received: Received) -> None:
        await link.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(BLOCKS):
            await link.send(BLOCK)
        link.close()

    plane.upstream.play(until_close)
    with plane.bounded_memory(MOST_MEMORY), plane.connect(timeout=PATIENCE) as client:
        client.send(get("/public/x"))
        assert download(client) == DIGEST


def test_both_directions_at_once(plane: Plane) -> None:
    async def mirror(link: Link, received: Received) -> None:
        await link.send(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing(is_chunked=False))
        async for piece in link.body(received):
            await link.send(piece)

    plane.upstream.play(mirror)
    with plane.bounded_memory(MOST_MEMORY), plane.connect(timeout=PATIENCE) as client:
        client.send(get("/public/x", framing(is_chunked=False), method="POST"))
        sender = threading.Thread(target=lambda: [client.send(BLOCK) for _ in range(BLOCKS)])
        sender.start()
        assert download(client) == DIGEST
        sender.join()


def stops_moving(count: Callable[[], int], seconds: float) -> bool:
    before = count()
    time.sleep(seconds)
    return count() == before


def test_s75_stalled_reader_stops_the_upstream_and_is_let_go_in_the_end(plane: Plane) -> None:
    sent = [0]

    async def endless(link: Link, received: Received) -> None:
        await link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await link.send(encoded(BLOCK, is_chunked=True))
            sent[0] += 1

    plane.upstream.play(endless)
    with plane.bounded_memory(MOST_MEMORY), plane.connect() as client:
        client.send(get("/public/x"))
        plane.upstream.wait_until(lambda: sent[0] > 0)
        time.sleep(STALL)
        assert stops_moving(lambda: sent[0], STALL)
        # limits.body_timeout: a client that reads nothing for so long is gone.
        plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0, 4)


def test_s75_stalled_upstream_reader_stops_the_client(plane: Plane) -> None:
    async def reads_nothing(link: Link, received: Received) -> None:
        await asyncio.sleep(60)

    plane.upstream.play(reads_nothing)
    with plane.bounded_memory(MOST_MEMORY), plane.connect(timeout=0.3) as client:
        client.send(get("/public/x", b"Content-Length: 1000000000", method="POST"))
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                sent += client.socket.send(BLOCK)
        assert 0 < sent < 64 * MIB


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
def test_s75_body_waits_for_its_upstream_at_the_client(plane: Plane, is_chunked: bool) -> None:
    with plane.bounded_memory(MOST_MEMORY), plane.connect(timeout=0.5) as client:
        client.send(get("/full/x", b"Expect: 100-continue", framing(is_chunked), method="POST"))
        sent = 0
        with pytest.raises(TimeoutError):
            while True:
                sent += client.socket.send(encoded(BLOCK, is_chunked))
        assert 0 < sent < 64 * MIB
        client.socket.settimeout(PATIENCE)
        answer = client.read()
        assert_refusal(answer, 504, "upstream_connect_timeout")
        assert answer.interim == ()  # nobody has said that the body may come


def test_s81_answers_to_pipelined_requests_do_not_pile_up(plane: Plane) -> None:
    """A client that asks and never reads: what it does not take must not be fetched for it."""
    answer = plain(BLOCK[:100_000])

    async def large(link: Link, received: Received) -> None:
        await link.send(answer)

    plane.upstream.play(large)
    with plane.bounded_memory(MOST_MEMORY), plane.connect(receive_buffer=4096) as client:
        client.send(get("/public/x") * 600)
        time.sleep(1)
        assert stops_moving(lambda: len(plane.upstream.requests), 0.2)
        assert len(plane.upstream.requests) < 300


def test_s81_pipelined_requests_do_not_pile_up_behind_a_slow_one(plane: Plane) -> None:
    async def slow(link: Link, received: Received) -> None:
        await asyncio.sleep(60)

    plane.upstream.play(slow)
    with plane.bounded_memory(MOST_MEMORY), plane.connect(timeout=0.3) as client:
        with pytest.raises(TimeoutError):
            while True:
                client.socket.sendall(get("/public/x") * 1000)
        assert len(plane.upstream.requests) == 1


def send_on(client: RawClient, block: bytes) -> None:
    """Send to a gateway that need not take it."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        for _ in range(BLOCKS):
            client.socket.sendall(block)


def test_s75_answer_before_the_body_with_a_body_that_never_stops(plane: Plane) -> None:
    plane.upstream.play(answers_early(plain(b"early")))
    with plane.bounded_memory(MOST_MEMORY), plane.connect(timeout=0.3) as client:
        client.send(get("/public/x", framing(is_chunked=True), method="POST"))
        answer = client.read()
        assert (answer.body, answer.field("connection")) == (b"early", "close")
        send_on(client, encoded(BLOCK, is_chunked=True))
    plane.upstream.play(echo)
    assert plane.ask(get("/public/after")).status == 200


def test_s75_refused_client_that_goes_on_sending(plane: Plane) -> None:
    with plane.bounded_memory(MOST_MEMORY), plane.connect(timeout=0.3) as client:
        client.send(get("/required/x", framing(is_chunked=False), method="POST"))
        assert client.read().status == 401
        send_on(client, BLOCK)
    assert plane.upstream.requests == []
