"""Where a message body ends (RFC 9112 §6.3), and cutting it there.

Each body class takes the bytes as they come: `feed(data)` gives the payload in `data`; when `is_complete` is true,
`rest` holds what came after the body's end. Nothing is kept but a count or an unfinished line.
"""

from typing import Final, Protocol

from gateway.errors import GatewayError, Reason, Refused
from gateway.http.heads import HTTP11
from gateway.http.requests import Request
from gateway.http.responses import Response

# 2^63 - 1 has 19 digits; the C parser refuses what overflows 64 bits, backends in C often stop at 63.
_MAX_LENGTH: Final = 2**63 - 1
_NO_BODY_STATUSES: Final = frozenset({204, 304})


class FramingError(GatewayError):
    """The bytes are no body of the announced framing. Which of the two peers is to blame is the caller's knowledge."""


class Body(Protocol):
    """A body while it passes.

    `framing` is the field line, with its end, that announces it to the next peer; `is_chunked` whether that is in
    chunks.
    """

    @property
    def framing(self) -> bytes: ...

    @property
    def is_chunked(self) -> bool: ...

    @property
    def announced(self) -> int:
        """Bytes of payload that are known of, whether they have come or not; 0 for what ends with the connection."""

    @property
    def is_complete(self) -> bool: ...

    @property
    def rest(self) -> bytes: ...

    def feed(self, data: bytes) -> bytes:
        """The payload in `data`. Raises `FramingError`; the body must not be used any more then."""

    def end(self) -> None:
        """The peer closed the connection. Raises `FramingError` when that cuts the body short."""


class NoBody:
    """A message that ends with its head. It has no state: nothing may be fed to it."""

    __slots__ = ()
    framing = b""
    is_chunked = False
    announced = 0
    is_complete = True
    rest = b""

    def feed(self, data: bytes) -> bytes:
        raise FramingError("There are bytes where no body was announced.")

    def end(self) -> None: ...


NO_BODY: Final = NoBody()


class UntoldBody(NoBody):
    """Until a head has said where its body ends, and for ever when the head could not be read.

    A client that is refused for it may still be sending, and must be able to read why.
    """

    __slots__ = ()
    is_complete = False


UNTOLD_BODY: Final = UntoldBody()


class LengthBody:
    """`Content-Length` bytes; `length` is what was announced, `remaining` what has not come yet."""

    __slots__ = ("is_complete", "length", "remaining", "rest")
    is_chunked = False

    def __init__(self, length: int) -> None:
        self.length = length
        self.remaining = length
        self.is_complete = not length
        self.rest = b""

    @property
    def framing(self) -> bytes:
        return b"Content-Length: %d\r\n" % self.length

    @property
    def announced(self) -> int:
        return self.length

    def feed(self, data: bytes) -> bytes:
        remaining = self.remaining - len(data)
        if remaining == 0:
            self.remaining = 0
            self.is_complete = True
            return data
        if remaining > 0:
            self.remaining = remaining
            return data
        payload = data[: self.remaining]
        self.rest = data[self.remaining :]
        self.remaining = 0
        self.is_complete = True
        return payload

    def end(self) -> None:
        if self.remaining:
            raise FramingError("The connection closed inside a body with a length.")


class CloseBody:
    """A response body that ends with its connection; in chunks from here on, so that its end can be told from a cut."""

    __slots__ = ("is_complete", "rest")
    framing = b"Transfer-Encoding: chunked\r\n"
    is_chunked = True
    announced = 0

    def __init__(self) -> None:
        self.is_complete = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> None:
        self.is_complete = True


