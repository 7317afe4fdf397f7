"""Request bodies above a route's bound: 413, as early as it can be told, and never a whole request to the backend.

RFC 9110 §15.5.14; checklist 15 (what follows an early answer is never a request), 17, 79, 80.
"""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.integration.data_plane import Plane, bearer, chunked, get, post, running_plane
from tests.integration.raw_client import CutShort, assert_refusal
from tests.integration.scripted_upstream import Link, Received

MOST = 1024
SMUGGLED = get("/public/smuggled")


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    routes = [
        {"path": "/small", "upstream": "main", "access": "public", "max_body_bytes": "1KiB"},
        {"path": "/small/asked", "upstream": "main", "stateless": True, "max_body_bytes": "1KiB"},
        {"path": "/none", "upstream": "main", "access": "public", "max_body_bytes": "0B"},
        {"path": "/any", "upstream": "main", "access": "public", "max_body_bytes": "unlimited"},
    ]
    limits = {"max_body_bytes": "2KiB"}
    with running_plane(tmp_path_factory.mktemp("body-limits"), routes=routes, limits=limits) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


def chunks(*sizes: int) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (size, b"x" * size) for size in sizes) + b"0\r\n\r\n"


PASSES = {
    "length": post("/small", b"x" * MOST),
    "chunked": chunked("/small", chunks(MOST)),
    "chunked-many": chunked("/small", chunks(*[1] * MOST)),
    "default": post("/public", b"x" * 2 * MOST),
    "default-chunked": chunked("/public", chunks(MOST, MOST)),
    "unlimited": post("/any", b"x" * 100_000),
    "unlimited-chunked": chunked("/any", chunks(100_000)),
    "none-get": get("/none"),
    "none-length": post("/none", b""),
    "none-chunked": chunked("/none", chunks()),
}
TOO_LARGE = {
    "length": post("/small", b"x" * (MOST + 1)),
    "chunked": chunked("/small", chunks(MOST + 1)),
    "chunked-many": chunked("/small", chunks(*[1] * (MOST + 1))),
    "chunked-last": chunked("/small", chunks(MOST, 1)),
    "default": post("/public", b"x" * (2 * MOST + 1)),
    "default-chunked": chunked("/public", chunks(MOST, MOST, 1)),
    "none-length": post("/none", b"x"),
    "none-chunked": chunked("/none", chunks(1)),
}


@pytest.mark.parametrize("raw", PASSES.values(), ids=PASSES.keys())
def test_body_up_to_the_bound_passes(plane: Plane, raw: bytes) -> None:
    assert plane.ask(raw).status == 200
    assert plane.upstream.only().size <= 100_000


@pytest.mark.parametrize("raw", TOO_LARGE.values(), ids=[f"s79-{name}" for name in TOO_LARGE])
def test_body_above_the_bound_is_refused(plane: Plane, raw: bytes) -> None:
    """All at once: the end has come, so that the connection may go on with the next request."""
    with plane.connect() as client:
        client.send(raw)
        answer = client.read()
        assert_refusal(answer, 413, "body_too_large")
        assert answer.field("connection") is None
        client.send(get("/public/after"))
        assert client.read().body == b"/public/after"
    assert plane.upstream.targets() == ["/public/after"]


def test_s15_length_above_the_bound_is_refused_before_the_body(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(get("/small", b"Content-Length: 1000000000", method="POST"))
        answer = client.read()
        assert_refusal(answer, 413, "body_too_large")
        assert answer.field("connection") == "close"
        client.send(SMUGGLED)
        client.finish_sending()
        assert client.rest() == b""
    assert plane.upstream.requests == []


def test_s17_length_above_the_bound_takes_the_place_of_continue(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(get("/small", b"Expect: 100-continue", b"Content-Length: 1025", method="POST"))
        answer = client.read()
        assert_refusal(answer, 413, "body_too_large")
        assert (answer.interim, answer.field("connection")) == ((), "close")
    assert plane.upstream.requests == []


def test_s80_who_may_not_pass_is_not_told_the_bound(plane: Plane) -> None:
    assert_refusal(plane.ask(post("/small/asked", b"x" * 2000)), 401)
    assert_refusal(plane.ask(post("/small/asked", b"x" * 2000, bearer())), 413, "body_too_large")
    assert plane.upstream.requests == []


def test_s13_chunk_above_the_bound_is_refused_when_it_is_announced(plane: Plane) -> None:
    """The head and the first chunk are upstream by then: that request is cut, and never ends properly."""
    with plane.connect() as client:
        client.send(chunked("/small", chunks(1000)[:-5]))
        plane.upstream.wait_until(lambda: [len(received.body) for received in plane.upstream.requests] == [1000])
        client.send(b"19\r\n")
        answer = client.read()
        assert_refusal(answer, 413, "body_too_large")
        assert answer.field("connection") == "close"
        client.send(b"x" * 25 + b"\r\n0\r\n\r\n" + SMUGGLED)
        client.finish_sending()
        assert client.rest() == b""
    plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
    assert [(received.is_whole, received.size) for received in plane.upstream.requests] == [(False, 1000)]


def test_request_behind_a_body_that_was_read_whole_is_answered(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(chunked("/small", chunks(1000)[:-5]))
        plane.upstream.wait_until(lambda: [len(received.body) for received in plane.upstream.requests] == [1000])
        client.send(chunks(25) + get("/public/after"))
        assert_refusal(client.read(), 413, "body_too_large")
        assert client.read().body == b"/public/after"
    assert not plane.upstream.requests[0].is_whole


def test_s72_answer_that_has_begun_is_cut(plane: Plane) -> None:
    async def answer_early(link: Link, received: Received) -> None:
        await link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await link.read_body(received)

    plane.upstream.play(answer_early)
    with plane.connect() as client:
        client.send(chunked("/small", chunks(1000)[:-5]))
        assert client.socket.recv(1000, socket.MSG_PEEK).startswith(b"HTTP/1.1 200")
        client.send(chunks(25))
        with pytest.raises(CutShort) as cut:
            client.read()
        assert cut.value.status == 200
    plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
    assert not plane.upstream.requests[0].is_whole


def test_s15_client_that_goes_on_sending_reads_its_answer(plane: Plane) -> None:
    """1 MiB behind the refusal is read and thrown away, so that no reset takes the answer along; no more than that."""
    with plane.connect() as client:
        client.send(get("/small", b"Content-Length: 1000000000", method="POST"))
        sender = threading.Thread(target=client.send, args=(b"x" * 500_000,))
        sender.start()
        assert_refusal(client.read(), 413, "body_too_large")
        sender.join()
        client.finish_sending()
        assert client.rest() == b""
