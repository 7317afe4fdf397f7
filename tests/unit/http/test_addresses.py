"""Addresses: one spelling for one peer, and which connections count as one client's."""

import pytest

from gateway.http.addresses import Networks, client_group, group_of, parse_address


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::1", "::1"),
    ],
)
def test_an_address_has_one_spelling(text: str, spelling: str) -> None:
    assert str(parse_address(text)) == spelling


@pytest.mark.parametrize(
    "text", ["", "unknown", "192.0.2.01", "192.0.2", "fe80::1%eth0", "1.2.3.4:80", "[::1]", " ::1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::c000:201:0:0:0:0", "192.0.2.1", False),  # the same number, were it not for the family
        ("0.0.0.1", "0:0:0:1::", False),
    ],
)
def test_s52_ipv6_clients_are_grouped_by_their_64(one: str, other: str, is_same: bool) -> None:
    assert (group_of(parse_address(one)) == group_of(parse_address(other))) is is_same


def test_s52_clients_are_grouped_by_what_their_address_is_written_as() -> None:
    for text in ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"):
        assert client_group(text) == group_of(parse_address(text))
    assert client_group("fe80::1%eth0") == client_group("fe80::2%eth1") != 0
    assert {client_group(text) for text in ("", "unknown", "192.0.2", "%", "a" * 1000)} == {0}


def test_networks_hold_addresses_of_their_family() -> None:
    networks = Networks(["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"])
    inside = ("10.1.2.3", "2001:db8:ffff::1", "192.0.2.1", "::ffff:10.9.9.9")
    assert all(parse_address(text) in networks for text in inside)
    assert not any(parse_address(text) in networks for text in ("11.0.0.1", "2001:db9::1", "192.0.2.2", "::1"))
    assert networks
    assert not Networks([])
