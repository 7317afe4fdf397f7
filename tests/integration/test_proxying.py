"""Upstream connections: what becomes of a request when one fails, and that nobody gets what was meant for another."""

import asyncio
import concurrent.futures
import contextlib
import re
import time
from collections.abc import Iterator

import pytest

from tests.integration.data_plane import Plane, bearer, chunked, get, post, running_plane
from tests.integration.raw_client import assert_refusal
from tests.integration.scripted_upstream import (
    Link,
    Received,
    answers,
    answers_early,
    echo,
    never_accepting_port,
    plain,
    refusing_port,
    silent,
)

# As configured below; every wait for one of them is asserted from both sides, with room for a busy machine.
CONNECT_TIMEOUT = 0.3
ROOM = 0.5


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    main = {"response_timeout": "2s", "read_timeout": "2s", "connections": {"idle_timeout": "1s", "max_idle": 8}}
    folder = tmp_path_factory.mktemp("proxying")
    with refusing_port() as refusing, never_accepting_port() as full:
        further = {
            "refusing": {"servers": [f"http://127.0.0.1:{refusing}"]},
            "full": {"servers": [f"http://127.0.0.1:{full}"], "connect_timeout": "300ms"},
            "nowhere": {"servers": ["http://nowhere.invalid"]},
        }
        routes = [{"path": f"/{name}", "upstream": name, "access": "public"} for name in further]
        with running_plane(folder, upstream=main, further_upstreams=further, routes=routes) as plane:
            yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


# Backends that cannot be reached.


@pytest.mark.parametrize("raw", [get("/refusing/x"), post("/refusing/x", b"body"), get("/nowhere/x")])
def test_unreachable_backend_is_a_502(plane: Plane, raw: bytes) -> None:
    with plane.connect() as client:
        client.send(raw)
        assert_refusal(client.read(), 502, "upstream_unreachable")
        client.send(get("/public/after"))
        assert client.read().status == 200


def test_s82_backend_that_never_accepts_is_a_504_in_time(plane: Plane) -> None:
    begun = time.monotonic()
    assert_refusal(plane.ask(get("/full/x")), 504, "upstream_connect_timeout")
    assert CONNECT_TIMEOUT * 0.9 < time.monotonic() - begun < CONNECT_TIMEOUT + ROOM


def test_pipelined_requests_behind_a_failed_one_are_answered(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(get("/full/1") + get("/required/2") + get("/refusing/3") + get("/public/4"))
        assert [client.read().status for _ in range(4)] == [504, 401, 502, 200]


# Clients that leave: the backend must not go on working for nobody (checklist 82).


@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize("is_pooled", [False, True], ids=["new", "pooled"])
@pytest.mark.parametrize(
    "raw",
    [get("/public/x"), post("/public/x", b"body"), get("/public/x", b"Content-Length: 9", method="POST") + b"half"],
    ids=["get", "post", "inside-the-body"],
)
def test_s82_client_gone_ends_the_upstream_request(plane: Plane, raw: bytes, is_pooled: bool, leave: str) -> None:
    if is_pooled:
        assert plane.ask(get("/public/first")).status == 200
    plane.upstream.play(silent)
    with plane.connect() as client:
        client.send(raw)
        plane.upstream.wait_until(lambda: "/public/x" in plane.upstream.targets())
        if leave == "reset":
            client.vanish()
    # Who closes may be waiting all the same and is asked first (`proxy.half_close`); a reset tells it all.
    assert plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0) < (0.3 if leave == "reset" else 1.5)


def test_s82_client_gone_inside_the_answer_ends_the_upstream_request(plane: Plane) -> None:
    async def endless(link: Link, received: Received) -> None:
        await link.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await link.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.01)

    plane.upstream.play(endless)
    with plane.connect() as client:
        client.send(get("/public/x"))
        assert client.socket.recv(1000).startswith(b"HTTP/1.1 200")
    assert plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0) < 0.3


# Pooled connections (checklist 74, 77).


def test_connections_are_reused(plane: Plane) -> None:
    for number in range(5):
        assert plane.ask(post(f"/public/{number}", b"body")).status == 200
    assert [received.link for received in plane.upstream.requests] == [0] * 5


