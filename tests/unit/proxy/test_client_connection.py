"""Client connections: requests cut out of whatever bytes come, one after the other; defects on the way."""

import logging

import pytest

from gateway.http.cors import CorsPolicy
from tests.unit.http.pieces import cuts
from tests.unit.proxy.plane import CORS_OPTIONS, MAX_FIELDS, MAX_HEAD, Defect, World, messages, running
from tests.unit.proxy.transports import Peer, settle
from tests.unit.proxy.wire import GET, ID, NOWHERE, OK, answer, answers, bearer, post, request

# Cutting requests.


async def test_a_request_is_the_same_wherever_its_bytes_are_cut(world: World) -> None:
    await world.warm_up()
    raw = post(b"/open/x?y=1", b"hello", ID, b"X-A: b")
    head = (
        b"POST /open/x?y=1 HTTP/1.1\r\nHost: a.example\r\nX-A: b\r\nX-Forwarded-For: 192.0.2.1\r\n"
        b"X-Forwarded-Proto: http\r\nX-Request-Id: 0123456789\r\nX-Forwarded-Host: a.example\r\n"
    )
    for pieces in cuts(raw):
        client = world.connect()
        client.send(*pieces)
        assert world.forwarded() == head + b"Content-Length: 5\r\n\r\nhello"
        world.app.peer.send(OK)
        assert answer(client).body == b"ok"
    assert len(world.app.peers) == 1
    assert set(world.outcomes()) == {(200, None)}


async def test_requests_behind_each_other_are_the_same_wherever_their_bytes_are_cut(world: World) -> None:
    await world.warm_up()
    chunked = request(b"/open/2", b"Transfer-Encoding: chunked", method=b"POST", body=b"3\r\nabc\r\n0\r\n\r\n")
    raw = post(b"/open/1", b"hello") + chunked + request(b"/open/3")
    for pieces in cuts(raw):
        client = world.connect()
        client.send(*pieces)
        for number in (b"1", b"2", b"3"):
            await settle()
            assert world.forwarded().split(b" ")[1] == b"/open/" + number
            assert client.read() == b""  # in order, one after the other
            world.app.peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + number)
            assert answer(client).body == number
        client.leave()
    assert {line["path"] for line in world.log_lines()} == {"/open/1", "/open/2", "/open/3"}


async def test_s81_what_waits_behind_a_request_is_not_read_on(world: World) -> None:
    await world.warm_up()
    client = world.connect()
    client.send(GET)
    assert client.is_read  # or nobody would notice that it leaves
    client.send(request(b"/open/second"))
    assert not client.is_read
    world.forwarded()
    world.app.peer.send(OK)
    assert b"/open/second" in world.forwarded()
    assert client.is_read
    world.app.peer.send(OK)
    assert [found.status for found in answers(client.read())] == [200, 200]


async def test_s81_what_waits_in_the_same_packet_is_not_read_on(world: World) -> None:
    await world.warm_up()
    client = world.connect()
    client.send(GET + GET)
    assert not client.is_read
    world.app.peer.send(OK)
    assert client.is_read
    world.app.peer.send(OK)
    assert client.is_read


async def test_s81_pipelined_refusals_are_a_loop_and_no_recursion(world: World) -> None:
    await world.warm_up()
    for before in (b"", GET):
        client = world.connect()
        client.send(before + NOWHERE * 3000 + GET)
        statuses = [200] * bool(before) + [404] * 3000 + [200]
        while len(world.app.peer.read()):
            world.app.peer.send(OK)
        assert [found.status for found in answers(client.read())] == statuses
        assert len(world.log_lines()) == len(statuses)


async def test_a_begun_head_behind_a_request_waits_for_its_rest(world: World) -> None:
    await world.warm_up()
    client = world.connect()
    client.send(GET + NOWHERE[:10])
    world.app.peer.send(OK)
    await settle()
    client.send(NOWHERE[10:])
    assert [found.status for found in answers(client.read())] == [200, 404]


async def test_one_empty_line_before_a_request_is_ignored(world: World) -> None:
    """RFC 9112 §2.2."""
    for pieces in cuts(b"\r\n" + NOWHERE + b"\r\n" + NOWHERE):
        client = world.connect()
        client.send(*pieces)
        assert [found.status for found in answers(client.read())] == [404, 404]


