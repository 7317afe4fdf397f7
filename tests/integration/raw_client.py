"""A client of exact bytes: sends what it is told to and reads answers by RFC 9112 to the letter.

Whatever is no valid answer fails the test that reads it.
"""

import contextlib
import dataclasses
import json
import re
import socket
import ssl
import struct
import time
from collections.abc import Iterable
from typing import Any

from gateway.errors import Reason

TIMEOUT = 5.0
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """`fields` are (lower-case name, value); `interim` the 1xx answers before; `ended` is what ended the body:
    `head`, `length`, `chunks` or `close`."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    ended: str
    interim: tuple["Answer", ...] = ()

    def values(self, name: str) -> list[str]:
        return [value for other, value in self.fields if other == name]

    def field(self, name: str) -> str | None:
        values = self.values(name)
        return ", ".join(values) if values else None

    def json(self) -> Any:
        return json.loads(self.body)


class CutShort(Exception):
    """The connection ended inside an answer; `head` is set when at least its head had come."""

    def __init__(self, status: int | None, body: bytes = b"") -> None:
        super().__init__(status, body[-200:])
        self.status = status
        self.body = body


class RawClient:
    """One connection, from the loopback address `source`. `receive_buffer` bounds what the kernel takes for a test
    that does not read; `opening` is sent before TLS begins, if it does."""

    def __init__(
        self,
        port: int,
        *,
        timeout: float = TIMEOUT,
        receive_buffer: int | None = None,
        source: str = "127.0.0.1",
        opening: bytes = b"",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.bind((source, 0))
            self.socket.connect(("127.0.0.1", port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.sendall(opening)
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        except OSError:
            self.socket.close()
            raise
        self.was_reset = False
        self._buffer = b""

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """The gateway may have refused and closed already; then the rest goes nowhere, as with any client."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def send_in_pieces(self, pieces: Iterable[bytes], *, pause: float) -> None:
        for piece in pieces:
            self.send(piece)
            time.sleep(pause)

    def finish_sending(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        """Close with a reset, as a killed client's kernel does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.socket.close()

    def _more(self) -> bool:
        try:
            data = self.socket.recv(256 * 1024)
        except (ConnectionError, ssl.SSLEOFError):
            self.was_reset = True
            return False
        self._buffer += data
        return bool(data)

    def read(self, method: str = "GET") -> Answer:
        """The next final answer. Raises `CutShort`, `TimeoutError`."""
        interim: list[Answer] = []
        while True:
            answer = self._read_one(method)
            if answer.status >= 200:
                return dataclasses.replace(answer, interim=tuple(interim))
            assert answer.status != 101, "nobody asked for an upgrade"
            interim.append(answer)

    def wait_for(self, text: bytes) -> None:
        """Read on until `text` has come; all of it stays to be read."""
        while text not in self._buffer:
            assert self._more(), self._buffer

    def wait_for_status(self) -> int:
        """The status of what comes next, which stays to be read."""
        self.wait_for(b"\r\n\r\n")
        return parse_head(self._buffer.partition(b"\r\n\r\n")[0])[0]

    def read_switch(self) -> Answer:
        """The 101 that was asked for."""
        interim: list[Answer] = []
        while (answer := self._read_one("GET")).status != 101:
            assert answer.status < 200, answer
            interim.append(answer)
        return dataclasses.replace(answer, interim=tuple(interim))

    def read_exactly(self, size: int) -> bytes:
        """Bytes behind a 101."""
        return self._exactly(size, 101)

    def _read_one(self, method: str) -> Answer:
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                assert not self._buffer, f"half a head: {self._buffer!r}"
                raise CutShort(None)
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        status, fields = parse_head(head)
        answer = Answer(status=status, fields=fields, body=b"", ended="head")
        lengths, codings = answer.values("content-length"), answer.values("transfer-encoding")
        assert len(lengths) + len(codings) <= 1, head
        if status < 200 or status == 204:
            # RFC 9112 §6.1, RFC 9110 §8.6: neither field may stand on these.
            assert not lengths, head
            assert not codings, head
        if method == "HEAD" or status < 200 or status in (204, 304):
            return answer
        if codings:
            assert codings == ["chunked"], head
            return dataclasses.replace(answer, body=self._chunks(status), ended="chunks")
        if lengths:
            assert re.fullmatch("[0-9]+", lengths[0]), head
            return dataclasses.replace(answer, body=self._exactly(int(lengths[0]), status), ended="length")
        return dataclasses.replace(answer, body=self._to_end(status), ended="close")

    def _exactly(self, size: int, status: int) -> bytes:
        while len(self._buffer) < size:
            if not self._more():
                raise CutShort(status, self._buffer)
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return body

    def _chunks(self, status: int) -> bytes:
        pieces: list[bytes] = []
        while True:
            while b"\r\n" not in self._buffer:
                if not self._more():
                    raise CutShort(status, b"".join(pieces))
            line, _, self._buffer = self._buffer.partition(b"\r\n")
            assert re.fullmatch(rb"[0-9a-f]+", line), line
            piece = self._exactly(int(line, 16) + 2, status)
            assert piece.endswith(b"\r\n"), piece[-20:]
            if line == b"0":
                return b"".join(pieces)
            pieces.append(piece[:-2])

    def _to_end(self, status: int) -> bytes:
        while self._more():
            pass
        body, self._buffer = self._buffer, b""
        if self.was_reset:
            raise CutShort(status, body)
        return body

    def rest(self) -> bytes:
        """Everything up to the end of the connection, which must come."""
        while self._more():
            pass
        rest, self._buffer = self._buffer, b""
        return rest

    def says_nothing(self, seconds: float) -> bool:
        """Whether the gateway neither sends nor closes within `seconds`."""
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self._more()
        except TimeoutError:
            return not self._buffer
        finally:
            self.socket.settimeout(before)
        return False


def parse_head(head: bytes) -> tuple[int, tuple[tuple[str, str], ...]]:
    first, *lines = head.split(b"\r\n")
    matched = STATUS_LINE.fullmatch(first)
    assert matched, first
    fields = []
    for line in lines:
        field = FIELD_LINE.fullmatch(line)
        assert field, line
        fields.append((field[1].decode().lower(), field[2].decode("latin-1")))
    return int(matched[1]), tuple(fields)


def ask(port: int, request: bytes, **options: Any) -> Answer:
    """One request on a connection of its own, with the options of `RawClient`."""
    with RawClient(port, **options) as client:
        client.send(request)
        return client.read(request.split(b" ", 1)[0].decode("latin-1"))


def assert_refusal(answer: Answer, status: int, code: str | None = None) -> None:
    """The answer is a documented refusal: JSON of the one shape, named in the log by its request id."""
    assert answer.status == status, answer
    assert answer.field("content-type") == "application/json", answer
    assert answer.field("cache-control") == "no-store", answer
    request_id = answer.field("x-request-id")
    assert request_id is not None
    assert re.fullmatch(r"[A-Za-z0-9._\-]{8,64}", request_id), answer
    assert answer.field("server") is None, answer
    if answer.ended == "head":
        return
    body = answer.json()
    assert isinstance(body["detail"], str), answer
    assert body.keys() <= {"detail", "code", "messages", "request_id"}, answer
    if status == 401:
        assert answer.field("www-authenticate") == 'Bearer realm="api"', answer
    else:
        assert body["code"] in set(Reason), answer
        assert body["request_id"] == request_id, answer
    if code is not None:
        assert body.get("code") == code, answer
