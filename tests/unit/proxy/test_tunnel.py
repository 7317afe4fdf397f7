"""Tunnels between two recorded ends: what passes, and how the gateway ends one, wherever the bytes are cut.

Real connections are in integration/test_websockets.py and conformance/test_websocket_handshakes.py; here stand the
orders of events that sockets bring by chance only.
"""

import asyncio
from typing import Any

import pytest

from gateway.errors import Reason
from gateway.http.upgrades import HandshakeReader
from gateway.proxy.plan import WebSocketPlan
from gateway.proxy.tunnel import CLOSE_CODES, Tunnel
from tests.unit.http.pieces import cuts
from tests.unit.http.test_frames import MASK, frame

PLAN = WebSocketPlan(
    handshakes=HandshakeReader(allow_origins=(), token_query=None, scheme="Bearer"),
    idle_timeout=60,
    max_per_user=1,
    max_message_bytes=1000,
)
HELLO = frame(1, b"hello")
MASKED_HELLO = frame(1, b"hello", mask=MASK)
EXPIRED = frame(8, (4401).to_bytes(2, "big") + b"token_expired")
ECHO = frame(8, (4401).to_bytes(2, "big"), mask=MASK)
DONE = frame(8, (1000).to_bytes(2, "big"))


class End:
    """A connection, as far as a tunnel uses one: what was written to it, and what was asked of it."""

    def __init__(self) -> None:
        self.written = b""
        self.has_eof = False
        self.has_halves = True
        self.is_reading = True
        self.ended = ""

    def write(self, data: bytes) -> None:
        assert not self.has_eof
        assert not self.ended
        self.written += data

    def write_eof(self) -> bool:
        self.has_eof = self.has_halves
        return self.has_halves

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True


class Upstream(End):
    def finish(self) -> None:
        self.ended = "well"

    def close(self) -> None:
        self.ended = self.ended or "at once"


class Plane:
    is_draining = False

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.open: list[Tunnel] = []
        self.over: list[Tunnel] = []

    def on_tunnel_start(self, tunnel: Tunnel) -> None:
        self.open.append(tunnel)

    def on_tunnel_end(self, tunnel: Tunnel) -> None:
        self.over.append(tunnel)


class Deadline:
    def __init__(self) -> None:
        self.set_to: list[float] = []

    def set(self, seconds: float) -> None:
        self.set_to.append(seconds)


class Client(End):
    def __init__(self) -> None:
        super().__init__()
        self.plane = Plane()
        self.exchange: Any = None
        self.is_writing_paused = False
        self.buffer = b""
        self.deadline = Deadline()

    def take_buffer(self) -> bytes:
        data, self.buffer = self.buffer, b""
        return data

    def on_exchange_end(self, *, close: bool, cut: bool) -> None:
        assert close
        self.ended = "cut" if cut else "well"


class Exchange:
    started_at = 0.0
    principal = None
    plan = None

    def __init__(self) -> None:
        self.client = Client()
        self.bytes_sent = 0
        self.reason: Reason | None = None


class World:
    def __init__(self) -> None:
        self.exchange = Exchange()
        self.client = self.exchange.client
        self.upstream = Upstream()
        self.tunnel = Tunnel(self.exchange, self.upstream, PLAN)  # type: ignore[arg-type]

    @property
    def ends(self) -> tuple[str, str]:
        return self.client.ended, self.upstream.ended


@pytest.fixture
async def world() -> World:
    world = World()
    world.tunnel.start(b"")
    return world


def unmasked(raw: bytes) -> bytes:
    """The one masked frame behind what passed, without its mask."""
    assert raw[1] & 0x80
    return raw[:1] + bytes([raw[1] & 0x7F]) + bytes(byte ^ raw[2 + index % 4] for index, byte in enumerate(raw[6:]))


GOING_AWAY = frame(8, (1001).to_bytes(2, "big"))


async def test_bytes_that_came_with_the_heads_pass_first() -> None:
    world = World()
    world.client.buffer = MASKED_HELLO
    world.tunnel.start(HELLO)
    assert world.client.exchange is world.tunnel
    assert world.client.plane.open == [world.tunnel]
    assert (world.client.written, world.upstream.written) == (HELLO, MASKED_HELLO)


async def test_bytes_pass_both_ways_and_are_counted(world: World) -> None:
    world.tunnel.feed(MASKED_HELLO)
    world.tunnel.on_upstream_bytes(HELLO + HELLO)
    assert (world.client.written, world.upstream.written) == (HELLO * 2, MASKED_HELLO)
    assert (world.tunnel.bytes_received, world.tunnel.bytes_sent) == (len(MASKED_HELLO), 2 * len(HELLO))
    assert set(world.client.deadline.set_to) == {PLAN.idle_timeout}


