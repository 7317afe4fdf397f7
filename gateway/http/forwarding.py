"""Where a request comes from: the peer of the connection, or the client that trusted proxies name.

What a proxy in front says counts only when its own address is on the list. Then X-Forwarded-For is read from the right,
where the nearest proxy wrote, and up to the first address that is not on the list: that is the client, and what stands
left of it is the client's own claim. Decisions about the request never look at any of this (checklist 24).
"""

import functools
import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.http.addresses import Address, Networks, parse_address
from gateway.http.fields import CLIENT_ADDRESS_FIELD
from gateway.http.rewriting import is_valid_host

Claims: TypeAlias = list[tuple[bytes, bytes]]
"""Name in lower case and value of each X-Forwarded-* field, in order."""

_MAX_HOPS: Final = 32  # chains have two or three; each hop costs a look at the list
_MAX_HOP_BYTES: Final = 64
_PORT: Final = re.compile(rb"[1-9][0-9]{0,4}")
# An address, with or without the port that some balancers add: 192.0.2.1:4711, [2001:db8::1]:4711, 2001:db8::1.
_HOP: Final = re.compile(
    rb"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+))(?::[0-9]{1,5})?|(?P<bare>[0-9A-Fa-f:.]+)"
)
_ENDPOINT_PREFIX: Final = f"{CLIENT_ADDRESS_FIELD}: ".encode()


@dataclass(slots=True)
class Origin:
    """Where a request comes from.

    `address` is the client's. `lines` are X-Forwarded-For and what else is sent on, without the last line end; `host`
    takes the place of the Host in X-Forwarded-Host.
    """

    address: str
    scheme: bytes
    lines: bytes
    host: bytes | None = None

    @property
    def endpoint_line(self) -> bytes:
        """What the gateway's own application is told and nobody else."""
        return _ENDPOINT_PREFIX + self.address.encode()


def connection_origin(address: str, *, is_tls: bool) -> Origin:
    """Of whatever comes over a connection from `address`, as long as nobody is trusted to know better."""
    scheme = b"https" if is_tls else b"http"
    return Origin(address, scheme, b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b" % (address.encode(), scheme))


NOWHERE: Final = connection_origin("unknown", is_tls=False)
"""Stands for the origin of a connection that was not introduced yet."""


class TrustedProxies:
    """The proxies whose X-Forwarded-* count."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    def origin(self, claims: Claims, connection: Origin) -> Origin:
        """Of a request with these fields; `connection` is that of the trusted proxy that sent it.

        All is generated anew: a value that is not of its grammar, or comes twice, counts as none.
        """
        chain = [*self._hops(claims), connection.address]
        proto = _only(claims, b"x-forwarded-proto").lower()
        scheme = proto if proto in (b"http", b"https") else connection.scheme
        lines = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b" % (", ".join(chain).encode(), scheme)
        port = _only(claims, b"x-forwarded-port")
        if _PORT.fullmatch(port) and int(port) <= 0xFFFF:
            lines += b"\r\nX-Forwarded-Port: %b" % port
        host = _only(claims, b"x-forwarded-host")
        return Origin(chain[0], scheme, lines, host if is_valid_host(host) else None)

    def _hops(self, claims: Claims) -> list[str]:
        """The client and the trusted proxies behind it; nothing where the nearest entry cannot be read."""
        values = b",".join(value for name, value in claims if name == b"x-forwarded-for")
        hops: list[str] = []
        for entry in reversed(values.rsplit(b",", _MAX_HOPS)[-_MAX_HOPS:]):
            address = _parse_hop(entry.strip(b" \t")) if len(entry) <= _MAX_HOP_BYTES else None
            if address is None:
                break
            hops.append(str(address))
            if address not in self._networks:
                break
        hops.reverse()
        return hops


@functools.lru_cache(maxsize=4096)
def _parse_hop(entry: bytes) -> Address | None:
    matched = _HOP.fullmatch(entry)
    if matched is None:
        return None
    try:
        return parse_address((matched["bracketed"] or matched["four"] or matched["bare"]).decode())
    except ValueError:
        return None


def _only(claims: Claims, name: bytes) -> bytes:
    """The value of a field that came once; empty else."""
    values = [value for other, value in claims if other == name]
    return values[0] if len(values) == 1 else b""