def test_connections_are_not_shared_by_requests_at_once(plane: Plane) -> None:
    async def slow_echo(link: Link, received: Received) -> None:
        await asyncio.sleep(0.1)
        await echo(link, received)

    plane.upstream.play(slow_echo)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(plane.connect()) for _ in range(12)]
        for number, client in enumerate(clients):
            client.send(get(f"/public/{number}"))
        assert [client.read().body for client in clients] == [b"/public/%d" % number for number in range(12)]
    assert len({received.link for received in plane.upstream.requests}) == 12
    # connections.max_idle keeps 8 of them, idle_timeout ends these too.
    plane.upstream.wait_until(lambda: sum(not link.is_open for link in plane.upstream.links) >= 4, 0.5)
    assert plane.upstream.open_links() <= 8
    plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0, 3)


@pytest.mark.parametrize(
    "unasked",
    [
        plain(b"stolen"),
        b"\r\n",
        b"x",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["answer", "newline", "byte", "interim", "408"],
)
def test_s74_bytes_on_an_idle_connection_reach_nobody(plane: Plane, unasked: bytes) -> None:
    async def talkative(link: Link, received: Received) -> None:
        await echo(link, received)
        if received.target == "/public/first":
            await asyncio.sleep(0.02)
            await link.send(unasked)

    plane.upstream.play(talkative)
    assert plane.ask(get("/public/first")).body == b"/public/first"
    plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
    assert plane.ask(post("/public/second", b"body")).body == b"/public/second"
    assert [received.link for received in plane.upstream.requests] == [0, 1]


def test_connection_that_the_backend_closed_is_not_used(plane: Plane) -> None:
    async def closes_later(link: Link, received: Received) -> None:
        await echo(link, received)
        await asyncio.sleep(0.02)
        link.close()

    plane.upstream.play(closes_later)
    for number in range(3):
        assert plane.ask(post(f"/public/{number}", b"body")).status == 200
        plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
        time.sleep(0.02)
    assert [received.link for received in plane.upstream.requests] == [0, 1, 2]


async def closes_on_reuse(link: Link, received: Received) -> None:
    """The second request on a connection finds it closed, as when the backend's keep-alive has just run out."""
    if received.attempt == 1:
        await echo(link, received)
    else:
        link.reset()


async def half_answers_on_reuse(link: Link, received: Received) -> None:
    if received.attempt == 1:
        await echo(link, received)
    else:
        await link.send(b"HTTP/1.1 2")
        link.half_close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_s77_idempotent_request_on_a_dead_connection_is_sent_again(plane: Plane, method: str) -> None:
    plane.upstream.play(closes_on_reuse)
    with plane.connect() as client:
        client.send(get("/public/first"))
        assert client.read().status == 200
        client.send(get("/public/second", method=method))
        assert client.read(method).status == 200
    assert [(received.link, received.target) for received in plane.upstream.requests] == [
        (0, "/public/first"),
        (0, "/public/second"),
        (1, "/public/second"),
    ]
    assert plane.upstream.requests[1].head == plane.upstream.requests[2].head


@pytest.mark.parametrize(
    "raw",
    [
        get("/public/second", method="POST"),
        get("/public/second", method="PATCH"),
        get("/public/second", method="PROPPATCH"),
        post("/public/second", b"body"),
        post("/public/second", b"body", method="PUT"),
        chunked("/public/second", b"0\r\n\r\n"),
    ],
    ids=["post-without-body", "patch", "proppatch", "post", "put-with-body", "chunked"],
)
def test_s77_other_requests_are_never_sent_twice(plane: Plane, raw: bytes) -> None:
    plane.upstream.play(closes_on_reuse)
    assert plane.ask(get("/public/first")).status == 200
    assert_refusal(plane.ask(raw), 502)
    assert plane.upstream.targets() == ["/public/first", "/public/second"]


def test_s77_request_is_sent_again_only_once(plane: Plane) -> None:
    async def always_resets(link: Link, received: Received) -> None:
        if received.target == "/public/first":
            await echo(link, received)
        else:
            link.reset()

    plane.upstream.play(always_resets)
    assert plane.ask(get("/public/first")).status == 200
    assert_refusal(plane.ask(get("/public/second")), 502)
    assert plane.upstream.targets() == ["/public/first", "/public/second", "/public/second"]


def test_s77_request_with_half_an_answer_is_not_sent_again(plane: Plane) -> None:
    plane.upstream.play(half_answers_on_reuse)
    assert plane.ask(get("/public/first")).status == 200
    assert_refusal(plane.ask(get("/public/second")), 502, "upstream_broken")
    assert plane.upstream.targets() == ["/public/first", "/public/second"]


def test_s77_new_connection_that_closes_is_not_tried_again(plane: Plane) -> None:
    plane.upstream.play(answers(b"", end="close"))
    assert_refusal(plane.ask(get("/public/x")), 502)
    assert plane.upstream.targets() == ["/public/x"]


def test_nobody_gets_the_answer_or_the_identity_of_another(plane: Plane) -> None:
    """Twelve clients at once, each with its own user, on connections that are pooled, cut and refused in between."""

    async def who(link: Link, received: Received) -> None:
        await link.read_body(received)
        if received.target.endswith("7"):
            link.reset()
            return
        if received.target.endswith("5"):
            await asyncio.sleep(0.001)
        identity = ",".join(received.folded("x-user-id"))
        await link.send(plain(f"{received.target} {identity} {received.body.decode()}".encode()))

    def converse(user: int) -> int:
        answered = 0
        with plane.connect() as client:
            for number in range(60):
                target, body = f"/required/{user}/{number}", b"%d" % user * (number % 3)
                client.send(post(target, body, bearer(user_id=str(user))))
                answer = client.read()
                if target.endswith("7"):
                    assert answer.status == 502
                    continue
                assert answer.body == f"{target} {user} {body.decode()}".encode()
                answered += 1
        return answered

    plane.upstream.play(who)
    with concurrent.futures.ThreadPoolExecutor(12) as executor:
        assert set(executor.map(converse, range(100, 112))) == {54}


# Answers before the body was read.


def test_early_answer_with_the_body_still_coming(plane: Plane) -> None:
    plane.upstream.play(answers_early(plain(b"x" * 300_000)))
    with plane.connect() as client:
        client.send(get("/public/x", b"Content-Length: 100000000", method="POST") + b"y" * 100_000)
        answer = client.read()
        assert (answer.status, len(answer.body), answer.field("connection")) == (200, 300_000, "close")
        client.finish_sending()
        assert client.rest() == b""
    plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)


