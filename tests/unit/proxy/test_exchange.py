"""One request and its response: who may pass, what passes, and how it is framed."""

from typing import Any

import pytest

from gateway.errors import Reason
from gateway.types import Revocation, RevokedKind
from tests.unit.proxy.plane import MAX_TARGET, World, messages, running
from tests.unit.proxy.transports import settle
from tests.unit.proxy.wire import (
    CHUNKED,
    CONTINUE,
    FRAME,
    GET,
    HANDSHAKE,
    HINTS,
    ID,
    OK,
    ORIGIN,
    ORIGIN_LINE,
    SWITCH,
    UNTIL_CLOSE,
    answer,
    bearer,
    chunked,
    fresh_bearer,
    post,
    request,
)

KEPT, CLOSED = "", "closed"


# What the upstream gets.


async def test_what_only_the_gateway_says_comes_behind_what_the_client_says(world: World) -> None:
    await world.ask(request(b"/app/x?y", bearer(), b"X-User-Id: 1", b"X-Forwarded-For: 9.9.9.9", b"Cookie: c", ID))
    assert world.forwarded() == (
        b"GET /app/x?y HTTP/1.1\r\nHost: a.example\r\nCookie: c\r\nX-Forwarded-For: 192.0.2.1\r\n"
        b"X-Forwarded-Proto: http\r\nX-Request-Id: 0123456789\r\nX-Forwarded-Host: a.example\r\nX-User-Id: 7\r\n\r\n"
    )


async def test_another_prefix_and_host_of_the_routes(world: World) -> None:
    await world.ask(request(b"/moved/x?y", ID))
    assert world.forwarded() == (
        b"GET /old/x?y HTTP/1.1\r\nHost: old\r\nX-Forwarded-Prefix: /moved\r\nX-Forwarded-For: 192.0.2.1\r\n"
        b"X-Forwarded-Proto: http\r\nX-Request-Id: 0123456789\r\nX-Forwarded-Host: a.example\r\n\r\n"
    )


async def test_the_gateways_own_application_alone_is_told_the_clients_address(world: World) -> None:
    client = await world.ask(post(b"/api/token/", b"{}", b"X-Gateway-Client-Address: 9.9.9.9"))
    forwarded = world.endpoints.peer.read()
    assert forwarded.count(b"X-Gateway-Client-Address") == 1
    assert b"\r\nX-Gateway-Client-Address: 192.0.2.1\r\n" in forwarded
    world.endpoints.peer.send(OK)
    assert answer(client).status == 200


async def test_s6_what_a_trusted_proxy_says_of_the_client_counts() -> None:
    async with running(trusted=("10.0.0.0/8",)) as world:
        line = b"X-Forwarded-For: 198.51.100.7"
        for address, client_address in (("10.0.0.1", b"198.51.100.7, 10.0.0.1"), ("192.0.2.1", b"192.0.2.1")):
            client = world.connect(address)
            client.send(request(b"/open/x", line))
            await settle()
            assert b"\r\nX-Forwarded-For: %b\r\n" % client_address in world.forwarded()
            world.app.peer.send(OK)
        assert [found["client"] for found in world.log_lines()] == ["198.51.100.7", "192.0.2.1"]


async def test_http_10_without_a_host_gets_the_upstreams(world: World) -> None:
    await world.ask(b"GET /open/x HTTP/1.0\r\n\r\n")
    forwarded = world.forwarded()
    assert forwarded.startswith(b"GET /open/x HTTP/1.1\r\nHost: app.internal\r\n")
    assert b"X-Forwarded-Host" not in forwarded


async def test_a_log_line_names_the_route_the_server_and_the_trace(world: World) -> None:
    trace = b"0af7651916cd43dd8448eb211c80319c"
    await world.answered(request(b"/open/x", b"traceparent: 00-%b-b7ad6b7169203331-01" % trace), OK)
    await world.ask(request(b"/nowhere", b"traceparent: 00-%b-b7ad6b7169203331-01" % trace))
    told = [(each["route"], each["upstream"], each["trace_id"]) for each in world.log_lines()]
    assert told == [("/open", "app0", trace.decode()), (None, None, trace.decode())]


async def test_time_before_the_request_is_sent_is_not_the_upstreams(world: World) -> None:
    world.directory.may_answer.clear()
    await world.ask(request(b"/app/x", fresh_bearer()))
    await world.clock.turn(2)
    world.directory.may_answer.set()
    await settle()
    await world.clock.turn(3)
    world.app.peer.send(OK[:-2])
    await world.clock.turn(0.5)
    world.app.peer.send(OK[-2:])
    (line,) = world.log_lines()
    assert (line["ms"], line["upstream_ms"]) == (5500.0, 3000.0)


