"""IP addresses, as peers have them and as others claim them: one spelling for each, and what networks hold them."""

import functools
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

_IPV6_GROUP_BITS: Final = 64  # what one customer gets at least (RFC 6177); inside it a new address costs nothing


def parse_address(text: str) -> Address:
    """`text` as an address; an IPv4 one inside IPv6 (::ffff:192.0.2.1, RFC 4291 §2.5.5.2) is IPv4.

    Raises ValueError, also for a zone (fe80::1%eth0): it means something on the host alone that wrote it.
    """
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError("An address with a zone says nothing to others.")
        return address.ipv4_mapped or address
    return address


def group_of(address: Address) -> int:
    """The number under which connections of one client are counted: the IPv4 address, or the /64 of an IPv6 one."""
    if isinstance(address, IPv6Address):
        return ~(int(address) >> _IPV6_GROUP_BITS)  # below zero, so that no prefix is an IPv4 address
    return int(address)


@functools.lru_cache(maxsize=4096)
def client_group(text: str) -> int:
    """`group_of` the address in `text`, a zone left out; 0, which is no client's, for what is no address."""
    try:
        return group_of(parse_address(text.partition("%")[0]))
    except ValueError:
        return 0


class Networks:
    """A set of networks in CIDR notation; `address in networks`. Raises ValueError for what is none."""

    __slots__ = ("_networks",)

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(text) for text in texts)

    def __contains__(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def __bool__(self) -> bool:
        return bool(self._networks)
