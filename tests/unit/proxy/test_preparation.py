"""Heads, read and routed and rewritten as far as the client has a say in it."""

from typing import Any

import pytest

from gateway.auth.policy import RoutePolicy
from gateway.errors import Reason, Refused
from gateway.http.fields import RequestFieldUses
from gateway.http.forwarding import connection_origin
from gateway.http.requests import RequestReader
from gateway.http.routes import RouteTable
from gateway.http.upgrades import HandshakeReader
from gateway.proxy.plan import RoutePlan, WebSocketPlan
from gateway.proxy.preparation import Preparation
from gateway.types import Access, Oddity
from tests.unit.metering import new_meters


class Pool:
    """As much of an upstream as a head needs: its own Host."""

    host = b"backend.internal:9000"


def plan(**options: Any) -> RoutePlan:
    pool: Any = Pool()
    policy, meter = RoutePolicy(access=Access.REQUIRED), new_meters().route("/app")
    return RoutePlan(name="/app", policy=policy, pool=pool, meter=meter, cors=None, max_body_bytes=2**60, **options)


APP = plan()
KEEP = plan(keeps_token=True)
OLD = plan(allowed_oddities=frozenset({Oddity.SEMICOLON}))
OWN_HOST = plan(host=b"backend.internal:9000")
SOCKET = plan(
    websocket=WebSocketPlan(
        handshakes=HandshakeReader(allow_origins=(), token_query="access", scheme="Bearer"),
        idle_timeout=60,
        max_per_user=5,
        max_message_bytes=1024,
    )
)


@pytest.fixture
def preparation() -> Preparation:
    uses = RequestFieldUses(token_field="Authorization", managed={"X-User-Id"}, trusts_peer=False)
    routes = RouteTable(exact={}, prefixes={"/app": APP, "/keep": KEEP, "/old": OLD, "/own": OWN_HOST, "/ws": SOCKET})
    return Preparation(
        reader=RequestReader(uses=uses, max_fields=20), routes=routes, max_target_bytes=100, token_field="Authorization"
    )


def head(target: bytes, *lines: bytes, version: bytes = b"1.1", host: bytes | None = b"Host: a.example") -> bytes:
    first = b"GET %b HTTP/%b" % (target, version)
    return b"\r\n".join([first, *([host] if host else []), *lines, b"", b""])


def test_a_head_is_read_routed_and_rewritten_as_far_as_the_client_has_a_say(preparation: Preparation) -> None:
    raw = head(b"/app/x?y=1", b"Authorization: Bearer t", b"X-User-Id: 7", b"Cookie: c", b"X_Forwarded_For: 1.1.1.1")
    prepared = preparation.prepare(raw)
    assert (prepared.plan, prepared.host) == (APP, b"a.example")
    assert prepared.lines == b"GET /app/x?y=1 HTTP/1.1\r\nHost: a.example\r\nCookie: c"
    assert prepared.request.tokens == [b"Bearer t"]


def test_a_trace_goes_on_as_it_came_and_none_is_made_up(preparation: Preparation) -> None:
    trace = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    for lines, passed in (([b"tracestate: a=1", trace], [b"tracestate: a=1", trace]), ([b"tracestate: a=1"], [])):
        prepared = preparation.prepare(head(b"/app", *lines))
        forwarded = prepared.upstream_head(
            connection_origin("192.0.2.7", is_tls=False), b"request-1", prepared.request.traceparent
        )
        assert [line for line in forwarded.split(b"\r\n") if line.lower().startswith(b"trace")] == passed


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (
            head(b"/keep", b"Authorization: Bearer t"),
            b"GET /keep HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer t",
        ),
        (head(b"/own"), b"GET /own HTTP/1.1\r\nHost: backend.internal:9000"),
        (head(b"/app", host=None, version=b"1.0"), b"GET /app HTTP/1.1\r\nHost: backend.internal:9000"),
        (head(b"/old/a;b"), b"GET /old/a;b HTTP/1.1\r\nHost: a.example"),
    ],
)
def test_what_the_route_says_of_the_head(preparation: Preparation, raw: bytes, lines: bytes) -> None:
    assert preparation.prepare(raw).lines == lines


def test_no_route_is_no_error_yet(preparation: Preparation) -> None:
    prepared = preparation.prepare(head(b"/elsewhere"))
    assert (prepared.plan, prepared.lines) == (None, b"")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (head(b"/app/a;b"), Reason.BAD_TARGET),
        (head(b"/elsewhere/a;b"), Reason.BAD_TARGET),
        (head(b"/old/../app"), Reason.BAD_TARGET),
        (head(b"/app", host=None), Reason.BAD_HOST),
        (head(b"/" + b"x" * 100), Reason.TARGET_TOO_LONG),
        (head(b"/app").replace(b"GET", b"TRACE"), Reason.METHOD_NOT_SUPPORTED),
        (head(b"a.example:443").replace(b"GET", b"CONNECT"), Reason.METHOD_NOT_SUPPORTED),
    ],
)
def test_s20_what_is_refused_by_its_head_alone_has_a_name_in_the_log(
    preparation: Preparation, raw: bytes, reason: Reason
) -> None:
    prepared = preparation.prepare(raw)
    assert prepared.refusal is reason
    assert (prepared.request.method, prepared.lines) == (raw.split(b" ")[0].decode(), b"")


def test_what_is_no_head_is_no_request(preparation: Preparation) -> None:
    with pytest.raises(Refused) as caught:
        preparation.prepare(head(b"/app", b"no colon"))
    assert caught.value.reason is Reason.BAD_REQUEST


WEBSOCKET = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def test_a_handshake_leaves_what_is_no_token(preparation: Preparation) -> None:
    raw = head(b"/ws?access=t&x=1", *WEBSOCKET, b"Cookie: c")
    prepared = preparation.prepare(raw)
    assert prepared.handshake is not None
    assert prepared.lines.startswith(b"GET /ws?x=1 HTTP/1.1\r\nHost: a.example\r\nCookie: c\r\nUpgrade: websocket\r\n")
    assert prepared.request.tokens == [b"Bearer t"]


def test_s70_a_handshake_that_is_refused_knows_its_route(preparation: Preparation) -> None:
    prepared = preparation.prepare(head(b"/ws", *WEBSOCKET[:-1]))
    assert (prepared.plan, prepared.refusal) == (SOCKET, Reason.BAD_HANDSHAKE)


def test_s69_an_upgrade_on_another_route_is_an_ordinary_request(preparation: Preparation) -> None:
    prepared = preparation.prepare(head(b"/app", *WEBSOCKET))
    assert (prepared.handshake, prepared.refusal) == (None, None)
    assert b"pgrade" not in prepared.lines