async def test_an_upstream_that_did_not_answer_has_no_time(world: World) -> None:
    await world.ask(request(b"/open/x", method=b"POST"))
    world.app.peer.leave()
    await settle()
    (line,) = world.log_lines()
    assert (line["status"], line["upstream"], line["upstream_ms"]) == (502, "app0", None)


# Who may pass.


@pytest.mark.parametrize(
    ("raw", "status", "reason"),
    [
        (request(b"/nowhere"), 404, Reason.NO_ROUTE),
        (request(b"/app/x"), 401, Reason.NOT_AUTHENTICATED),
        (request(b"/app/x", b"Authorization: Bearer x"), 401, Reason.TOKEN_INVALID),
        (request(b"/admin/x", bearer()), 403, Reason.PERMISSION_DENIED),
        (request(b"/get/x", method=b"DELETE"), 405, Reason.METHOD_NOT_ALLOWED),
        (request(b"/app/../x"), 400, Reason.BAD_TARGET),
        (request(b"/" + b"x" * MAX_TARGET), 414, Reason.TARGET_TOO_LONG),
        (request(b"/open/x", method=b"TRACE"), 501, Reason.METHOD_NOT_SUPPORTED),
        (request(b"/open/x", b"Expect: more"), 417, Reason.EXPECTATION_FAILED),
        (request(b"/open/x", b"Transfer-Encoding: gzip"), 400, Reason.BAD_FRAMING),
        (chunked(b"/open/x", body=b"xyz\r\n"), 400, Reason.BAD_FRAMING),
        (request(b"/ws", b"Upgrade: websocket", b"Connection: Upgrade"), 400, Reason.BAD_HANDSHAKE),
    ],
)
async def test_who_may_not_pass_is_told_why_and_the_upstream_nothing(
    world: World, raw: bytes, status: int, reason: Reason
) -> None:
    client = await world.ask(raw)
    found = answer(client)
    assert found.status == status
    (line,) = world.log_lines()
    assert (line["status"], line["reason"]) == (status, reason.value)
    assert line["request_id"] == found.fields["x-request-id"]
    assert line["bytes"] > 0
    assert "date" in found.fields
    assert found.fields.get("allow") == ("get, head" if status == 405 else None)
    assert world.app.attempts == 0


async def test_a_refused_head_request_has_no_body(world: World) -> None:
    client = await world.ask(request(b"/nowhere", method=b"HEAD"))
    raw = client.read()
    assert raw.endswith(b"\r\n\r\n")
    assert b"\r\nContent-Length: 0" not in raw
    assert client.ended == ""


async def test_a_token_that_was_good_is_asked_for_its_revocation(world: World) -> None:
    await world.warm_up()
    world.revocations.add(Revocation(kind=RevokedKind.TOKEN, id="t1", expires_at=2**40))
    client = await world.ask(request(b"/app/x", bearer()))
    assert answer(client).status == 401


# Cross-origin.


async def test_a_preflight_is_answered_without_a_token_and_without_the_upstream(world: World) -> None:
    lines = (ORIGIN_LINE, b"Access-Control-Request-Method: GET")
    client = await world.ask(request(b"/cors/x", *lines, method=b"OPTIONS"))
    found = answer(client)
    assert (found.status, found.closes) == (204, False)
    assert found.fields["access-control-allow-origin"] == ORIGIN.decode()
    assert world.outcomes() == [(204, None)]
    assert world.app.attempts == 0
    client.send(request(b"/cors/x", *lines, b"Connection: close", method=b"OPTIONS"))
    assert answer(client).closes


@pytest.mark.parametrize(
    ("target", "lines", "method", "status"),
    [
        (b"/cors/x", (b"Access-Control-Request-Method: GET",), b"OPTIONS", 401),  # no origin
        (b"/cors/x", (ORIGIN_LINE, b"Access-Control-Request-Method: GET"), b"GET", 401),  # no OPTIONS
        (b"/app/x", (ORIGIN_LINE, b"Access-Control-Request-Method: GET"), b"OPTIONS", 401),  # the backend's affair
    ],
)
async def test_s23_what_is_no_preflight_needs_a_token(
    world: World, target: bytes, lines: tuple[bytes, ...], method: bytes, status: int
) -> None:
    client = await world.ask(request(target, *lines, method=method))
    assert answer(client).status == status