@pytest.mark.parametrize("sent_before", range(len(HELLO) + 1))
async def test_the_close_frame_to_the_client_stands_between_two_frames(world: World, sent_before: int) -> None:
    world.tunnel.on_upstream_bytes(HELLO[:sent_before])
    world.tunnel.end_early(Reason.TOKEN_EXPIRED)
    is_between = sent_before in (0, len(HELLO))
    assert world.client.written.endswith(EXPIRED) is is_between
    for byte in HELLO[sent_before:] + HELLO:
        world.tunnel.on_upstream_bytes(bytes([byte]))
    assert world.client.written == (b"" if sent_before == 0 else HELLO) + EXPIRED
    assert world.tunnel.close_code == 4401


@pytest.mark.parametrize("sent_before", range(len(MASKED_HELLO) + 1))
async def test_the_close_frame_to_the_backend_stands_between_two_frames(world: World, sent_before: int) -> None:
    world.tunnel.feed(MASKED_HELLO[:sent_before])
    world.tunnel.end_early(Reason.TOKEN_EXPIRED)
    for pieces in (MASKED_HELLO[sent_before:], MASKED_HELLO):
        world.tunnel.feed(pieces)
    passed = b"" if sent_before == 0 else MASKED_HELLO
    assert world.upstream.written.startswith(passed)
    assert unmasked(world.upstream.written[len(passed) :]) == GOING_AWAY


async def test_it_is_over_when_both_have_answered(world: World) -> None:
    for pieces in cuts(ECHO):
        world = World()
        world.tunnel.start(b"")
        world.tunnel.end_early(Reason.TOKEN_EXPIRED)
        world.tunnel.on_upstream_bytes(DONE)
        assert world.ends == ("", "")
        for piece in pieces:
            world.tunnel.feed(piece)
        assert world.ends == ("well", "well")
        assert world.tunnel.body.is_complete
        assert world.client.plane.over == [world.tunnel]
        assert world.exchange.reason is Reason.TOKEN_EXPIRED
        assert world.client.written == EXPIRED


async def test_who_does_not_answer_is_cut_after_a_moment(world: World) -> None:
    world.tunnel.end_early(Reason.STOPPING)
    assert world.client.deadline.set_to[-1] < 5
    world.tunnel.on_deadline()
    assert world.ends == ("cut", "at once")
    assert world.tunnel.close_code == 1012


async def test_who_is_half_way_through_a_frame_is_cut_without_a_close_frame(world: World) -> None:
    world.tunnel.on_upstream_bytes(HELLO[:4])
    world.tunnel.end_early(Reason.STOPPING)
    world.tunnel.on_deadline()
    assert world.client.written == HELLO[:4]
    assert world.tunnel.close_code == 1006


async def test_a_second_reason_changes_nothing(world: World) -> None:
    world.tunnel.end_early(Reason.TOKEN_EXPIRED)
    written = world.client.written
    world.tunnel.end_early(Reason.STOPPING)
    world.tunnel.on_deadline()
    world.tunnel.end_early(Reason.STOPPING)
    assert (world.client.written, world.exchange.reason) == (written, Reason.TOKEN_EXPIRED)
    assert world.client.plane.over == [world.tunnel]


async def test_who_has_sent_a_close_frame_gets_no_second_one(world: World) -> None:
    """RFC 6455 §5.5.1: nothing more may be sent behind a Close frame."""
    world.tunnel.on_upstream_bytes(DONE)
    world.tunnel.feed(ECHO)
    world.tunnel.end_early(Reason.TOKEN_EXPIRED)
    assert (world.client.written, world.upstream.written) == (DONE, ECHO)
    assert world.ends == ("well", "well")
    assert world.tunnel.close_code == 4401  # the client's, which answers what it was told


async def test_a_fault_behind_good_frames_lets_these_pass(world: World) -> None:
    world.tunnel.feed(MASKED_HELLO + frame(2, b"x" * 1001, mask=MASK))
    assert world.upstream.written.startswith(MASKED_HELLO)
    assert unmasked(world.upstream.written[len(MASKED_HELLO) :]) == GOING_AWAY
    assert world.client.written == frame(8, (1009).to_bytes(2, "big") + b"message_too_big")
    # What follows cannot be told from payload any more.
    world.tunnel.feed(b"x" * 500)
    world.tunnel.on_client_eof()
    assert world.ends == ("well", "well")


async def test_a_fault_of_the_backend(world: World) -> None:
    world.tunnel.on_upstream_bytes(HELLO + b"\x82\x7f\xff" + b"\x00" * 7)
    assert world.client.written == HELLO + frame(8, (1014).to_bytes(2, "big") + b"upstream_broken")
    assert world.exchange.reason is Reason.UPSTREAM_BROKEN
    world.tunnel.on_upstream_bytes(b"more")
    assert world.client.written.count(b"more") == 0


async def test_a_fault_behind_half_a_header_is_cut(world: World) -> None:
    bad = frame(2, b"x" * 1001, mask=MASK)
    world.tunnel.feed(bad[:3])
    world.tunnel.feed(bad[3:])
    world.tunnel.feed(b"more")
    assert world.upstream.written == bad[:3]
    assert world.client.written == frame(8, (1009).to_bytes(2, "big") + b"message_too_big")


