"""One connection to an upstream: cuts responses out of its bytes and hands them to the exchange that waits.

States, told by three attributes: `exchange` None is idle (or closed), set is busy; while busy `_body` None waits for a
response head, set relays a body. After a 101 `exchange` is None again and `_tunnel` takes everything. An idle
connection that yields bytes is broken and closed: whatever they are, they must not become the answer to the next
request.
"""

import asyncio
import logging
from typing import Final, Protocol, cast

from gateway.errors import Reason, Refused
from gateway.http.bodies import NO_BODY, Body, CloseBody, FramingError, response_body
from gateway.http.responses import Response, ResponseReader

logger: Final = logging.getLogger("gateway")

# nginx's proxy_buffer_size is 4–8 KiB; backends with many cookies need more, none needs 64 KiB.
MAX_RESPONSE_HEAD_BYTES: Final = 64 * 1024
# The final head and what precedes it. A read full of 1xx heads held the loop for 110 ms, and one comes after the other.
_MAX_HEADS_AT_ONCE: Final = 16


class TunnelReceiver(Protocol):
    """Who takes the bytes after a 101: the tunnel."""

    def start(self, data: bytes) -> None:
        """Bytes pass from now on; `data` came behind the upstream's head."""

    def on_upstream_bytes(self, data: bytes) -> None: ...

    def on_upstream_eof(self) -> bool:
        """True: the connection stays open for what is still to be sent."""

    def on_upstream_gone(self, reason: Reason) -> None: ...

    def on_upstream_writable(self, *, is_writable: bool) -> None: ...


class ResponseReceiver(Protocol):
    """Who waits for a response: the exchange."""

    @property
    def request_method(self) -> str: ...

    @property
    def is_request_sent(self) -> bool:
        """Whether the upstream got the whole request; if not, its connection ends with the response."""

    def on_interim_response(self, response: Response) -> None: ...

    def on_switch(self, response: Response) -> TunnelReceiver | None:
        """A 101; None when the client gets no tunnel all the same, and the connection has been closed.

        Raises `Refused` for one that was not asked for or does not fit what was.
        """

    def on_response_head(self, response: Response, body: Body, payload: bytes) -> None:
        """The final head, with as much of the body as came with it."""

    def on_response_body(self, payload: bytes) -> None: ...

    def on_response_end(self) -> None: ...

    def on_upstream_failed(self, reason: Reason) -> None:
        """No (further) byte of the response will come. The connection is closed already."""

    def on_upstream_writable(self, *, is_writable: bool) -> None: ...


class ConnectionOwner(Protocol):
    """Whose connection it is: the server that it leads to."""

    @property
    def label(self) -> str:
        """The server in the operator's words."""

    @property
    def is_suspect(self) -> bool:
        """Whether it wants to hear of answers."""

    def on_answer(self) -> None:
        """The final head of an answer has come, and the owner is suspect."""

    def on_idle(self, connection: "UpstreamConnection") -> None:
        """The exchange has ended cleanly, and the connection can serve another."""

    def on_closed(self, connection: "UpstreamConnection") -> None:
        """The connection is no more."""

    def on_request_failed(self, connection: "UpstreamConnection", reason: Reason, since: float) -> None:
        """Told by the exchange, after the connection has been closed or before."""


