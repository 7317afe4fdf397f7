"""A WebSocket between a client and its upstream, from the 101 to the log line.

Theory of operation. Bytes pass both ways as they come; the side that cannot take more pauses the reading of the other.
Beside them a `FrameScanner` for each direction counts where frames end. States, told by `_ending`:

- None, open: the two peers close it between themselves, with Close frames that pass like any other, and by ending their
  connections, which is passed on too, each half by itself.
- a reason: the gateway ends it (token, user, idle, stop, a frame that must not pass). Each side gets a Close frame of
  the gateway's own as soon as it stands between two frames; from then on nothing more passes to that side. It is over
  when both sides have answered, or after a moment.

The tunnel stands where the exchange stood: the client connection calls the same methods, on the same timer.
"""

import secrets
from typing import TYPE_CHECKING, Final

from gateway.errors import Reason, Refused
from gateway.http.bodies import CloseBody
from gateway.http.frames import CLOSED_WITHOUT_FRAME, FrameFault, FrameScanner, close_frame
from gateway.http.requests import Request
from gateway.http.responses import Response
from gateway.proxy.plan import RoutePlan, WebSocketPlan
from gateway.types import Principal

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange
    from gateway.proxy.upstream_connection import UpstreamConnection

CLOSE_CODES: Final = {
    Reason.TOKEN_EXPIRED: 4401,
    Reason.TOKEN_INVALID: 4401,
    Reason.TOKEN_REVOKED: 4401,
    Reason.USER_NOT_FOUND: 4401,
    Reason.USER_INACTIVE: 4401,
    Reason.TUNNEL_IDLE: 4408,
    Reason.STOPPING: 1012,
    Reason.MESSAGE_TOO_BIG: 1009,
    Reason.BAD_FRAME: 1002,
    Reason.UPSTREAM_BROKEN: 1014,
    Reason.INTERNAL_ERROR: 1011,
}
"""What a client is told. 4000 to 4999 are free for applications (RFC 6455 §7.4.2); 4401 and 4408 lean on HTTP's."""

# To an upstream the gateway is the client, and whatever the reason, that client leaves (RFC 6455 §7.4.1).
_GOING_AWAY: Final = 1001
_CLOSING_SECONDS: Final = 3.0
_FAULTS: Final = {FrameFault.MALFORMED: Reason.BAD_FRAME, FrameFault.TOO_BIG: Reason.MESSAGE_TOO_BIG}