# One line of a chunk size with its extensions. Extensions are dropped, as RFC 9112 §7.1.1 asks of who does not know
# them; unbounded ones were a way to make servers read forever (CVE-2023-39326).
_MAX_SIZE_LINE_BYTES: Final = 256
_MAX_SIZE_DIGITS: Final = 15
_MAX_TRAILER_BYTES: Final = 8 * 1024
_HEX_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")
_EXTENSION_BYTES: Final = frozenset(b"\t" + bytes(range(0x20, 0x7F)))
_NAME_BYTES: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class ChunkedBody:
    """Chunked transfer coding, strict (RFC 9112 §7.1): 1*HEXDIG, CRLF line ends, nothing between.

    Trailers are read, bounded and dropped: a backend may fold them into its fields. States: `_in_chunk` > 0 counts
    payload bytes to come, -1 waits for the CRLF behind a chunk, 0 waits for a size line; `_in_trailers` comes last.
    """

    __slots__ = ("_in_chunk", "_in_trailers", "_line", "_trailer_bytes", "announced", "is_complete", "rest")
    framing = b"Transfer-Encoding: chunked\r\n"
    is_chunked = True

    def __init__(self) -> None:
        self._in_chunk = 0
        self._in_trailers = False
        self._line = b""
        self._trailer_bytes = 0
        self.announced = 0
        self.is_complete = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        if 0 < len(data) < self._in_chunk:
            # The common case of a big chunk: nothing to cut, nothing to copy.
            self._in_chunk -= len(data)
            return data
        pieces: list[bytes] = []
        position, size = 0, len(data)
        while position < size and not self.is_complete:
            if self._in_chunk > 0:
                piece = data[position : position + self._in_chunk]
                pieces.append(piece)
                position += len(piece)
                self._in_chunk = self._in_chunk - len(piece) or -1
            else:
                position = self._take_line(data, position)
        if self.is_complete:
            self.rest = data[position:]
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]

    def _take_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position)
        stop = len(data) if end < 0 else end + 1
        line = self._line + data[position:stop]
        limit = _MAX_TRAILER_BYTES if self._in_trailers else _MAX_SIZE_LINE_BYTES
        if len(line) > limit:
            raise FramingError("A chunk's size line or a trailer is too long.")
        if end < 0:
            # A line that cannot become good is refused at once, not when its end comes.
            if self._in_chunk < 0 and line != b"\r":
                raise FramingError("A chunk is longer than its size.")
            self._line = line
            return stop
        if not line.endswith(b"\r\n"):
            raise FramingError("A line of the chunked coding does not end in CRLF.")
        self._line = b""
        self._on_line(line[:-2])
        return stop

    def _on_line(self, line: bytes) -> None:
        if self._in_chunk < 0:
            if line:
                raise FramingError("A chunk is longer than its size.")
            self._in_chunk = 0
        elif self._in_trailers:
            self._on_trailer(line)
        else:
            self._in_chunk = _chunk_size(line)
            self.announced += self._in_chunk
            self._in_trailers = not self._in_chunk

    def _on_trailer(self, line: bytes) -> None:
        if not line:
            self.is_complete = True
            return
        self._trailer_bytes += len(line)
        name, colon, value = line.partition(b":")
        if (
            self._trailer_bytes > _MAX_TRAILER_BYTES
            or not colon
            or not name
            or not _NAME_BYTES.issuperset(name)
            or any((byte < 0x20 and byte != 0x09) or byte == 0x7F for byte in value)
        ):
            raise FramingError("The trailers of a chunked body are malformed or too long.")

    def end(self) -> None:
        if not self.is_complete:
            raise FramingError("The connection closed inside a chunked body.")


def _chunk_size(line: bytes) -> int:
    digits, semicolon, extension = line.partition(b";")
    if semicolon:
        # Blanks before an extension are bad white space that a recipient must take (§7.1.1); before CRLF they are not.
        digits = digits.rstrip(b" \t")
    if (
        not 0 < len(digits) <= _MAX_SIZE_DIGITS
        or not _HEX_DIGITS.issuperset(digits)
        or not _EXTENSION_BYTES.issuperset(extension)
    ):
        raise FramingError("A chunk's size is not a plain hexadecimal number.")
    return int(digits, 16)


def encode_chunk(payload: bytes) -> bytes:
    """One chunk; empty payload gives nothing, for an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


LAST_CHUNK: Final = b"0\r\n\r\n"


def encode_part(body: Body, payload: bytes) -> bytes:
    """`payload` of `body`, framed as the body came; with it the end of a chunked one that is complete."""
    if not body.is_chunked:
        return payload
    return encode_chunk(payload) + LAST_CHUNK if body.is_complete else encode_chunk(payload)


def request_body(request: Request) -> Body:
    """The body that a request announces; no announcement is no body. Raises `Refused(BAD_FRAMING)`.

    RFC 9112 §6.1, §6.3: what two implementations could cut differently is refused: a length beside a transfer coding, a
    coding other than exactly `chunked`, a coding in HTTP/1.0.
    """
    coding, length = request.transfer_encoding, request.content_length
    if coding is not None:
        if length is not None or coding.lower() != b"chunked" or request.version is not HTTP11:
            raise Refused(Reason.BAD_FRAMING)
        return ChunkedBody()
    if length is None:
        return NO_BODY
    size = _length(length)
    if size < 0:
        raise Refused(Reason.BAD_FRAMING)
    return LengthBody(size)


def response_body(response: Response, request_method: str) -> Body:
    """The body that a final response to `request_method` brings. Raises `Refused(UPSTREAM_BROKEN)`."""
    coding, length = response.transfer_encoding, response.content_length
    size = -1 if length is None else _length(length)
    if length is not None and (coding is not None or size < 0):
        raise Refused(Reason.UPSTREAM_BROKEN)
    if coding is not None and (coding.lower() != b"chunked" or response.version is not HTTP11):
        raise Refused(Reason.UPSTREAM_BROKEN)
    if request_method == "HEAD" or response.status in _NO_BODY_STATUSES:
        return NO_BODY
    if coding is not None:
        return ChunkedBody()
    return CloseBody() if size < 0 else LengthBody(size)


def _length(value: bytes) -> int:
    """-1 for what is no length."""
    if not value.isdigit() or len(value) > 19:
        return -1
    length = int(value)
    return length if length <= _MAX_LENGTH else -1
