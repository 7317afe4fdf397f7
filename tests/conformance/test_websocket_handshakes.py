"""Handshakes byte by byte: what opens a tunnel, what is refused, what is an ordinary request (RFC 6455 §4; row 68–70)."""

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.certificates import Authority
from tests.integration.data_plane import HOST, Plane, bearer, get, running_plane
from tests.integration.raw_client import Answer, CutShort, RawClient, assert_refusal
from tests.integration.scripted_upstream import Cut, Link, Received, ScriptedUpstream, answers, plain

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
UPGRADE = b"Upgrade: websocket"
CONNECTION = b"Connection: Upgrade"
KEY_LINE = b"Sec-WebSocket-Key: " + KEY
VERSION = b"Sec-WebSocket-Version: 13"
HANDSHAKE = (UPGRADE, CONNECTION, KEY_LINE, VERSION)
PING = b"\x89\x80\x00\x00\x00\x00"
PONG = b"\x8a\x00"
ROUTES: tuple[dict[str, Any], ...] = (
    {"path": "/ws", "upstream": "main", "access": "public", "websocket": {"allow_origins": ["https://app.example"]}},
    {"path": "/ws/user", "upstream": "main", "stateless": True, "websocket": {"allow_origins": []}},
    {
        "path": "/ws/admin",
        "upstream": "main",
        "stateless": True,
        "roles": ["admin"],
        "websocket": {"allow_origins": []},
    },
    {
        "path": "/ws/one",
        "upstream": "main",
        "stateless": True,
        "websocket": {"allow_origins": [], "max_per_user": 1},
    },
)


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(
        tmp_path_factory.mktemp("handshakes"), routes=ROUTES, upstream={"response_timeout": "400ms"}
    ) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


def accept_of(received: Received) -> bytes:
    (key,) = received.values("sec-websocket-key")
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def switching(*fields: bytes, status: bytes = b"HTTP/1.1 101 Switching Protocols", rest: bytes = b"") -> bytes:
    return b"\r\n".join([status, *fields, b"", rest])


GOOD = (UPGRADE, CONNECTION, b"Sec-WebSocket-Accept: " + ACCEPT)


async def speaks_websocket(link: Link, received: Received) -> None:
    """Switch, then answer each ping with a pong, and everything else of its size."""
    await link.read_body(received)
    await link.send(switching(UPGRADE, CONNECTION, b"Sec-WebSocket-Accept: " + accept_of(received)))
    with contextlib.suppress(Cut):
        while True:
            await link.take(len(PING))
            await link.send(PONG)


@contextlib.contextmanager
def opened(plane: Plane, request: bytes) -> Iterator[tuple[RawClient, Answer]]:
    """A tunnel that passes frames."""
    with plane.connect() as client:
        client.send(request)
        answer = client.read_switch()
        client.send(PING)
        assert client.read_exactly(2) == PONG
        yield client, answer


def assert_still_serves(client: RawClient) -> None:
    """The connection is an ordinary one."""
    client.send(get("/public/after"))
    answer = client.read()
    assert (answer.status, answer.body) == (200, b"/public/after")


# What opens a tunnel.

TUNNELS = {
    "usual": get("/ws", *HANDSHAKE),
    "in-small-letters": get("/ws", *(line.lower() for line in (UPGRADE, CONNECTION)), KEY_LINE, VERSION.lower()),
    "among-others": get("/ws", b"Upgrade: h2c, websocket", b"Connection: keep-alive, Upgrade", KEY_LINE, VERSION),
    "in-two-fields": get("/ws", b"Upgrade: h2c", UPGRADE, b"Connection: keep-alive", CONNECTION, KEY_LINE, VERSION),
    "absolute-form": get("http://api.example.org/ws", *HANDSHAKE),
    "listed-origin": get("/ws", *HANDSHAKE, b"Origin: https://app.example"),
    "token": get("/ws/user", *HANDSHAKE, bearer()),
    "role": get("/ws/admin", *HANDSHAKE, bearer(roles=["admin"])),
}


