"""One client connection: cuts request heads out of its bytes and runs their exchanges, one after the other.

States: `exchange` None waits for a head (idle, or with an unfinished one in the buffer); set, bytes are its body, and
when that is complete they are the next, pipelined request and wait in the buffer with reading paused; `_is_lingering`
throws away what a client still sends to an answer that ended the connection (RFC 9112 §9.6). In each of them something
must happen in time: see `deadline`.
"""

import asyncio
import logging
import re
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

from gateway.errors import Reason, Refused
from gateway.http.forwarding import NOWHERE, Origin
from gateway.http.requests import UNREAD
from gateway.proxy.connection_caps import NOT_COUNTED
from gateway.proxy.deadline import Deadline
from gateway.proxy.exchange import Exchange
from gateway.proxy.pace import unsent_bytes
from gateway.proxy.preparation import Preparation, Prepared
from gateway.proxy.tunnel import Tunnel

if TYPE_CHECKING:
    from gateway.proxy.data_plane import DataPlane

logger: Final = logging.getLogger("gateway")

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
# A client that was refused may still be sending. Reading on for a little while lets it read the answer, where closing
# at once would reset the connection and take the answer with it.
_LINGER_SECONDS: Final = 3.0
_LINGER_BYTES: Final = 1024 * 1024
_MAX_KEPT_HEAD_BYTES: Final = 1024
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class ClientConnection(asyncio.Protocol):
    """Made when a connection is accepted, introduced when it is known whose it is, made known to its transport then.

    `group` is the one that `ConnectionCaps` counts it in.
    """

    __slots__ = (
        "_buffer",
        "_has_begun_head",
        "_has_skipped_line",
        "_head",
        "_is_lingering",
        "_is_looping",
        "_lingered_bytes",
        "_preparation",
        "_prepared",
        "_received_bytes",
        "_requests_left",
        "_scanned",
        "_transport",
        "deadline",
        "exchange",
        "group",
        "is_reading_paused",
        "is_writing_paused",
        "origin",
        "plane",
    )

    def __init__(self, plane: "DataPlane") -> None:
        self.plane = plane
        self.exchange: Exchange | Tunnel | None = None
        self.origin = NOWHERE
        self.group = NOT_COUNTED
        self.is_reading_paused = False
        self.is_writing_paused = False
        self._preparation = plane.preparation
        self._head = b""
        self._prepared: Prepared | None = None
        self._requests_left = plane.limits.max_requests or 0  # without a bound it goes down from 0, for ever
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._scanned = 0  # where to look on for the end of a head
        self._has_begun_head = False
        self._has_skipped_line = False
        self._is_looping = False
        self._is_lingering = False
        self._lingered_bytes = 0
        self._received_bytes = 0  # of bodies, behind their first piece
        self.deadline = Deadline(self)

    def __repr__(self) -> str:
        state = "closed" if self._transport is None else "idle" if self.exchange is None else "busy"
        return f"<ClientConnection {self.origin.address} {state}>"

    @property
    def may_stay_open(self) -> bool:
        return self._requests_left != 0 and not self.plane.is_draining

    @property
    def is_idle(self) -> bool:
        """Between two requests, or before the first: closing it costs its client a new connection and nothing else.

        One that has not taken its answer is not: closing it would wait for that, and it would hold on uncounted.
        """
        transport = self._transport
        if transport is None or self.exchange is not None or self._buffer or self._is_closing():
            return False
        return not transport.get_write_buffer_size()

    def introduce(self, origin: Origin, preparation: Preparation, group: int) -> None:
        """Whose connection it is, how its heads are read, and where it is counted."""
        self.origin = origin
        self._preparation = preparation
        self.group = group

    def prepare_by(self, preparation: Preparation) -> None:
        """How heads are read from the next one on; what was made of the last one is of the past."""
        self._preparation = preparation
        self._head, self._prepared = b"", None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.deadline.set(self.plane.limits.head_timeout)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            if self._is_lingering:
                self._linger(len(data))
                return
            self._buffer = self._buffer + data if self._buffer else data
            self._read_requests()
        elif not exchange.body.is_complete:
            self._received_bytes += len(data)
            try:
                exchange.feed(data)
            except Exception:
                self._on_defect()
        else:
            self._buffer += data
            self.pause_reading()

    def eof_received(self) -> bool:
        return self.exchange is not None and self.exchange.on_client_eof() and self._knows_halves

    @property
    def _knows_halves(self) -> bool:
        """Whether one side can end alone. Over TLS it cannot: the transport ends, and `connection_lost` follows."""
        return self._transport is not None and self._transport.can_write_eof()

    def become_half_open(self) -> bool:
        """The present request was the last. False where the connection cannot go on for the sake of its answer."""
        self._requests_left = 0
        return self._knows_halves

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.deadline.end()
        if self.exchange is not None:
            self.exchange.on_client_gone()
        self.plane.on_client_lost(self)

    def pause_writing(self) -> None:
        self.is_writing_paused = True
        if self.exchange is not None:
            self.deadline.begin_window(self, self.exchange)
            self.exchange.on_client_writable(is_writable=False)

    def resume_writing(self) -> None:
        self.is_writing_paused = False
        if self.exchange is not None:
            self.exchange.on_client_writable(is_writable=True)
        elif self._buffer and not self._is_closing():
            self._read_requests()

    # Requests

    def _read_requests(self) -> None:
        """Run what is in the buffer while exchanges end at once: a loop, since pipelined refusals would recurse."""
        self._is_looping = True
        try:
            while self._read_request() and self.exchange is None:
                if not self._buffer or self._is_closing():
                    break
        except Exception:
            self._on_defect()
        self._is_looping = False
        if self.is_reading_paused and self.exchange is None and not self.is_writing_paused:
            self.resume_reading()

    def _read_request(self) -> bool:
        """Start the exchange of one request; False when its head is not complete yet, or must wait."""
        if self.is_writing_paused:
            # A client that does not read its answers gets no further ones: they would pile up here (checklist 81).
            self.pause_reading()
            return False
        data = self._buffer
        end = data.find(b"\r\n\r\n", self._scanned) + 4
        if data.startswith(b"\r") and not self._has_skipped_line:
            # RFC 9112 §2.2: an empty line before the request line should be ignored. One, not a stream of them.
            return self._skip_empty_line(data)
        if (end if end >= 4 else len(data)) > self.plane.limits.max_head_bytes:
            return self._refuse_head(Reason.HEAD_TOO_LARGE)
        if end < 4:
            return self._wait_for_head(data)
        head = data[:end]
        prepared = self._prepared
        if prepared is None or head != self._head:
            try:
                prepared = self._preparation.prepare(head)
            except Refused as refusal:
                return self._refuse_head(refusal.reason)
            # See `preparation`. Long ones are not kept: there may be ten thousand idle connections.
            self._head, self._prepared = (head, prepared) if end <= _MAX_KEPT_HEAD_BYTES else (b"", None)
        self._buffer = b""
        self._scanned = 0
        self._has_begun_head = False
        self._has_skipped_line = False
        self._requests_left -= 1
        self.resume_reading()
        self.exchange = exchange = Exchange(self, prepared.request, self.plane.now())
        exchange.start(prepared, data[end:])
        return True

    def _skip_empty_line(self, data: bytes) -> bool:
        if data == b"\r":
            return False
        if not data.startswith(b"\r\n"):
            return self._refuse_head(Reason.BAD_REQUEST)
        self._has_skipped_line = True
        self._buffer = data[2:]
        return True

    def _wait_for_head(self, data: bytes) -> bool:
        # What cannot become a request is refused at once: TLS on a plain port, bare line feeds.
        if not data[0:1].isalpha() or _BARE_LF.search(data, self._scanned):
            return self._refuse_head(Reason.BAD_REQUEST)
        self._scanned = max(0, len(data) - 3)  # the end may begin in what is here
        if not self._has_begun_head:
            # The deadline is for the whole head: bytes that drip in do not move it (checklist 78).
            self._has_begun_head = True
            self.deadline.set(self.plane.limits.head_timeout)
        return False

    def _refuse_head(self, reason: Reason) -> bool:
        self._buffer = b""
        self._scanned = 0
        self.exchange = exchange = Exchange(self, UNREAD, self.plane.now())
        exchange.refuse(reason)
        return True

    def _on_defect(self) -> None:
        """Something was raised that nobody expected: the operator is told all of it (checklist 84)."""
        logger.exception("request_failed")
        self.end_at_defect()

    def end_at_defect(self) -> None:
        """Tell the client that it happened and end its connection, for nobody can tell what state it is in."""
        try:
            if self.exchange is None:
                self._refuse_head(Reason.INTERNAL_ERROR)
            else:
                self.exchange.end_early(Reason.INTERNAL_ERROR)
        except Exception:
            logger.exception("refusal_failed")
            self._reset()

    def keep_for_later(self, data: bytes) -> None:
        """Bytes behind a request's end: the next request."""
        if data:
            self._buffer = data
            self.pause_reading()

    def take_buffer(self) -> bytes:
        """What came behind a handshake is no next request, and none comes: its head is not kept. Reading goes on."""
        data, self._buffer = self._buffer, b""
        self._head, self._prepared = b"", None
        self.resume_reading()
        return data

    def on_exchange_end(self, *, close: bool, cut: bool) -> None:
        """The exchange is over; called by it, once."""
        exchange, self.exchange = self.exchange, None
        if self._is_closing():
            return
        if cut:
            self._reset()
        elif close or self.plane.is_draining:
            self._close(has_unread=exchange is not None and not exchange.body.is_complete)
        else:
            self.deadline.set(self.plane.limits.idle_timeout)
            if self._buffer and not self._is_looping:
                self._read_requests()
            elif self.is_reading_paused:
                self.resume_reading()

    # Closing

    def _is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing() or self._is_lingering

    def _close(self, *, has_unread: bool) -> None:
        if self._transport is None:
            return
        if has_unread or self._buffer or self._has_begun_head:
            self._is_lingering = True
            self._buffer = b""
            self.deadline.set(_LINGER_SECONDS)
            self.resume_reading()
            # TLS has no half of a connection to close; the answer says `close`, and the client or the time ends it.
            if self._transport.can_write_eof():
                self._transport.write_eof()
        else:
            self.deadline.set(self.plane.limits.body_timeout)
            self._transport.close()

    def _linger(self, size: int) -> None:
        self._lingered_bytes += size
        if self._lingered_bytes > _LINGER_BYTES:
            # Enough: the client is slowed down by its own full socket until it looks at the answer or the time is up.
            self.pause_reading()

    def _reset(self) -> None:
        """Cut: the client must see that the answer is not whole, also where it ends with the connection."""
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def drain(self) -> None:
        """The gateway is stopping: idle connections close now, busy ones with their exchange."""
        if self.exchange is None and not self._is_closing():
            self._close(has_unread=False)

    def abort(self) -> None:
        """The time to drain is over."""
        self._reset()

    # Flow

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def write_eof(self) -> bool:
        """Send nothing more, and take what still comes. False over TLS, which knows no half-closed connections."""
        if self._transport is None or self._transport.is_closing() or not self._transport.can_write_eof():
            return False
        self._transport.write_eof()
        return True

    def pause_reading(self) -> None:
        if not self.is_reading_paused and self._transport is not None and not self._transport.is_closing():
            self.is_reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self.is_reading_paused and self._transport is not None and not self._transport.is_closing():
            self.is_reading_paused = False
            self._transport.resume_reading()

    def resume_unless_pipelined(self) -> None:
        """Read on, if not the next request waits in the buffer already."""
        if not self._buffer:
            self.resume_reading()

    def on_deadline(self) -> None:
        """The time between two exchanges, or after the last one, is up."""
        if self._transport is None:
            return
        if self._is_closing():
            self._transport.abort()
        elif self._has_begun_head:
            self._refuse_head(Reason.HEAD_TIMEOUT)
        else:
            self._close(has_unread=False)

    def moved_bytes(self, exchange: Exchange | Tunnel) -> int:
        """What the client has sent and taken; the numbers of one exchange can be compared with each other."""
        transport = self._transport
        if transport is None:
            return self._received_bytes
        sock = transport.get_extra_info("socket")
        held = transport.get_write_buffer_size() + (0 if sock is None else unsent_bytes(sock.fileno()))
        return self._received_bytes + exchange.bytes_sent - held