class UpstreamConnection(asyncio.Protocol):
    """`idle_since` is loop time. `was_pooled`: an earlier exchange ended well on it. `has_answered`: a byte of the
    present response has come."""

    __slots__ = (
        "_body",
        "_buffer",
        "_can_be_reused",
        "_is_reading",
        "_reader",
        "_transport",
        "_tunnel",
        "exchange",
        "has_answered",
        "idle_since",
        "owner",
        "was_pooled",
    )

    def __init__(self, *, owner: ConnectionOwner, reader: ResponseReader) -> None:
        self.exchange: ResponseReceiver | None = None
        self.idle_since = 0.0
        self.has_answered = False
        self.owner = owner
        self.was_pooled = False
        self._reader = reader
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._body: Body | None = None
        self._tunnel: TunnelReceiver | None = None
        self._can_be_reused = True
        self._is_reading = True

    def __repr__(self) -> str:
        state = "closed" if self._transport is None else "idle" if self.exchange is None else "busy"
        return f"<UpstreamConnection {state}>"

    @property
    def is_available(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def begin(self, exchange: ResponseReceiver, data: bytes) -> None:
        """Send the head (and what there is of the body) of a request; its response goes to `exchange`."""
        self.exchange = exchange
        self.has_answered = False
        if self._transport is None or self._transport.is_closing():
            # Closed between the pool's look and now: tell the exchange as if it had happened after sending.
            self._fail(Reason.UPSTREAM_BROKEN)
        else:
            self._transport.write(data)

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause_reading(self) -> None:
        if self._is_reading and self._transport is not None and not self._transport.is_closing():
            self._is_reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._is_reading and self._transport is not None and not self._transport.is_closing():
            self._is_reading = True
            self._transport.resume_reading()

    def close(self) -> None:
        """Throw the connection away; its exchange or tunnel hears nothing more of it."""
        self.exchange = None
        self._tunnel = None
        if self._transport is not None:
            # abort, not close: what is still unsent must not reach an upstream as a request that looks whole.
            self._transport.abort()
            self._transport = None
            self.owner.on_closed(self)

    def write_eof(self) -> bool:
        """Send nothing more, and take what still comes. False over TLS, which knows no half-closed connections."""
        if self._transport is None or not self._transport.can_write_eof():
            return False
        self._transport.write_eof()
        return True

    def finish(self) -> None:
        """Send what is still unsent, then close. The tunnel hears nothing more of it."""
        self._tunnel = None
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        try:
            if exchange is None:
                self._on_bytes_unasked_for(data)
                return
            self.has_answered = True
            if self._body is None:
                self._on_head_bytes(exchange, self._buffer + data if self._buffer else data)
            else:
                payload = self._body.feed(data)
                if payload:
                    exchange.on_response_body(payload)
                if self._body.is_complete:
                    self._on_body_end(exchange, self._body)
        except Refused as refusal:
            self._fail(refusal.reason)
        except FramingError:
            self._fail(Reason.UPSTREAM_BROKEN)
        except Exception:
            # A defect of the gateway's: it costs this request and its connection, and nobody else's (checklist 84).
            logger.exception("response_failed")
            self._fail(Reason.INTERNAL_ERROR)

    def eof_received(self) -> bool:
        exchange = self.exchange
        if self._tunnel is not None:
            # Over TLS the transport closes itself, and `connection_lost` follows.
            keeps_open = self._tunnel.on_upstream_eof()
            return keeps_open and self._transport is not None and self._transport.can_write_eof()
        if exchange is not None and self._body is not None:
            try:
                self._body.end()
            except FramingError:
                self._fail(Reason.UPSTREAM_BROKEN)
            else:
                self._on_body_end(exchange, self._body)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self.owner.on_closed(self)
        self._fail(Reason.UPSTREAM_BROKEN)

    def pause_writing(self) -> None:
        receiver = self.exchange or self._tunnel
        if receiver is not None:
            receiver.on_upstream_writable(is_writable=False)

    def resume_writing(self) -> None:
        receiver = self.exchange or self._tunnel
        if receiver is not None:
            receiver.on_upstream_writable(is_writable=True)

    # The response

    def _on_head_bytes(self, exchange: ResponseReceiver, data: bytes) -> None:
        for _ in range(_MAX_HEADS_AT_ONCE):
            end = data.find(b"\r\n\r\n") + 4
            if (end if end >= 4 else len(data)) > MAX_RESPONSE_HEAD_BYTES:
                raise Refused(Reason.UPSTREAM_BROKEN)
            if end < 4:
                self._buffer = data
                return
            response = self._reader.read(data[:end])
            data = data[end:]
            if response.status >= 200:
                break
            if response.status == 101:
                self._switch(exchange, response, data)
                return
            # The gateway answers Expect itself, so a 100 from the backend answers a question that was not put.
            if response.status != 100:
                exchange.on_interim_response(response)
        else:
            raise Refused(Reason.UPSTREAM_BROKEN)
        if self.owner.is_suspect:
            self.owner.on_answer()
        self._buffer = b""
        self._body = body = response_body(response, exchange.request_method)
        self._can_be_reused = not response.should_close and not isinstance(body, CloseBody)
        payload = b""
        if body is NO_BODY:
            # Bytes behind a response without a body are no part of it: nobody asked for them.
            self._can_be_reused &= not data
        elif data:
            payload = body.feed(data)
        exchange.on_response_head(response, body, payload)
        if body.is_complete:
            self._on_body_end(exchange, body)

    def _switch(self, exchange: ResponseReceiver, response: Response, rest: bytes) -> None:
        """From here on the connection is the tunnel's. Raises `Refused` for a 101 that nobody asked for."""
        tunnel = exchange.on_switch(response)
        if self.owner.is_suspect:
            self.owner.on_answer()
        if tunnel is not None:
            self.exchange = None
            self._buffer = b""
            self._tunnel = tunnel
            tunnel.start(rest)

    def _on_body_end(self, exchange: ResponseReceiver, body: Body) -> None:
        if self.exchange is not exchange:
            return
        self.exchange = None
        self._body = None
        if self._can_be_reused and not body.rest and exchange.is_request_sent and self.is_available:
            self.was_pooled = True
            self.resume_reading()
            self.owner.on_idle(self)
        else:
            self.close()
        exchange.on_response_end()

    def _on_bytes_unasked_for(self, data: bytes) -> None:
        if self._tunnel is None:
            self.close()
        else:
            self._tunnel.on_upstream_bytes(data)

    def _fail(self, reason: Reason) -> None:
        exchange, tunnel = self.exchange, self._tunnel
        self.close()
        if exchange is not None:
            exchange.on_upstream_failed(reason)
        elif tunnel is not None:
            tunnel.on_upstream_gone(reason)