@pytest.mark.parametrize("name", TUNNELS)
def test_s68_good_handshake_opens_a_tunnel(plane: Plane, name: str) -> None:
    plane.upstream.play(speaks_websocket)
    with opened(plane, TUNNELS[name]) as (_, answer):
        assert answer.values("sec-websocket-accept") == [ACCEPT.decode()]
        assert answer.values("upgrade") == ["websocket"]
        assert answer.values("connection") == ["Upgrade"]
    received = plane.upstream.only()
    assert received.values("upgrade") == ["websocket"]
    assert received.values("connection") == ["Upgrade"]
    assert received.values("sec-websocket-key") == [KEY.decode()]
    assert received.values("sec-websocket-version") == ["13"]


def test_s69_the_whole_handshake_at_the_backend(plane: Plane) -> None:
    plane.upstream.play(speaks_websocket)
    odd = (b"Sec_WebSocket_Protocol: admin", b"HTTP2-Settings: AAMAAABk", b"X-User-Id: 6", b"TE: trailers")
    options = b"Connection: Upgrade, HTTP2-Settings, X-User-Id"
    with opened(plane, get("/ws/user", UPGRADE, options, KEY_LINE, VERSION, *odd, bearer(), b"Cookie: a=b")):
        pass
    lines = plane.upstream.only().head.decode().split("\r\n")[:-2]
    own = [line for line in lines if not line.startswith("X-Request-Id: ")]
    assert own == [
        "GET /ws/user HTTP/1.1",
        "Host: api.example.org",
        "Cookie: a=b",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY.decode()}",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: api.example.org",
        "X-User-Id: 1",
    ]


def test_bytes_behind_the_two_heads_are_the_tunnels(plane: Plane) -> None:
    async def eager(link: Link, received: Received) -> None:
        await link.send(switching(*GOOD, rest=b"\x81\x05hello"))
        assert await link.take(len(PING)) == PING
        await link.send(PONG)

    plane.upstream.play(eager)
    with plane.connect() as client:
        client.send(get("/ws", *HANDSHAKE) + PING)
        client.read_switch()
        assert client.read_exactly(9) == b"\x81\x05hello" + PONG


def test_every_split_of_the_handshake(plane: Plane) -> None:
    request = get("/ws", *HANDSHAKE)
    plane.upstream.play(speaks_websocket)
    for at in range(1, len(request), 7):
        with plane.connect() as client:
            client.send(request[:at])
            client.send(request[at:])
            client.read_switch()


# What is refused, on a connection that goes on.