def test_early_answer_and_close_is_passed_on(plane: Plane) -> None:
    plane.upstream.play(
        answers_early(plain(b"no", b"Connection: close", status=b"413 Content Too Large"), end="half-close")
    )
    with plane.connect() as client:
        client.send(get("/public/x", b"Content-Length: 100000000", method="POST") + b"y" * 100_000)
        assert client.read().status == 413


def test_a_trace_is_passed_on_and_stands_in_the_log(plane: Plane) -> None:
    trace = b"9c1d62a5e0c14c52b6f18a7d7c1f0e33"
    line = b"traceparent: 00-%b-b7ad6b7169203331-00" % trace
    for lines in ([line, b"tracestate: a=1"], [line, line, b"tracestate: a=1"], [b"tracestate: a=1"]):
        assert plane.ask(get("/public/traced", *lines)).status == 200
    heads = [received.head.split(b"\r\n") for received in plane.upstream.requests]
    traces = [[line for line in head if line.lower().startswith(b"trace")] for head in heads]
    assert traces == [[b"tracestate: a=1", line], [], []]
    plane.upstream.wait_until(lambda: trace.decode() in plane.gateway.output())


def test_s86_access_log_has_neither_tokens_nor_queries(plane: Plane) -> None:
    line = bearer(user_id="log-reader")
    assert plane.ask(get("/required/logged?password=hunter2", line, b"Cookie: session=secret-cookie")).status == 200
    plane.upstream.wait_until(lambda: "/required/logged" in plane.gateway.output())
    log = plane.gateway.output()
    record = re.search(r'^\{.*"/required/logged".*\}$', log, re.MULTILINE)
    assert record, log
    assert '"user_id":"log-reader"' in record[0]
    for secret in ("hunter2", "secret-cookie", line.decode().rpartition(" ")[2]):
        assert secret not in log
