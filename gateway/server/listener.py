"""Accepts client connections: counts them, reads the head that a balancer puts before them, starts TLS.

asyncio's own server would make a transport, a protocol and, with TLS, a handshake for a connection that is over the
caps; it has one TLS context for all its life; and it reads bytes before anybody can say that they are no HTTP. Here a
socket stays a bare socket until it is known whose it is. That costs about 10 µs a connection more.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.http.addresses import Networks, parse_address
from gateway.http.proxy_protocol import ProxyHead, ProxyHeadError, read_proxy_head
from gateway.observability.counted_warning import CountedWarning
from gateway.proxy.client_connection import ClientConnection
from gateway.proxy.data_plane import DataPlane
from gateway.server.sockets import stop_listening
from gateway.tasks import spawn

logger: Final = logging.getLogger("gateway")

BACKLOG: Final = 1024
_ACCEPTS_AT_ONCE: Final = 64  # then the others of the loop have their turn
_OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_RETRY_SECONDS: Final = 1.0
_CLOSE_NOTIFY_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerRules:
    """`context` is None without TLS. A connection from `balancers` must begin with a head of the PROXY protocol; from
    others such a head is no HTTP. `opening_timeout` is for that head, and again for the handshake."""

    context: ssl.SSLContext | None
    balancers: Networks
    opening_timeout: float


class Listener:
    """Listens on bound sockets from `start` to `close`, and owns them. `rules` are for the connections to come."""

    def __init__(self, *, sockets: Sequence[socket.socket], plane: DataPlane, rules: ListenerRules) -> None:
        self.rules = rules
        self._sockets = tuple(sockets)
        self._plane = plane
        self._loop = asyncio.get_running_loop()
        self.is_listening = False
        self._opening: dict[ClientConnection, asyncio.Task[None]] = {}  # those that wait for their peer
        self._over_cap = CountedWarning(logger, "connections_over_cap", now=self._loop.time)
        self._bad_heads = CountedWarning(logger, "proxy_head_refused", now=self._loop.time)
        self._bad_handshakes = CountedWarning(logger, "handshake_failed", now=self._loop.time)
        self._no_descriptors = CountedWarning(logger, "accept_failed", now=self._loop.time)

    def start(self) -> None:
        for sock in self._sockets:
            sock.listen(BACKLOG)
            self._loop.add_reader(sock, self._on_acceptable, sock)
        self.is_listening = True

    def close(self) -> None:
        """No more connections; those that are open go on, those that have not begun to speak HTTP end."""
        self.is_listening = False
        stop_listening(self._sockets)
        for sock in self._sockets:
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock)
                sock.close()
        # Not at once: a task that is cancelled before its first step runs none of its code, and its connection would
        # count as open until the time to drain is over.
        self._loop.call_soon(self._end_opening)

    def _end_opening(self) -> None:
        for task in self._opening.values():
            task.cancel()

    def _on_acceptable(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                sock, name = listening.accept()
            except OSError as error:
                if error.errno in _OUT_OF_DESCRIPTORS:
                    self._pause(listening, error)
                return  # nothing left to accept, or gone before it was
            self._accept(sock, name[0])

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        """The backlog stays readable, so without a pause this would spin."""
        self._no_descriptors.note("", error.strerror or "")
        self._loop.remove_reader(listening)
        self._loop.call_later(_RETRY_SECONDS, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            self._loop.add_reader(listening, self._on_acceptable, listening)

    def _accept(self, sock: socket.socket, peer: str) -> None:
        connection = self._plane.new_connection()
        if connection is None:
            sock.close()
            self._over_cap.note(peer, "in total")
            return
        sock.setblocking(False)
        self._opening[connection] = spawn(self._open(sock, peer, connection), name="open_connection")

    async def _open(self, sock: socket.socket, peer: str, connection: ClientConnection) -> None:
        """Until the connection's protocol has its transport; whatever stands against that is the peer's doing."""
        may_open = is_open = False
        rules = self.rules
        try:
            may_open = await self._introduce(sock, peer, connection, rules)
            is_open = may_open and await self._connect(sock, peer, connection, rules)
            if is_open and not self.is_listening:
                # What the client has sent already is read before a timer that is due, on asyncio's loop too.
                self._loop.call_later(0, connection.drain)
        finally:
            self._opening.pop(connection, None)
            if not may_open:
                sock.close()
            if not is_open:
                self._plane.on_client_lost(connection)

    async def _introduce(
        self, sock: socket.socket, peer: str, connection: ClientConnection, rules: ListenerRules
    ) -> bool:
        """Whether the connection may be opened."""
        address = parse_address(peer)
        is_tls = rules.context is not None
        if address in rules.balancers:
            head = await self._read_proxy_head(sock, peer, rules.opening_timeout)
            if head is None:
                return False
            address = head.source or address
            is_tls = is_tls or head.is_tls
        if self._plane.introduce(connection, address, is_tls=is_tls):
            return True
        self._over_cap.note(str(address), "from one address")
        return False

    async def _read_proxy_head(self, sock: socket.socket, peer: str, seconds: float) -> ProxyHead | None:
        """None when the connection ended, or the time, before the head did, or it is none."""
        data = b""
        try:
            async with asyncio.timeout(seconds):
                while not isinstance(found := read_proxy_head(data), ProxyHead):
                    more = await self._loop.sock_recv(sock, found)
                    if not more:
                        # Balancers look whether the port is open in this way; with less than a head it is a fault.
                        return None
                    data += more
        except ProxyHeadError as error:
            self._bad_heads.note(peer, str(error))
            return None
        except OSError as error:
            self._bad_heads.note(peer, "nothing came in time" if isinstance(error, TimeoutError) else str(error))
            return None
        return found

    async def _connect(
        self, sock: socket.socket, peer: str, connection: ClientConnection, rules: ListenerRules
    ) -> bool:
        """From here on the socket is the transport's, which closes it."""
        try:
            if rules.context is None:
                # This waits for the loop alone and is not cancelled: uvloop would close the transport without a word to
                # its protocol, which may have a request already, and the answer would be written to what is closed.
                del self._opening[connection]
                await self._loop.connect_accepted_socket(lambda: connection, sock)
            else:
                await self._loop.connect_accepted_socket(
                    lambda: connection,
                    sock,
                    ssl=rules.context,
                    ssl_handshake_timeout=rules.opening_timeout,
                    ssl_shutdown_timeout=_CLOSE_NOTIFY_SECONDS,
                )
        except ssl.SSLError as error:
            self._bad_handshakes.note(peer, error.reason or "")
            return False
        except OSError:
            return False
        return True
