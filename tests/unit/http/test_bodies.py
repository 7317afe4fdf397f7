"""Body framing: whole, at every split and byte by byte."""

import pytest

from gateway.http.bodies import ChunkedBody, FramingError, LengthBody

GOOD = {
    b"5\r\nhello\r\n0\r\n\r\nrest": b"hello",
    b"1\r\na\r\n1;x=y\r\nb\r\n0\r\nX-T: v\r\n\r\nrest": b"ab",
    b"0\r\n\r\nrest": b"",
    b"00a\r\n0123456789\r\n0\r\n\r\nrest": b"0123456789",
}
BAD = [
    b"0x5\r\nhello\r\n",
    b"+5\r\nhello\r\n",
    b"5_0\r\n",
    b" 5\r\n",
    b"5 \r\n",
    b"5\nhello\r\n",
    b"5\r\nhello!\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"\r\n",
    b"g\r\n",
    b"f" * 16 + b"\r\n",
    b"5;" + b"x" * 300 + b"\r\n",
    b"0\r\nno colon\r\n\r\n",
    b"0\r\nX: \x00\r\n\r\n",
]


@pytest.mark.parametrize(("raw", "payload"), GOOD.items())
def test_s13_good_chunks_at_every_split(raw: bytes, payload: bytes) -> None:
    for at in range(len(raw) + 1):
        body = ChunkedBody()
        got = body.feed(raw[:at])
        rest = body.rest + raw[at:] if body.is_complete else b""
        if not body.is_complete:
            got += body.feed(raw[at:])
            rest = body.rest
        assert (got, rest, body.is_complete) == (payload, b"rest", True)


@pytest.mark.parametrize("raw", BAD)
def test_s13_bad_chunks_are_refused_whole_and_byte_by_byte(raw: bytes) -> None:
    with pytest.raises(FramingError):
        ChunkedBody().feed(raw)
    body = ChunkedBody()
    with pytest.raises(FramingError):
        for byte in raw:
            body.feed(bytes([byte]))


def test_s72_a_cut_body_is_no_body() -> None:
    body = LengthBody(3)
    assert body.feed(b"ab") == b"ab"
    with pytest.raises(FramingError):
        body.end()
    assert body.feed(b"cd") == b"c"
    assert (body.rest, body.is_complete, body.length) == (b"d", True, 3)
