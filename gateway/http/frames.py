"""Where WebSocket frames end (RFC 6455 §5.2): headers are read, payload is counted and never looked at.

A tunnel needs this for one thing: a Close frame of the gateway's own must stand between two frames, not inside one.
"""

from enum import IntEnum
from typing import Final

_CLOSE: Final = 0x8
_IS_CONTROL: Final = 0x8
_IS_MASKED: Final = 0x80
_MAX_CONTROL_BYTES: Final = 125
# Two bytes, eight of length, four of mask, and of a Close frame the two of its code.
_MAX_HEADER_BYTES: Final = 16

CLOSED_WITHOUT_CODE: Final = 1005
CLOSED_WITHOUT_FRAME: Final = 1006
"""RFC 6455 §7.4.1: never on the wire, for logs."""


class FrameFault(IntEnum):
    """Why a frame is not passed on; the value is the close code."""

    MALFORMED = 1002
    TOO_BIG = 1009


class FrameScanner:
    """Follows the frames of one direction. It keeps numbers and an unfinished header of at most 15 bytes.

    `close_code` is set once a Close frame has begun. `fault` is set when the next frame must not pass; nothing may be
    fed after. `max_message_bytes` bounds a message, in one frame or several; None: no bound.
    """

    __slots__ = ("_header", "_max_message_bytes", "_message_bytes", "_remaining", "close_code", "fault")

    def __init__(self, *, max_message_bytes: int | None = None) -> None:
        self.close_code: int | None = None
        self.fault: FrameFault | None = None
        self._max_message_bytes = max_message_bytes
        self._message_bytes = 0
        self._remaining = 0  # payload of the present frame that has not come yet
        self._header = b""

    @property
    def is_between_frames(self) -> bool:
        return not self._remaining and not self._header

    def feed(self, data: bytes) -> int:
        """How many of the bytes may pass: all, unless `fault` is set."""
        size = len(data)
        if size < self._remaining:
            self._remaining -= size
            return size
        position, self._remaining = self._remaining, 0
        while position < size and self.fault is None:
            position = self._skip_frame(data, position)
        return position

    def finish_frame(self, data: bytes) -> int:
        """As `feed`, but goes no further than the end of the frame that has begun."""
        if self._remaining:
            skipped = min(self._remaining, len(data))
            self._remaining -= skipped
            return skipped
        return self._skip_frame(data, 0) if self._header else 0

    def _skip_frame(self, data: bytes, position: int) -> int:
        """Read one header; gives where its payload ends in `data`, or the end of `data`."""
        known = len(self._header)
        header = self._header + data[position : position + _MAX_HEADER_BYTES - known]
        size, length = _measure(header)
        if len(header) < size:
            self._header = header
            return len(data)
        self.fault = self._judge(header, length)
        if self.fault is not None:
            return position
        in_header = min(2, length) if header[0] & 0xF == _CLOSE else 0
        if header[0] & 0xF == _CLOSE:
            self.close_code = _close_code(header[:size], in_header)
        self._header = b""
        position += size - known
        end = position + length - in_header
        self._remaining = max(0, end - len(data))
        return min(end, len(data))

    def _judge(self, header: bytes, length: int) -> FrameFault | None:
        # RFC 6455 §5.2: the most significant bit of a 64-bit length must be 0.
        if length >= 2**63:
            return FrameFault.MALFORMED
        opcode = header[0] & 0xF
        if opcode & _IS_CONTROL:
            # §5.5. They are in no message, so a long one would be the way around its bound.
            return FrameFault.MALFORMED if length > _MAX_CONTROL_BYTES else None
        if self._max_message_bytes is None:
            return None
        self._message_bytes = length if opcode else self._message_bytes + length
        return FrameFault.TOO_BIG if self._message_bytes > self._max_message_bytes else None


def _measure(header: bytes) -> tuple[int, int]:
    """Size of the header (with the code of a Close frame) and length of the payload, as far as can be told."""
    if len(header) < 2:
        return 2, 0
    length = header[1] & 0x7F
    size = 2
    if length >= 126:
        size = 4 if length == 126 else 10
        if len(header) < size:
            return size, 0
        length = int.from_bytes(header[2:size], "big")
    if header[1] & _IS_MASKED:
        size += 4
    if header[0] & 0xF == _CLOSE:
        size += min(2, length)
    return size, length


def _close_code(header: bytes, size: int) -> int:
    """The code at the end of the header of a Close frame."""
    if size < 2:
        return CLOSED_WITHOUT_CODE
    code = header[-2:]
    if header[1] & _IS_MASKED:
        code = _mask(code, header[-6:-2])
    return int.from_bytes(code, "big")


def close_frame(code: int, reason: str, *, mask: bytes | None = None) -> bytes:
    """A Close frame; `mask` are four random bytes towards a server, None towards a client (RFC 6455 §5.3).

    `reason` is ASCII and short: a control frame holds 125 bytes.
    """
    payload = code.to_bytes(2, "big") + reason.encode("ascii")
    if mask is None:
        return bytes((0x80 | _CLOSE, len(payload))) + payload
    return bytes((0x80 | _CLOSE, _IS_MASKED | len(payload))) + mask + _mask(payload, mask)


def _mask(payload: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
