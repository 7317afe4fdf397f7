"""Connections without sockets: a transport for a protocol, and the peer at its far end.

They behave as asyncio's own do where protocols can tell: what comes while reading is paused waits, a protocol is told
of its end in the loop's next round, a peer that does not take what it is sent makes `pause_writing` happen, and who
writes behind its own end has made a mistake.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

HIGH_WATER = 64 * 1024


class Transport(asyncio.Transport):
    """The protocol's side."""

    def __init__(self, protocol: asyncio.Protocol, *, sock: socket.socket | None, knows_halves: bool) -> None:
        super().__init__({} if sock is None else {"socket": sock})
        self.peer = Peer(self)
        self.is_reading_paused = False
        self.held = b""  # written, not taken
        self.is_at_end = False
        self._protocol = protocol
        self._knows_halves = knows_halves
        self._is_writing_paused = False
        self._is_closing = False
        self._loop = asyncio.get_running_loop()

    # What a protocol asks of it

    def is_closing(self) -> bool:
        return self._is_closing

    def get_protocol(self) -> asyncio.Protocol:
        return self._protocol

    def get_write_buffer_size(self) -> int:
        return len(self.held)

    def write(self, data: bytes) -> None:  # type: ignore[override]
        if self.is_at_end:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._is_closing:
            return
        self.held += data
        if self.peer.takes:
            self.flush()
        elif len(self.held) > HIGH_WATER and not self._is_writing_paused:
            self._is_writing_paused = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        return self._knows_halves

    def write_eof(self) -> None:
        assert self._knows_halves
        self.is_at_end = True

    def pause_reading(self) -> None:
        assert not self.is_reading_paused
        assert not self._is_closing
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        assert self.is_reading_paused
        self.is_reading_paused = False
        self._loop.call_soon(self.peer.deliver)

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._end_when_flushed()

    def abort(self) -> None:
        self.end("cut", None)

    # What its peer does to it

    def flush(self) -> None:
        self.peer.received += self.held
        self.held = b""
        if self._is_writing_paused:
            self._is_writing_paused = False
            self._protocol.resume_writing()
        self._end_when_flushed()

    def take(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def take_eof(self) -> None:
        if not self._protocol.eof_received() or not self._knows_halves:
            self.close()

    def _end_when_flushed(self) -> None:
        if self._is_closing and not self.held:
            self.end("closed", None)

    def end(self, ended: str, error: Exception | None) -> None:
        self._is_closing = True
        self.held = b""
        if not self.peer.ended:
            self.peer.ended = ended
            self._loop.call_soon(self._protocol.connection_lost, error)


class Peer:
    """The far side: a client, or a backend.

    `received` is what came from the protocol; `ended` is empty as long as the connection stands, then `closed`, `cut`
    (both the protocol's doing) or `gone` (the peer's).
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.received = b""
        self.ended = ""
        self.takes = True
        self._sent: deque[bytes] = deque()
        self._has_sent_eof = False

    @property
    def is_read(self) -> bool:
        """Whether what it sends is taken."""
        return not self.transport.is_reading_paused and not self.transport.is_closing()

    @property
    def has_eof(self) -> bool:
        """Whether it knows that nothing more will come."""
        return self.ended == "closed" or (self.transport.is_at_end and not self.transport.held)

    def read(self) -> bytes:
        """What came since the last look."""
        data, self.received = self.received, b""
        return data

    def send(self, *pieces: bytes) -> None:
        self._sent.extend(pieces)
        self.deliver()

    def send_eof(self) -> None:
        self._has_sent_eof = True
        self.deliver()

    def deliver(self) -> None:
        while self._sent and self.is_read:
            self.transport.take(self._sent.popleft())
        if self._has_sent_eof and self.is_read:
            self._has_sent_eof = False
            self.transport.take_eof()

    def leave(self) -> None:
        """Reset the connection."""
        self.transport.end("gone", ConnectionResetError())

    def stop_taking(self) -> None:
        self.takes = False

    def take(self) -> None:
        """Take what waits, and whatever comes."""
        self.takes = True
        self.transport.flush()


def connect(protocol: asyncio.Protocol, *, sock: socket.socket | None = None, knows_halves: bool = True) -> Peer:
    """Connect a protocol; without `knows_halves` as TLS does, which cannot end one direction alone."""
    transport = Transport(protocol, sock=sock, knows_halves=knows_halves)
    protocol.connection_made(transport)
    return transport.peer


class Listening:
    """A backend that can be connected to. `attempts` counts them; `error` refuses; while `is_held` they wait."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.attempts = 0
        self.error: OSError | None = None
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()

    async def connect(self, factory: Callable[[], Any]) -> None:
        self.attempts += 1
        await self._may_go_on.wait()
        if self.error is not None:
            raise self.error
        self.peers.append(connect(factory()))

    @property
    def peer(self) -> Peer:
        """The newest connection."""
        return self.peers[-1]

    def hold(self) -> None:
        self._may_go_on.clear()

    def go_on(self) -> None:
        self._may_go_on.set()


class Clock:
    """Puts the running loop's time under the hand of a test: it stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._loop: Any = asyncio.get_running_loop()
        self._loop.time = self.read

    def read(self) -> float:
        return self.now

    async def turn(self, seconds: float) -> None:
        """Let this much time pass, and what is due happen."""
        self.now += seconds
        await settle()

    def give_back(self) -> None:
        del self._loop.time


async def settle() -> None:
    """Let everything happen that waits for nothing but its turn: chains of callbacks are shorter than this."""
    for _ in range(16):
        await asyncio.sleep(0)
