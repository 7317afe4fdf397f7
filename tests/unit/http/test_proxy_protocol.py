"""Heads of the PROXY protocol: read whole and in every split, never a byte too far, and strictly."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.proxy_protocol import ProxyHead, ProxyHeadError, read_proxy_head

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command: int, family: int, body: bytes, *, size: int | None = None) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(body) if size is None else size) + body


def tlv(kind: int, value: bytes, *, size: int | None = None) -> bytes:
    return bytes([kind]) + struct.pack("!H", len(value) if size is None else size) + value


FOUR = socket.inet_aton("203.0.113.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 51234, 443)
SIX = socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + struct.pack("!HH", 1, 2)
MAPPED = socket.inet_pton(socket.AF_INET6, "::ffff:203.0.113.7") * 2 + struct.pack("!HH", 1, 2)
SSL = tlv(0x20, b"\x01\0\0\0\0" + tlv(0x21, b"TLSv1.3"))

# name → (head, source, is_tls). Clauses are those of proxy-protocol.txt.
GOOD: dict[str, tuple[bytes, str | None, bool]] = {
    "2.1-tcp4": (b"PROXY TCP4 203.0.113.7 198.51.100.1 51234 443\r\n", "203.0.113.7", False),
    "2.1-shortest": (b"PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n", "1.2.3.4", False),
    "2.1-tcp6": (b"PROXY TCP6 2001:db8::7 ::1 65535 1\r\n", "2001:db8::7", False),
    "2.1-tcp6-longest": (
        b"PROXY TCP6 " + b" ".join([b":".join([b"ffff"] * 8)] * 2) + b" 65535 65535\r\n",
        ":".join(["ffff"] * 8),
        False,
    ),
    "2.1-tcp6-shortest": (b"PROXY TCP6 :: :: 0 0\r\n", "::", False),
    "2.1-unknown": (b"PROXY UNKNOWN\r\n", None, False),
    "2.1-unknown-longest": (b"PROXY UNKNOWN ffff:f...f:ffff " + b"x" * 75 + b"\r\n", None, False),
    "2.2-tcp4": (v2(0x21, 0x11, FOUR), "203.0.113.7", False),
    "2.2-tcp6": (v2(0x21, 0x21, SIX), "2001:db8::7", False),
    "2.2-mapped": (v2(0x21, 0x21, MAPPED), "203.0.113.7", False),
    "2.2-unix": (v2(0x21, 0x31, b"/run/x".ljust(108, b"\0") * 2), None, False),
    "2.2-unspec": (v2(0x21, 0x00, b""), None, False),
    "2.2-unspec-tlv": (v2(0x21, 0x00, tlv(0x04, b"pad")), None, False),
    "2.2-local": (v2(0x20, 0x00, b""), None, False),
    "2.2-local-with-addresses": (v2(0x20, 0x11, FOUR), None, False),
    "2.2-local-with-anything": (v2(0x20, 0xFF, b"ignored"), None, False),
    "2.2-tlvs": (
        v2(0x21, 0x11, FOUR + tlv(0xEA, b"vpce-1") + tlv(0x04, b"") + tlv(0xEE, b"x" * 900)),
        "203.0.113.7",
        False,
    ),
    "2.2.7-ssl": (v2(0x21, 0x11, FOUR + tlv(0x03, b"abcd") + SSL), "203.0.113.7", True),
    "2.2.7-ssl-not-used": (v2(0x21, 0x11, FOUR + tlv(0x20, b"\x00\0\0\0\1")), "203.0.113.7", False),
    "2.2-most": (v2(0x21, 0x11, FOUR + tlv(0x04, b"\0" * (4096 - 12 - 3))), "203.0.113.7", False),
}
BAD: dict[str, bytes] = {
    "http": b"GET / HTTP/1.1\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdef",
    "2.1-lower-case": b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "2.1-two-blanks": b"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "2.1-tab": b"PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "2.1-udp": b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "2.1-wrong-family": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "2.1-wrong-family-6": b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
    "2.1-bad-destination": b"PROXY TCP4 1.2.3.4 5.6.7.888 1 2\r\n",
    "2.1-octal": b"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n",
    "2.1-port-too-high": b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n",
    "2.1-port-with-zero": b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
    "2.1-port-negative": b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
    "2.1-part-missing": b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
    "2.1-part-too-many": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
    "2.1-blank-at-end": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
    "2.1-line-feed-only": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\r\n",
    "2.1-cr-inside": b"PROXY TCP4 1.2.3.4\r5.6.7.8 1 2\r\n",
    "2.1-zone": b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "2.1-not-ascii-digits": "PROXY TCP4 1.2.3.4 5.6.7.8 ² 2\r\n".encode("latin-1"),
    "2.1-too-long": b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    "2.1-endless": b"PROXY UNKNOWN " + b"x" * 200,
    "2.1-unknown-control": b"PROXY UNKNOWN \x00\r\n",
    "2.2-version-1": v2(0x11, 0x11, FOUR),
    "2.2-version-3": v2(0x31, 0x11, FOUR),
    "2.2-command-2": v2(0x22, 0x11, FOUR),
    "2.2-udp": v2(0x21, 0x12, FOUR),
    "2.2-unknown-family": v2(0x21, 0x41, FOUR),
    "2.2-tcp4-too-short": v2(0x21, 0x11, FOUR[:-1]),
    "2.2-tcp6-with-tcp4": v2(0x21, 0x21, FOUR),
    "2.2-unix-too-short": v2(0x21, 0x31, b"/" * 215),
    "2.2-tlv-half": v2(0x21, 0x11, FOUR + b"\x04\x00"),
    "2.2-tlv-behind-the-end": v2(0x21, 0x11, FOUR + tlv(0x04, b"ab", size=3)),
    "2.2-ssl-too-short": v2(0x21, 0x11, FOUR + tlv(0x20, b"\x01\0\0\0")),
    "2.2-too-large": v2(0x21, 0x11, FOUR + b"\0" * 4085),
    "2.2-size-of-64k": v2(0x20, 0x00, b"", size=65535),
    "2.2-bytes-behind": v2(0x21, 0x11, FOUR) + b"G",
    "2.2-signature-broken": SIGNATURE[:-1] + b"\r!\x11\x00\x0c" + FOUR,
}  # fmt: skip


def read_at_most(stream: bytes, most: int) -> tuple[ProxyHead, bytes]:
    """The head of a stream that comes in pieces of `most` bytes, and what is left of it."""
    data = b""
    while not isinstance(found := read_proxy_head(data), ProxyHead):
        assert found > 0
        piece = stream[len(data) : len(data) + min(found, most)]
        assert piece, "the head is whole and was not seen"
        data += piece
    return found, stream[len(data) :]


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("most", [1, 2, 7, 10_000])
def test_head_is_read_in_pieces_and_nothing_behind_it(name: str, most: int) -> None:
    raw, source, is_tls = GOOD[name]
    head, rest = read_at_most(raw + b"\x16\x03\x01", most)
    assert (None if head.source is None else str(head.source), head.is_tls) == (source, is_tls)
    assert rest == b"\x16\x03\x01"


@pytest.mark.parametrize("name", GOOD)
def test_every_split_lacks_no_more_than_is_there(name: str) -> None:
    raw = GOOD[name][0]
    for end in range(len(raw)):
        lacks = read_proxy_head(raw[:end])
        assert isinstance(lacks, int)
        assert 0 < lacks <= len(raw) - end


def test_few_reads_are_enough() -> None:
    """A line of version 1 does not come byte by byte."""
    raw, reads, data = GOOD["2.1-tcp4"][0], 0, b""
    while isinstance(lacks := read_proxy_head(data), int):
        data, reads = raw[: len(data) + lacks], reads + 1
    assert reads <= 12


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_head_is_refused_in_one_piece(name: str) -> None:
    with pytest.raises(ProxyHeadError):
        read_proxy_head(BAD[name])


@pytest.mark.parametrize("name", [name for name in BAD if name != "2.2-bytes-behind"])
def test_what_is_no_head_is_refused_byte_by_byte(name: str) -> None:
    raw = BAD[name]
    with pytest.raises(ProxyHeadError):
        for end in range(1, len(raw) + 1):
            assert isinstance(read_proxy_head(raw[:end]), int)


def test_garbage_is_refused_before_the_shortest_head_could_have_come() -> None:
    with pytest.raises(ProxyHeadError):
        read_proxy_head(b"G")


@given(st.binary(max_size=200) | st.builds(lambda tail: SIGNATURE + tail, st.binary(max_size=300)))
def test_no_input_makes_anything_but_the_documented_error(data: bytes) -> None:
    try:
        found = read_proxy_head(data)
    except ProxyHeadError:
        return
    assert isinstance(found, ProxyHead) or found > 0
