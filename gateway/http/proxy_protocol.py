"""The head that a TCP load balancer puts before a connection to say whose it is: PROXY protocol, versions 1 and 2.

The reader never takes a byte behind the head, because that byte may be the first of a TLS handshake, which starts on
the bare socket. So `read_proxy_head` says how many more bytes the head has *for certain*, its caller reads at most that
many, and asks again. Rules: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, §2.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from gateway.http.addresses import Address, parse_address

_V1_START: Final = b"PROXY "
_V2_START: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_SHORTEST: Final = len(b"PROXY UNKNOWN\r\n")  # also less than the 16 bytes of every version 2 head
_V1_LONGEST: Final = 107
_V1_SPACES: Final = 5
_PORT: Final = r"(?:0|[1-9][0-9]{0,4})"
_V1: Final = re.compile(rf"PROXY (TCP[46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) ({_PORT}) ({_PORT})\r\n")
_V1_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [ -~]*)?\r\n")

_V2_FIXED: Final = 16
_V2_MOST: Final = 4096  # addresses take at most 216; the rest are TLVs, of which a client's certificate is the largest
_LOCAL: Final = 0x20  # version and command
_PROXIED: Final = 0x21
# Family and transport → bytes of addresses and ports. No datagrams: this is a TCP listener.
_ADDRESS_SIZES: Final = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}
_TLV_SSL: Final = 0x20
_SSL_SHORTEST: Final = 5
_CLIENT_SSL: Final = 0x01


class ProxyHeadError(ValueError):
    """The bytes are no head of the PROXY protocol."""


@dataclass(slots=True)
class ProxyHead:
    """`source` is the client; None where the proxy speaks for itself (health checks) or cannot tell an IP address.

    `is_tls`: the client speaks TLS, which the proxy has ended.
    """

    source: Address | None
    is_tls: bool = False


def read_proxy_head(data: bytes) -> ProxyHead | int:
    """The head that `data` is, or how many bytes it lacks for certain. Raises `ProxyHeadError`."""
    if len(data) < _V1_SHORTEST:
        if _V1_START.startswith(data[: len(_V1_START)]) or _V2_START.startswith(data[: len(_V2_START)]):
            return _V1_SHORTEST - len(data)
        raise ProxyHeadError("neither version's first bytes")
    if data.startswith(_V2_START):
        return _read_v2(data)
    if data.startswith(_V1_START):
        return _read_v1(data)
    raise ProxyHeadError("neither version's first bytes")


def _read_v1(data: bytes) -> ProxyHead | int:
    if len(data) > _V1_LONGEST:
        raise ProxyHeadError("a line of version 1 is too long")
    if not data.endswith(b"\r\n"):
        if b"\n" in data:
            raise ProxyHeadError("a line feed without its carriage return")
        return _v1_lacks(data)
    if _V1_UNKNOWN.fullmatch(data):
        return ProxyHead(None)
    matched = _V1.fullmatch(data.decode("latin-1"))
    if matched is None or any(int(port) > 0xFFFF for port in matched.group(4, 5)):
        raise ProxyHeadError("a line of version 1 that is not of its grammar")
    kind = IPv4Address if matched[1] == "TCP4" else IPv6Address
    try:
        kind(matched[3])
        return ProxyHead(parse_address(str(kind(matched[2]))))
    except ValueError:
        raise ProxyHeadError("not an address of the family") from None


def _v1_lacks(data: bytes) -> int:
    """At least the line's end, and a blank and a character for every part that has not begun."""
    end = 1 if data.endswith(b"\r") else 2
    if not data.startswith(b"PROXY TCP"):
        return end
    return end + 2 * max(0, _V1_SPACES - data.count(b" "))


def _read_v2(data: bytes) -> ProxyHead | int:
    if len(data) < _V2_FIXED:
        return _V2_FIXED - len(data)
    command, family, size = data[12], data[13], int.from_bytes(data[14:16])
    if command not in (_LOCAL, _PROXIED) or size > _V2_MOST:
        raise ProxyHeadError("a version, command or size that is none")
    if command == _PROXIED and size < _ADDRESS_SIZES.get(family, _V2_MOST + 1):
        raise ProxyHeadError("a family that is none, or without its addresses")
    if len(data) != _V2_FIXED + size:
        if len(data) > _V2_FIXED + size:
            raise ProxyHeadError("bytes behind the head")
        return _V2_FIXED + size - len(data)
    if command == _LOCAL:
        return ProxyHead(None)  # §2.2: whatever follows is to be ignored
    body = data[_V2_FIXED:]
    is_tls = _says_tls(body[_ADDRESS_SIZES[family] :])
    if family == 0x11:
        return ProxyHead(IPv4Address(body[:4]), is_tls)
    if family == 0x21:
        return ProxyHead(parse_address(str(IPv6Address(body[:16]))), is_tls)
    return ProxyHead(None, is_tls)


def _says_tls(tlvs: bytes) -> bool:
    """Walks all of them: one that ends behind the head makes the head a bad one."""
    is_tls = False
    at = 0
    while at < len(tlvs):
        if len(tlvs) - at < 3:
            raise ProxyHeadError("half a TLV")
        kind, size = tlvs[at], int.from_bytes(tlvs[at + 1 : at + 3])
        value = tlvs[at + 3 : at + 3 + size]
        if len(value) != size or (kind == _TLV_SSL and size < _SSL_SHORTEST):
            raise ProxyHeadError("a TLV that is cut short")
        if kind == _TLV_SSL:
            is_tls = bool(value[0] & _CLIENT_SSL)
        at += 3 + size
    return is_tls