class Tunnel:
    """`exchange` is the handshake's, kept for the log line; `close_code` is the gateway's, the client's or the
    upstream's, whichever was told first, and 1006 where none was."""

    __slots__ = (
        "_client",
        "_ending",
        "_from_client",
        "_from_upstream",
        "_has_told_client",
        "_has_told_upstream",
        "_idle_timeout",
        "_is_over",
        "_is_upstream_at_end",
        "_upstream",
        "body",
        "bytes_received",
        "close_code",
        "exchange",
    )

    def __init__(self, exchange: "Exchange", upstream: "UpstreamConnection", plan: WebSocketPlan) -> None:
        self.exchange = exchange
        self.body = CloseBody()  # what the client sends ends with its side of the connection
        self.bytes_received = 0
        self.close_code = CLOSED_WITHOUT_FRAME
        self._client = exchange.client
        self._upstream = upstream
        self._idle_timeout = plan.idle_timeout
        self._from_client = FrameScanner(max_message_bytes=plan.max_message_bytes)
        self._from_upstream = FrameScanner()
        self._ending: Reason | None = None
        self._has_told_client = False
        self._has_told_upstream = False
        self._is_upstream_at_end = False
        self._is_over = False

    @classmethod
    def over(cls, exchange: "Exchange", response: Response) -> "Tunnel | None":
        """Tell the client of the upstream's 101; None when it is refused in the place of that.

        Raises `Refused(UPSTREAM_BROKEN)` for a 101 that was not asked for or does not fit what was.
        """
        handshake, plan, upstream = exchange.handshake, exchange.plan, exchange.upstream
        if handshake is None or plan is None or plan.websocket is None or upstream is None:
            # Nobody asked for a switch of protocols (RFC 9110 §7.8, checklist 73).
            raise Refused(Reason.UPSTREAM_BROKEN)
        lines = handshake.answer(response)
        plane = exchange.client.plane
        try:
            # Asked again: the user may have opened others while the backend thought about this one.
            plane.long_exchanges.require_room(plan.websocket, exchange.principal)
        except Refused as refusal:
            exchange.refuse(refusal.reason)
            return None
        exchange.status = response.status
        exchange.answered_at = plane.now()
        tunnel = cls(exchange, upstream, plan.websocket)
        tunnel._write(b"\r\n".join((*lines, b"X-Request-Id: %b\r\n\r\n" % exchange.request_id)))
        return tunnel

    @property
    def started_at(self) -> float:
        return self.exchange.started_at

    @property
    def bytes_sent(self) -> int:
        return self.exchange.bytes_sent

    @property
    def principal(self) -> Principal | None:
        return self.exchange.principal

    @property
    def request(self) -> Request:
        return self.exchange.request

    @property
    def plan(self) -> RoutePlan | None:
        return self.exchange.plan

    def start(self, data: bytes) -> None:
        """The 101 has been written; `data` came behind the upstream's."""
        client = self._client
        client.exchange = self
        self._touch()
        client.plane.on_tunnel_start(self)
        if data and not self._is_over:
            self.on_upstream_bytes(data)
        early = client.take_buffer()
        if early and not self._is_over:
            self.feed(early)

    # The client's side

    def feed(self, data: bytes) -> None:
        self.bytes_received += len(data)
        if self._ending is not None:
            self._feed_while_ending(data)
            return
        passed = self._from_client.feed(data)
        if passed == len(data):
            self._upstream.write(data)
            self._touch()
        else:
            self._upstream.write(data[:passed])
            self._end_at_fault(self._from_client.fault)

    def _feed_while_ending(self, data: bytes) -> None:
        if not self._has_told_upstream and self._from_client.fault is None:
            passed = self._from_client.finish_frame(data)
            self._upstream.write(data[:passed])
            data = data[passed:]
            self._tell_upstream()
        # The rest is read only for the client's answer to our Close.
        if self._from_client.fault is None:
            self._from_client.feed(data)
        self._finish_when_answered()

    def on_client_eof(self) -> bool:
        """The client sends nothing more. True: the connection stays open for what still comes to it."""
        self.body.end()
        if not self._upstream.write_eof() or self._is_upstream_at_end or self._ending is not None:
            self._finish()
        return True

    def on_client_gone(self) -> None:
        if self._from_client.close_code is None and not self.body.is_complete:
            self.exchange.reason = self.exchange.reason or Reason.CLIENT_GONE
        self._finish()

    def waits_for_client(self) -> bool:
        """Whether the client must take something before anything moves: then it must keep the pace of any reader.

        Not at the end: who takes a long frame slowly would put that off with every look at its pace.
        """
        return self._client.is_writing_paused and self._ending is None

    def on_client_writable(self, *, is_writable: bool) -> None:
        if self._has_told_client or self._is_upstream_at_end:
            return
        if is_writable:
            self._upstream.resume_reading()
            self._touch()
        else:
            self._upstream.pause_reading()

    # The upstream's side

    def on_upstream_bytes(self, data: bytes) -> None:
        if self._ending is not None:
            self._take_while_ending(data)
            return
        passed = self._from_upstream.feed(data)
        if passed == len(data):
            self._write(data)
            self._touch()
        else:
            self._write(data[:passed])
            self.end_early(Reason.UPSTREAM_BROKEN)

    def _take_while_ending(self, data: bytes) -> None:
        if not self._has_told_client and self._from_upstream.fault is None:
            passed = self._from_upstream.finish_frame(data)
            self._write(data[:passed])
            data = data[passed:]
            self._tell_client()
        if self._from_upstream.fault is None:
            self._from_upstream.feed(data)
        self._finish_when_answered()

    def on_upstream_eof(self) -> bool:
        """As `on_client_eof`, for the upstream."""
        self._is_upstream_at_end = True
        if self.body.is_complete or self._ending is not None or self._from_upstream.close_code is not None:
            # RFC 6455 §7.1.1: after its Close frame the server ends the connection first, and is waited for no longer.
            self._finish()
        elif not self._client.write_eof():
            self.body.end()
            self._finish()
        return True

    def on_upstream_gone(self, reason: Reason) -> None:
        if self._from_upstream.close_code is None and not self._is_upstream_at_end:
            self.exchange.reason = self.exchange.reason or reason
            self._finish(cut=True)
        else:
            self._finish()

    def on_upstream_writable(self, *, is_writable: bool) -> None:
        if self._has_told_upstream or self.body.is_complete:
            return
        if is_writable:
            self._client.resume_reading()
            self._touch()
        else:
            self._client.pause_reading()

    # The gateway's own

    def on_deadline(self) -> None:
        if self._ending is None:
            self.end_early(Reason.TUNNEL_IDLE)
        else:
            self._finish(cut=True)

    def end_early(self, reason: Reason) -> None:
        """End the tunnel in the gateway's own name, with a Close frame to each side."""
        if self._ending is not None or self._is_over:
            return
        self._ending = reason
        self.exchange.reason = reason
        if self._is_upstream_at_end or self.body.is_complete:
            # One of them has ended its side without a Close frame: nobody is there to close it with.
            self._finish()
            return
        self._client.deadline.set(_CLOSING_SECONDS)
        self._tell_client()
        self._tell_upstream()
        self._finish_when_answered()

    def _end_at_fault(self, fault: FrameFault | None) -> None:
        self.end_early(Reason.BAD_FRAME if fault is None else _FAULTS[fault])

    def _tell_client(self) -> None:
        """Our Close frame, unless a frame is half way through (then behind it) or the upstream has sent its own."""
        if self._ending is None or not self._from_upstream.is_between_frames:
            return
        self._has_told_client = True
        if self._from_upstream.close_code is None:
            self.close_code = CLOSE_CODES[self._ending]
            self._write(close_frame(self.close_code, self._ending.value))
        # What still comes from there is thrown away, so nothing need hold it back.
        self._upstream.resume_reading()

    def _tell_upstream(self) -> None:
        if self._ending is None or not self._from_client.is_between_frames:
            return
        self._has_told_upstream = True
        if self._from_client.close_code is None:
            self._upstream.write(close_frame(_GOING_AWAY, "", mask=secrets.token_bytes(4)))
        self._client.resume_reading()

    def _finish_when_answered(self) -> None:
        if self._from_client.close_code is not None and self._from_upstream.close_code is not None:
            self._finish()

    def _write(self, data: bytes) -> None:
        self.exchange.bytes_sent += len(data)
        self._client.write(data)

    def _touch(self) -> None:
        self._client.deadline.set(self._idle_timeout)

    def _finish(self, *, cut: bool = False) -> None:
        """The one end of every tunnel."""
        if self._is_over:
            return
        self._is_over = True
        client = self._client
        if self.close_code == CLOSED_WITHOUT_FRAME:
            passed = self._from_client.close_code or self._from_upstream.close_code
            self.close_code = passed or CLOSED_WITHOUT_FRAME
        if self._from_client.close_code is not None:
            # It has nothing more to say, so nobody need listen: the connection can be closed at once.
            self.body.end()
        if cut:
            self._upstream.close()
        else:
            self._upstream.finish()
            # Its peer may have stopped reading.
            client.plane.loop.call_later(_CLOSING_SECONDS, self._upstream.close)
        client.plane.on_tunnel_end(self)
        client.on_exchange_end(close=True, cut=cut)