async def test_the_slower_side_holds_the_other_back(world: World) -> None:
    world.tunnel.on_client_writable(is_writable=False)
    assert not world.upstream.is_reading
    world.tunnel.on_client_writable(is_writable=True)
    assert world.upstream.is_reading
    world.tunnel.on_upstream_writable(is_writable=False)
    assert not world.client.is_reading
    world.tunnel.on_upstream_writable(is_writable=True)
    assert world.client.is_reading


async def test_a_side_that_is_told_to_go_is_read_to_its_answer(world: World) -> None:
    world.tunnel.on_client_writable(is_writable=False)
    world.tunnel.on_upstream_writable(is_writable=False)
    world.tunnel.end_early(Reason.STOPPING)
    assert world.client.is_reading
    assert world.upstream.is_reading
    world.tunnel.on_client_writable(is_writable=False)
    world.tunnel.on_upstream_writable(is_writable=False)
    assert world.client.is_reading
    assert world.upstream.is_reading


async def test_halves_end_one_by_one(world: World) -> None:
    assert world.tunnel.on_client_eof()
    assert world.upstream.has_eof
    world.tunnel.on_upstream_bytes(HELLO)
    assert world.client.written == HELLO
    assert world.tunnel.on_upstream_eof()
    assert world.ends == ("well", "well")
    assert (world.tunnel.close_code, world.exchange.reason) == (1006, None)


async def test_halves_end_the_other_way_round(world: World) -> None:
    world.tunnel.on_upstream_eof()
    assert world.client.has_eof
    world.tunnel.on_client_writable(is_writable=False)  # there is nothing left to hold back
    assert world.upstream.is_reading
    world.tunnel.feed(MASKED_HELLO)
    assert world.upstream.written == MASKED_HELLO
    world.tunnel.on_client_eof()
    assert world.ends == ("well", "well")


async def test_tls_has_no_halves(world: World) -> None:
    world.upstream.has_halves = False
    world.tunnel.on_client_eof()
    assert world.ends == ("well", "well")


async def test_tls_has_no_halves_the_other_way_round(world: World) -> None:
    world.client.has_halves = False
    world.tunnel.on_upstream_eof()
    assert world.tunnel.body.is_complete  # nothing is waited for
    assert world.ends == ("well", "well")
    assert world.tunnel.close_code == 1006


@pytest.mark.parametrize("side", ["client", "upstream"])
async def test_a_half_ended_tunnel_that_is_to_end_ends_at_once(world: World, side: str) -> None:
    if side == "client":
        world.tunnel.on_client_eof()
    else:
        world.tunnel.on_upstream_eof()
    world.tunnel.end_early(Reason.TOKEN_EXPIRED)
    assert world.ends == ("well", "well")
    assert world.exchange.reason is Reason.TOKEN_EXPIRED


async def test_a_backend_that_is_gone_is_gone_for_the_client(world: World) -> None:
    world.tunnel.on_upstream_bytes(HELLO)
    world.tunnel.on_upstream_gone(Reason.UPSTREAM_BROKEN)
    assert world.ends == ("cut", "at once")
    assert (world.tunnel.close_code, world.exchange.reason) == (1006, Reason.UPSTREAM_BROKEN)


async def test_a_backend_that_is_gone_after_its_close_frame_has_ended_well(world: World) -> None:
    world.tunnel.on_upstream_bytes(DONE)
    world.tunnel.on_upstream_gone(Reason.UPSTREAM_BROKEN)
    assert world.ends == ("well", "well")
    assert (world.tunnel.close_code, world.exchange.reason) == (1000, None)


async def test_a_client_that_is_gone(world: World) -> None:
    world.tunnel.on_client_gone()
    assert (world.tunnel.close_code, world.exchange.reason) == (1006, Reason.CLIENT_GONE)
    world.tunnel.on_client_gone()
    assert world.client.plane.over == [world.tunnel]


async def test_a_stalled_client_waits_for_itself(world: World) -> None:
    assert not world.tunnel.waits_for_client()
    world.client.is_writing_paused = True
    assert world.tunnel.waits_for_client()


async def test_s71_a_client_that_takes_its_time_does_not_put_the_end_off(world: World) -> None:
    """Else whoever keeps the pace of a slow reader would be served for as long as the present frame is, token or not."""
    world.client.is_writing_paused = True
    world.tunnel.on_upstream_bytes(HELLO[:4])
    world.tunnel.end_early(Reason.TOKEN_EXPIRED)
    assert not world.tunnel.waits_for_client()


async def test_a_quiet_tunnel_is_ended(world: World) -> None:
    world.tunnel.on_deadline()
    assert world.client.written == frame(8, (4408).to_bytes(2, "big") + b"tunnel_idle")


@pytest.mark.parametrize("reason", CLOSE_CODES)
async def test_every_reason_fits_into_a_close_frame(world: World, reason: Reason) -> None:
    world.tunnel.end_early(reason)
    assert world.client.written == frame(8, CLOSE_CODES[reason].to_bytes(2, "big") + reason.value.encode())
    assert len(world.client.written) <= 127