REFUSED: dict[str, tuple[bytes, int, str | None]] = {
    "post": (get("/ws", *HANDSHAKE, method="POST"), 400, "bad_handshake"),
    "put": (get("/ws", *HANDSHAKE, method="PUT"), 400, "bad_handshake"),
    "no-key": (get("/ws", UPGRADE, CONNECTION, VERSION), 400, "bad_handshake"),
    "two-keys": (get("/ws", *HANDSHAKE, KEY_LINE), 400, "bad_handshake"),
    "short-key": (get("/ws", UPGRADE, CONNECTION, VERSION, b"Sec-WebSocket-Key: c2hvcnQ="), 400, "bad_handshake"),
    "nominated-key": (
        get("/ws", UPGRADE, b"Connection: Upgrade, Sec-WebSocket-Key", KEY_LINE, VERSION),
        400,
        "bad_handshake",
    ),
    "no-version": (get("/ws", UPGRADE, CONNECTION, KEY_LINE), 400, "bad_handshake"),
    "version-8": (get("/ws", UPGRADE, CONNECTION, KEY_LINE, b"Sec-WebSocket-Version: 8"), 426, "websocket_version"),
    "origin": (get("/ws", *HANDSHAKE, b"Origin: https://evil.example"), 403, "origin_not_allowed"),
    "origin-null": (get("/ws", *HANDSHAKE, b"Origin: null"), 403, "origin_not_allowed"),
    "no-token": (get("/ws/user", *HANDSHAKE), 401, None),
    "two-tokens": (
        get("/ws/user", *HANDSHAKE, bearer(), b"Sec-WebSocket-Protocol: bearer, a.b.c"),
        400,
        "bad_handshake",
    ),
    "no-role": (get("/ws/admin", *HANDSHAKE, bearer()), 403, "permission_denied"),
    "no-route": (get("/nowhere", *HANDSHAKE), 404, "no_route"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_s70_refused_handshake_leaves_an_ordinary_connection(plane: Plane, name: str) -> None:
    request, status, code = REFUSED[name]
    with plane.connect() as client:
        client.send(request)
        answer = client.read()
        assert_refusal(answer, status, code)
        if status == 426:
            assert answer.values("sec-websocket-version") == ["13"]
            assert answer.values("upgrade") == ["websocket"]
        assert not plane.upstream.requests
        assert_still_serves(client)


@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
def test_s70_handshake_with_a_body_is_refused(plane: Plane, framing: bytes) -> None:
    head = get("/ws", *HANDSHAKE).removesuffix(b"\r\n")
    assert_refusal(plane.ask(head + framing), 400, "bad_handshake")
    assert not plane.upstream.requests


# What is no handshake at all: Upgrade is dropped and the request is an ordinary one (RFC 9110 §7.8).

ORDINARY = {
    "h2c": get("/ws", b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    "h2c-to-a-plain-route": get("/public/ws", b"Upgrade: h2c", b"Connection: Upgrade"),
    "websocket-to-a-plain-route": get("/public/ws", *HANDSHAKE),
    "tls": get("/ws", b"Upgrade: TLS/1.3", CONNECTION),
    "no-connection": get("/ws", UPGRADE, KEY_LINE, VERSION),
    "connection-without-upgrade": get("/ws", UPGRADE, b"Connection: keep-alive", KEY_LINE, VERSION),
    "connection-alone": get("/ws", CONNECTION, KEY_LINE, VERSION),
    "odd-spelling": get("/ws", b"Up_grade: websocket", CONNECTION, KEY_LINE, VERSION),
    "http-1.0": get("/ws", *HANDSHAKE, version="HTTP/1.0"),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_s69_other_upgrades_are_dropped(plane: Plane, name: str) -> None:
    answer = plane.ask(ORDINARY[name])
    assert answer.status == 200
    received = plane.upstream.only()
    for field in ("upgrade", "connection", "http2-settings"):
        assert received.folded(field) == [], field


@pytest.mark.parametrize("name", ORDINARY)
def test_s69_s73_a_101_to_them_is_broken(plane: Plane, name: str) -> None:
    """h2c smuggling: a backend that switches all the same would take what the client sends next for requests."""
    plane.upstream.play(answers(switching(*GOOD), end="stall"))
    with plane.connect() as client:
        client.send(ORDINARY[name])
        assert_refusal(client.read(), 502, "upstream_broken")
        if b"HTTP/1.0" not in ORDINARY[name]:
            plane.upstream.begin()
            assert_still_serves(client)


# What the backend answers.

WRONG = {
    "no-accept": switching(UPGRADE, CONNECTION),
    "wrong-accept": switching(UPGRADE, CONNECTION, b"Sec-WebSocket-Accept: AAAAMBiTxaQ9kYGzzhZRbK+xOo="),
    "two-accepts": switching(*GOOD, GOOD[-1]),
    "no-upgrade": switching(CONNECTION, GOOD[-1]),
    "other-upgrade": switching(b"Upgrade: h2c", CONNECTION, GOOD[-1]),
    "no-connection": switching(UPGRADE, GOOD[-1]),
    "connection-close": switching(UPGRADE, b"Connection: close", GOOD[-1]),
    "http-1.0": switching(*GOOD, status=b"HTTP/1.0 101 Switching Protocols"),
    "subprotocol": switching(*GOOD, b"Sec-WebSocket-Protocol: chat"),
    "extension": switching(*GOOD, b"Sec-WebSocket-Extensions: permessage-deflate"),
    "garbage": b"\x81\x05hello\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("name", WRONG)
def test_s68_wrong_101_is_a_502_on_an_ordinary_connection(plane: Plane, name: str) -> None:
    plane.upstream.play(answers(WRONG[name], end="close"))
    with plane.connect() as client:
        client.send(get("/ws", *HANDSHAKE))
        assert_refusal(client.read(), 502, "upstream_broken")
        plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
        plane.upstream.begin()
        assert_still_serves(client)


@pytest.mark.parametrize(
    "status", [b"200 OK", b"302 Found", b"401 Unauthorized", b"403 Forbidden", b"426 Upgrade Required"]
)
def test_s68_refusal_of_the_backend_is_the_clients_answer(plane: Plane, status: bytes) -> None:
    plane.upstream.play(answers(plain(b"no", b"Sec-WebSocket-Version: 13, 8", status=status)))
    with plane.connect() as client:
        client.send(get("/ws", *HANDSHAKE))
        answer = client.read()
        assert (answer.status, answer.body) == (int(status[:3]), b"no")
        assert answer.values("sec-websocket-version") == ["13, 8"]
        plane.upstream.begin()
        assert_still_serves(client)


def test_s68_backend_that_says_nothing_is_a_504(plane: Plane) -> None:
    plane.upstream.play(answers(b"", end="stall"))
    assert_refusal(plane.ask(get("/ws", *HANDSHAKE)), 504, "upstream_timeout")


def test_s68_early_hints_may_come_before_the_101(plane: Plane) -> None:
    plane.upstream.play(answers(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + switching(*GOOD), end="stall"))
    with plane.connect() as client:
        client.send(get("/ws", *HANDSHAKE))
        assert [interim.status for interim in client.read_switch().interim] == [103]


def test_s68_a_101_is_never_reused_for_another_client(plane: Plane) -> None:
    plane.upstream.play(speaks_websocket)
    with opened(plane, get("/ws", *HANDSHAKE)):
        plane.upstream.play(answers(plain(b"ok")))
        assert plane.ask(get("/public/x")).body == b"ok"
    assert [received.link for received in plane.upstream.requests] == [0, 1]


def test_users_cap_holds_for_handshakes_at_the_same_time(plane: Plane) -> None:
    """Both are let through to the backend, which agrees to both: one is too many, and that is no fault of the backend's."""
    both_came = asyncio.Event()

    async def answers_both_at_once(link: Link, received: Received) -> None:
        if len(plane.upstream.requests) == 2:
            both_came.set()
        await both_came.wait()
        await link.send(switching(*GOOD))
        await link.wait_for_end()

    downs = plane.gateway.output().count("upstream_down")
    plane.upstream.play(answers_both_at_once)
    with plane.connect() as first, plane.connect() as second:
        for client in (first, second):
            client.send(get("/ws/one", *HANDSHAKE, bearer()))
        statuses = sorted(client.wait_for_status() for client in (first, second))
        assert statuses == [101, 429]
    assert plane.gateway.output().count("upstream_down") == downs


def test_backend_that_speaks_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "trusted")
    with ScriptedUpstream(tls=authority.server_context("127.0.0.1")).running() as server:
        secure = {"servers": [server.url], "tls": {"ca": str(authority.certificate)}}
        route = {"path": "/wss", "upstream": "secure", "access": "public", "websocket": {"allow_origins": []}}
        with running_plane(tmp_path, further_upstreams={"secure": secure}, routes=[route]) as plane:
            server.play(speaks_websocket)
            with opened(plane, get("/wss", *HANDSHAKE)) as (client, _):
                # TLS knows no half-closed connections, so the end of one side is the end of both.
                client.finish_sending()
                assert client.rest() == b""
                assert not client.was_reset
            server.wait_until(lambda: server.open_links() == 0)
            server.play(answers(switching(*GOOD, rest=b"\x81\x04last"), end="close"))
            with plane.connect() as client:
                client.send(get("/wss", *HANDSHAKE))
                client.read_switch()
                assert client.read_exactly(6) == b"\x81\x04last"
                client.finish_sending()
                assert client.rest() == b""


# Ends.


def test_half_closed_client_is_a_half_closed_client_at_the_backend(plane: Plane) -> None:
    async def answers_at_the_end(link: Link, received: Received) -> None:
        await link.send(switching(*GOOD))
        await link.wait_for_end()
        await link.send(b"\x81\x04last")
        link.half_close()

    plane.upstream.play(answers_at_the_end)
    with plane.connect() as client:
        client.send(get("/ws", *HANDSHAKE))
        client.read_switch()
        client.send(PING)
        client.finish_sending()
        assert client.rest() == b"\x81\x04last"
        assert not client.was_reset


def test_half_closed_backend_still_gets_what_the_client_sends(plane: Plane) -> None:
    taken = bytearray()

    async def sends_first(link: Link, received: Received) -> None:
        await link.send(switching(*GOOD, rest=b"\x81\x04last"))
        link.half_close()
        with contextlib.suppress(Cut):
            while True:
                taken.extend(await link.take(1))

    plane.upstream.play(sends_first)
    with plane.connect() as client:
        client.send(get("/ws", *HANDSHAKE))
        client.read_switch()
        assert client.rest() == b"\x81\x04last"
        client.send(PING)
        client.finish_sending()
    plane.upstream.wait_until(lambda: bytes(taken) == PING)


def test_s72_reset_of_the_backend_is_a_reset_for_the_client(plane: Plane) -> None:
    plane.upstream.play(answers(switching(*GOOD, rest=b"\x81\x7e\x10\x00half"), end="reset"))
    with plane.connect() as client:
        client.send(get("/ws", *HANDSHAKE))
        client.read_switch()
        client.rest()
        assert client.was_reset


def test_after_the_backends_close_frame_the_connection_ends_well(plane: Plane) -> None:
    close = b"\x88\x02\x03\xe8"
    plane.upstream.play(answers(switching(*GOOD, rest=close), end="close"))
    with plane.connect() as client:
        client.send(get("/ws", *HANDSHAKE))
        client.read_switch()
        assert client.rest() == close
        assert not client.was_reset


def test_s71_frame_with_an_impossible_length_ends_the_tunnel(plane: Plane) -> None:
    bad = b"\x82\xff\x80" + b"\x00" * 7 + b"\x00" * 4
    plane.upstream.play(speaks_websocket)
    with opened(plane, get("/ws", *HANDSHAKE)) as (client, _):
        client.send(bad)
        client.finish_sending()
        assert client.rest() == b"\x88\x0b\x03\xeabad_frame"


def test_s71_impossible_length_of_the_backend_ends_the_tunnel(plane: Plane) -> None:
    bad = b"\x82\x7f\x80" + b"\x00" * 7
    plane.upstream.play(answers(switching(*GOOD, rest=PONG + bad), end="stall"))
    with plane.connect() as client:
        client.send(get("/ws", *HANDSHAKE))
        client.read_switch()
        client.finish_sending()
        assert client.rest() == PONG + b"\x88\x11\x03\xf6upstream_broken"


def test_s69_frames_are_not_read_as_requests(plane: Plane) -> None:
    """What a client sends in a tunnel reaches the backend of that tunnel, whatever it looks like."""
    hidden = get("/admin/secret")
    plane.upstream.play(answers(switching(*GOOD), end="stall"))
    with plane.connect() as client:
        client.send(get("/ws", *HANDSHAKE))
        client.read_switch()
        client.send(hidden)
        client.finish_sending()
        with contextlib.suppress(CutShort):
            client.rest()
    assert [received.target for received in plane.upstream.requests] == ["/ws"]
    plane.upstream.wait_until(lambda: hidden in plane.upstream.links[0].raw)
    assert HOST in plane.upstream.links[0].raw