async def test_a_browser_can_read_refusals_and_answers(world: World) -> None:
    refused = await world.ask(request(b"/cors/x", ORIGIN_LINE))
    assert answer(refused).fields["access-control-allow-origin"] == ORIGIN.decode()
    theirs = OK.replace(b"\r\n\r\n", b"\r\nAccess-Control-Allow-Origin: *\r\n\r\n")
    passed = await world.answered(request(b"/cors/x", ORIGIN_LINE, bearer()), theirs)
    assert answer(passed).fields["access-control-allow-origin"] == ORIGIN.decode()
    left_alone = await world.answered(request(b"/app/x", ORIGIN_LINE, bearer()), theirs)
    assert answer(left_alone).fields["access-control-allow-origin"] == "*"


# Responses and their framing.


@pytest.mark.parametrize(
    ("method", "response", "to_11", "to_10"),
    [
        pytest.param(
            b"GET",
            OK,
            (b"Content-Length: 2\r\n\r\nok", KEPT),
            (b"Content-Length: 2\r\nConnection: keep-alive\r\n\r\nok", KEPT),
            id="length",
        ),
        pytest.param(
            b"GET",
            CHUNKED,
            (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", KEPT),
            (b"Connection: close\r\n\r\nhello", CLOSED),
            id="chunked",
        ),
        pytest.param(
            b"GET",
            UNTIL_CLOSE,
            (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", KEPT),
            (b"Connection: close\r\n\r\nhello", CLOSED),
            id="close",
        ),
        pytest.param(
            b"HEAD",
            OK[:-2],
            (b"Content-Length: 2\r\n\r\n", KEPT),
            (b"Content-Length: 2\r\nConnection: keep-alive\r\n\r\n", KEPT),
            id="HEAD",
        ),
        pytest.param(
            b"HEAD",
            CHUNKED[:-15],
            (b"\r\n\r\n", KEPT),
            (b"Connection: keep-alive\r\n\r\n", KEPT),
            id="HEAD-chunked",
        ),
        pytest.param(
            b"GET",
            b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            (b"\r\n\r\n", KEPT),
            (b"Connection: keep-alive\r\n\r\n", KEPT),
            id="204",
        ),
        pytest.param(
            b"GET",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            (b"Content-Length: 9\r\n\r\n", KEPT),
            (b"Content-Length: 9\r\nConnection: keep-alive\r\n\r\n", KEPT),
            id="304",
        ),
    ],
)
@pytest.mark.parametrize("is_10", [False, True])
@pytest.mark.parametrize("is_cut", [False, True])
async def test_each_framing_is_one_that_the_client_knows(
    world: World, method: bytes, response: bytes, to_11: Any, to_10: Any, is_10: bool, is_cut: bool
) -> None:
    lines = (b"Connection: keep-alive",) if is_10 else ()
    client = await world.ask(request(b"/open/x", *lines, ID, method=method, version=b"1.0" if is_10 else b"1.1"))
    for piece in [response[at : at + 1] for at in range(len(response))] if is_cut else [response]:
        world.app.peer.send(piece)
    if response is UNTIL_CLOSE:
        world.app.peer.send_eof()
    await settle()
    end, fate = to_10 if is_10 else to_11
    raw = client.read()
    assert raw.startswith(b"HTTP/1.1 " + response.split(b" ")[1])  # always our version (RFC 9110 §2.5)
    if is_cut and not is_10:
        raw = raw.replace(b"1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n", b"5\r\nhello\r\n")
    assert raw.endswith(end if end.startswith(b"\r\n") else ID + b"\r\n" + end)
    assert client.ended == fate
    (line,) = world.log_lines()
    assert (line["status"], line.get("reason")) == (int(response.split(b" ")[1]), None)


async def test_interim_responses_pass_to_who_knows_them(world: World) -> None:
    for version, expected in ((b"1.1", HINTS), (b"1.0", b"")):
        client = await world.answered(request(b"/open/x", version=version), HINTS + CONTINUE)
        assert client.read() == expected
        world.app.peer.send(OK)
        await settle()
        assert answer(client).status == 200
    assert world.outcomes() == [(200, None)] * 2


# WebSockets.


async def test_a_handshake_passes_and_becomes_a_tunnel(world: World) -> None:
    for pieces in (HANDSHAKE + FRAME, HANDSHAKE):
        client = await world.ask(pieces)
        assert b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" in world.forwarded()
        world.app.peer.send(SWITCH + b"\x81\x02hi")
        if pieces is HANDSHAKE:
            client.send(FRAME)
        raw = client.read()
        assert raw.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert raw.endswith(b"\r\n\r\n\x81\x02hi")
        assert world.forwarded() == FRAME
        client.leave()
        await settle()
    assert world.outcomes() == [(101, "client_gone")] * 2


async def test_s68_a_backend_that_declines_has_given_an_ordinary_answer(world: World) -> None:
    client = await world.answered(HANDSHAKE, OK)
    assert answer(client).body == b"ok"
    client.send(GET)
    world.app.peer.send(OK)
    assert answer(client).status == 200
    assert world.app.attempts == 1


@pytest.mark.parametrize("raw", [SWITCH.replace(b"s3pP", b"xxxx"), SWITCH.replace(b"websocket", b"h2c")])
async def test_s68_a_switch_that_a_client_must_not_believe_never_reaches_it(world: World, raw: bytes) -> None:
    client = await world.answered(HANDSHAKE, raw)
    assert answer(client).code == "upstream_broken"
    assert not world.pool.servers[0].health.is_up


async def test_who_has_enough_websockets_is_told_so_before_and_after_the_backend_was_asked(world: World) -> None:
    """One is allowed. Two ask at the same time, and a third later."""
    first, second = await world.ask(HANDSHAKE), await world.ask(HANDSHAKE)
    for peer in world.app.peers:
        peer.send(SWITCH)
    await settle()
    third = await world.ask(HANDSHAKE)
    assert first.read().startswith(b"HTTP/1.1 101 ")
    assert [answer(client).code for client in (second, third)] == ["too_many_websockets"] * 2
    assert len(world.app.peers) == 2
    assert [peer.ended for peer in world.app.peers] == ["", "cut"]
    assert world.pool.servers[0].health.is_up  # which is no fault of the backend's
    second.send(GET)  # an ordinary answer, on an ordinary connection
    await settle()
    assert second.is_read


async def test_a_tunnel_ends_half_by_half(world: World) -> None:
    client = await world.answered(HANDSHAKE, SWITCH)
    client.read()
    client.send_eof()
    assert world.app.peer.has_eof
    world.app.peer.send(b"\x81\x02hi")
    assert client.read() == b"\x81\x02hi"
    world.app.peer.send_eof()
    await settle()
    assert (client.ended, world.app.peer.ended) == ("closed", "closed")
    assert world.outcomes() == [(101, None)]


async def test_a_tunnel_ends_half_by_half_the_other_way_round(world: World) -> None:
    client = await world.answered(HANDSHAKE, SWITCH)
    world.app.peer.send_eof()
    assert client.has_eof
    world.forwarded()
    client.send(FRAME)
    assert world.forwarded() == FRAME
    client.send_eof()
    await settle()
    assert (client.ended, world.app.peer.ended) == ("closed", "closed")


async def test_a_tunnel_over_tls_has_no_halves(world: World) -> None:
    client = world.connect(is_tls=True)
    client.send(HANDSHAKE)
    await settle()
    world.app.peer.send(SWITCH)
    world.app.peer.send_eof()
    await settle()
    assert client.ended == "closed"
    assert len(world.log_lines()) == 1


async def test_s84_a_defect_that_stands_against_the_end_of_a_tunnel_too_cuts_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    client = await world.answered(HANDSHAKE, SWITCH)
    world.app.peer.transport.write_eof()  # writing behind it raises, a Close frame as well
    client.send(FRAME)
    await settle()
    assert messages(caplog) == ["request_failed", "refusal_failed"]
    assert (client.ended, world.app.peer.ended) == ("cut", "closed")
    assert world.outcomes() == [(101, "internal_error")]


async def test_s84_a_defect_that_stands_against_the_refusal_too_cuts_the_connection(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    client = await world.ask(GET)
    client.transport.write_eof()
    world.app.peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    await settle()
    assert messages(caplog) == ["response_failed", "refusal_failed"]
    assert (client.ended, world.app.peer.ended) == ("cut", "cut")
    assert world.outcomes() == [(500, "internal_error")]


async def test_an_event_stream_ends_with_its_token(world: World) -> None:
    client = await world.ask(request(b"/known/x", bearer()))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    world.app.peer.send(head + b"6\r\ndata:\n\r\n")
    world.revocations.add(Revocation(kind=RevokedKind.TOKEN, id="t1", expires_at=2**40))
    await world.clock.turn(1)
    assert client.read().endswith(b"6\r\ndata:\n\r\n")
    assert client.ended == "cut"
    assert world.outcomes() == [(200, "token_revoked")]


async def test_an_event_stream_that_ends_is_forgotten(world: World) -> None:
    client = await world.ask(request(b"/known/x", bearer()))
    world.app.peer.send(CHUNKED.replace(b"\r\n", b"\r\nContent-Type: text/event-stream\r\n", 1))
    await settle()
    assert client.read().endswith(b"0\r\n\r\n")
    assert repr(world.long_exchanges) == "<LongExchanges watched=0 tunnels=0>"
