"""Frame boundaries: the same wherever the network cuts, and never inside a frame."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from gateway.http.frames import CLOSED_WITHOUT_CODE, FrameFault, FrameScanner, close_frame
from tests.unit.http.pieces import cuts

MASK = b"\x01\x80\xff\x7f"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bytes | None = None) -> bytes:
    """RFC 6455 §5.2, written apart from the code under test."""
    size = len(payload)
    masked = 0 if mask is None else 0x80
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([masked | size])
    elif size < 1 << 16:
        head += bytes([masked | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([masked | 127]) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ key for byte, key in zip(payload, itertools.cycle(mask)))


STREAM = [
    frame(1, b"text"),
    frame(2, b"x" * 125, mask=MASK),
    frame(9),
    frame(1, b"y" * 126, fin=False, mask=MASK),
    frame(10, b"pong", mask=MASK),
    frame(0, b"z" * 300),
    frame(2),
    frame(2, mask=MASK),
    frame(8, b"\x0f\xa1because", mask=MASK),
]
ENDS = list(itertools.accumulate(len(each) for each in STREAM))


def test_boundaries_are_where_frames_end_however_the_bytes_are_cut() -> None:
    raw = b"".join(STREAM)
    for pieces in cuts(raw):
        scanner, position = FrameScanner(), 0
        assert scanner.is_between_frames
        for piece in pieces:
            assert scanner.feed(piece) == len(piece)
            position += len(piece)
            assert scanner.is_between_frames is (position in ENDS), position
        assert scanner.close_code == 4001
        assert scanner.fault is None


@given(st.lists(st.integers(1, 200), max_size=20))
def test_random_cuts(steps: list[int]) -> None:
    raw, position = b"".join(STREAM) * 2, 0
    ends = {*ENDS, *(ENDS[-1] + end for end in ENDS)}
    scanner = FrameScanner()
    for step in [*steps, len(raw)]:
        piece = raw[position : position + step]
        scanner.feed(piece)
        position += len(piece)
        assert scanner.is_between_frames is (position in ends or not position)


@pytest.mark.parametrize("size", [65535, 65536, 70_000])
def test_long_frames(size: int) -> None:
    raw = frame(2, b"x" * size, mask=MASK)
    scanner = FrameScanner()
    assert scanner.feed(raw[:-1]) == len(raw) - 1
    assert not scanner.is_between_frames
    scanner.feed(raw[-1:])
    assert scanner.is_between_frames


def test_finishing_a_frame_goes_no_further_than_its_end() -> None:
    raw = b"".join(STREAM)
    for at in range(len(raw) + 1):
        scanner = FrameScanner()
        scanner.feed(raw[:at])
        end = at if at in (0, *ENDS) else min(end for end in ENDS if end > at)
        assert scanner.finish_frame(raw[at:]) == end - at, at
        assert scanner.is_between_frames


def test_a_frame_is_finished_byte_by_byte() -> None:
    raw = frame(2, b"x" * 300, mask=MASK)
    scanner = FrameScanner()
    scanner.feed(raw[:1])
    for at in range(1, len(raw)):
        assert not scanner.is_between_frames
        assert scanner.finish_frame(raw[at : at + 1]) == 1
    assert scanner.is_between_frames
    assert scanner.finish_frame(frame(1, b"next")) == 0


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (frame(8), CLOSED_WITHOUT_CODE),
        (frame(8, mask=MASK), CLOSED_WITHOUT_CODE),
        (frame(8, b"\x03"), CLOSED_WITHOUT_CODE),  # malformed, and for the peer to judge
        (frame(8, b"\x03\xe8"), 1000),
        (frame(8, b"\x03\xe9", mask=MASK), 1001),
        (frame(8, b"\x11\x31" + b"x" * 123, mask=MASK), 4401),
        (frame(1, b"\x03\xe8"), None),
    ],
)
def test_close_codes(raw: bytes, code: int | None) -> None:
    for pieces in cuts(raw):
        scanner = FrameScanner()
        for piece in pieces:
            scanner.feed(piece)
        assert scanner.close_code == code
        assert scanner.is_between_frames


def test_s71_a_message_over_the_bound_does_not_pass() -> None:
    good = frame(1, b"x" * 100, mask=MASK)
    scanner = FrameScanner(max_message_bytes=100)
    raw = good + frame(1, b"x" * 101, mask=MASK)
    assert scanner.feed(raw) == len(good)
    assert scanner.fault is FrameFault.TOO_BIG
    assert scanner.is_between_frames


def test_s71_fragments_count_together_and_control_frames_between_them_do_not() -> None:
    message = [
        frame(1, b"x" * 60, fin=False, mask=MASK),
        frame(9, b"x" * 125, mask=MASK),
        frame(0, b"x" * 40, mask=MASK),
    ]
    scanner = FrameScanner(max_message_bytes=100)
    raw = b"".join([*message, *message])
    assert scanner.feed(raw) == len(raw)
    assert scanner.fault is None
    assert scanner.feed(frame(0, b"x", mask=MASK)) == 0
    assert scanner.fault is FrameFault.TOO_BIG


@pytest.mark.parametrize("max_message_bytes", [None, 1000])
@pytest.mark.parametrize("opcode", [8, 9, 10, 11])
@pytest.mark.parametrize("size", [126, 70_000])
def test_s71_a_control_frame_is_short(opcode: int, size: int, max_message_bytes: int | None) -> None:
    """RFC 6455 §5.5. No message counts it, so a longer one would pass the bound of messages."""
    raw = frame(opcode, b"x" * 125, mask=MASK)
    scanner = FrameScanner(max_message_bytes=max_message_bytes)
    assert scanner.feed(raw + frame(opcode, b"x" * size, mask=MASK)) == len(raw)
    assert scanner.fault is FrameFault.MALFORMED


def test_s71_a_length_with_its_first_bit_set_is_no_length() -> None:
    raw = b"\x82\xff" + b"\x80" + b"\x00" * 7 + MASK
    scanner = FrameScanner()
    assert scanner.feed(frame(9) + raw) == len(frame(9))
    assert scanner.fault is FrameFault.MALFORMED
    assert scanner.is_between_frames


def test_s71_a_fault_behind_half_a_header_is_not_between_frames() -> None:
    raw = frame(1, b"x" * 300, mask=MASK)
    scanner = FrameScanner(max_message_bytes=100)
    assert scanner.feed(raw[:3]) == 3
    assert scanner.feed(raw[3:]) == 0
    assert scanner.fault is FrameFault.TOO_BIG
    assert not scanner.is_between_frames


@pytest.mark.parametrize("mask", [None, MASK])
def test_the_gateways_close_frame_is_one_to_others(mask: bytes | None) -> None:
    raw = close_frame(4401, "token_expired", mask=mask)
    assert raw == frame(8, (4401).to_bytes(2, "big") + b"token_expired", mask=mask)
    scanner = FrameScanner()
    scanner.feed(raw)
    assert scanner.close_code == 4401

    def read_exact(size: int):  # type: ignore[no-untyped-def]
        nonlocal raw
        data, raw = raw[:size], raw[size:]
        yield from ()
        return data

    parsing = Frame.parse(read_exact, mask=mask is not None)
    with pytest.raises(StopIteration) as stopped:
        next(parsing)
    parsed = stopped.value.value
    assert parsed.opcode is Opcode.CLOSE
    assert Close.parse(parsed.data) == Close(4401, "token_expired")