@pytest.mark.parametrize("raw", [b"\r\n\r\n", b"\r\n\r\n" + NOWHERE, b"\rGET", b"\r\n \r\n"])
async def test_a_stream_of_empty_lines_is_no_request(world: World, raw: bytes) -> None:
    for pieces in cuts(raw):
        client = world.connect()
        client.send(*pieces)
        assert (found := answer(client)).status == 400
        assert found.closes
        assert world.outcomes() == [(400, "bad_request")]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",  # TLS on a plain port
        b" GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\nHost: x\n",
        b"GET / HTTP/1.1\r\nHost: x\n",
    ],
)
async def test_s12_what_cannot_become_a_request_is_refused_before_its_end(world: World, raw: bytes) -> None:
    for pieces in cuts(raw):
        client = world.connect()
        client.send(*pieces)
        assert answer(client).code == "bad_request"
        assert client.has_eof


async def test_s79_a_head_may_be_as_large_as_the_bound_and_no_larger(world: World) -> None:
    fill = MAX_HEAD - len(request(b"/nowhere", b"X: "))
    for excess, status in ((0, 404), (1, 431)):
        raw = request(b"/nowhere", b"X: " + b"x" * (fill + excess))
        for pieces in ([raw], [raw[:-3], raw[-3:]], [raw[:10], raw[10:]]):
            client = world.connect()
            client.send(*pieces)
            assert answer(client).status == status


async def test_s79_a_head_that_grows_too_large_is_not_waited_for(world: World) -> None:
    client = world.connect()
    client.send(b"GET / HTTP/1.1\r\nX: ", b"x" * MAX_HEAD)
    assert answer(client).code == "head_too_large"
    assert world.outcomes() == [(431, "head_too_large")]


async def test_s79_a_head_has_no_more_fields_than_the_bound(world: World) -> None:
    for count, status in ((MAX_FIELDS - 1, 404), (MAX_FIELDS, 431)):
        client = world.connect()
        client.send(request(b"/nowhere", *[b"X: y"] * count))
        assert answer(client).status == status


async def test_a_refused_head_is_logged_without_a_request(world: World) -> None:
    client = world.connect("198.51.100.7")
    client.send(b"GET / HTTP/9.9\r\nHost: a\r\n\r\n")
    assert answer(client).status == 505
    (line,) = world.log_lines()
    assert (line["client"], line["method"], line["path"], line["user_id"]) == ("198.51.100.7", "", "", None)


# Defects (checklist 84).


async def defective(world: World, caplog: pytest.LogCaptureFixture, raw: bytes) -> Peer:
    client = await world.ask(raw)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.ERROR, "request_failed")]
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].exc_info[0] is Defect
    return client


async def test_s84_a_defect_is_logged_and_a_500(world: World, caplog: pytest.LogCaptureFixture) -> None:
    client = await defective(world, caplog, request(b"/defect"))
    found = answer(client)
    assert (found.status, found.code, found.closes) == (500, "internal_error", True)
    assert client.has_eof
    assert world.outcomes() == [(500, "internal_error")]


async def test_s84_a_defect_on_the_way_of_the_next_request_leaves_the_one_before_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    client = await world.ask(GET + request(b"/defect") + GET)
    world.app.peer.send(OK)
    assert [found.status for found in answers(client.read())] == [200, 500]
    assert world.outcomes() == [(200, None), (500, "internal_error")]
    assert messages(caplog) == ["request_failed"]
    assert world.app.peer.ended == ""  # its upstream connection least of all


async def test_s84_a_defect_behind_a_look_up_is_a_500_and_no_second_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    client = await world.ask(request(b"/app/x", bearer("404")) + request(b"/defect"))
    assert [found.status for found in answers(client.read())] == [401, 500]
    assert world.outcomes() == [(401, "user_not_found"), (500, "internal_error")]
    assert messages(caplog) == ["request_failed"]


async def test_s84_a_defect_inside_of_a_body_ends_the_request(world: World, caplog: pytest.LogCaptureFixture) -> None:
    client = await world.ask(post(b"/open/x", b"", length=10))
    world.app.peer.transport.write_eof()  # writing behind it raises
    client.send(b"hello")
    await settle()
    assert answer(client).code == "internal_error"
    assert world.outcomes() == [(500, "internal_error")]
    assert world.app.peer.ended == "cut"
    assert messages(caplog) == ["request_failed"]


class Speechless(CorsPolicy):
    """Cannot even refuse."""

    def fields(self, origin: bytes | None) -> bytes:
        raise Defect


async def test_s84_a_defect_in_a_refusal_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with running(cors=Speechless(**CORS_OPTIONS)) as world:
        client = await world.ask(NOWHERE)
        assert (client.received, client.ended) == (b"", "cut")
        assert messages(caplog) == ["request_failed"]
        assert world.outcomes() == [(404, "internal_error")]
