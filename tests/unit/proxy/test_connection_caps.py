"""How many connections there may be (checklist 81)."""

import pytest

from gateway.http.addresses import Networks, parse_address
from gateway.proxy.connection_caps import NOT_COUNTED, CapRules, ConnectionCaps


def rules(per_address: int | None = 2) -> CapRules:
    return CapRules(total=5, per_address=per_address, exempt=Networks(["10.0.0.0/8"]))


def caps(per_address: int | None = 2) -> ConnectionCaps:
    return ConnectionCaps(rules(per_address))


def take(of: ConnectionCaps, text: str) -> int | None:
    return of.take(parse_address(text))


def test_s81_total() -> None:
    assert caps().has_room(4)
    assert not caps().has_room(5)


def test_s81_one_address_has_its_share_and_no_more() -> None:
    counted = caps()
    groups = [take(counted, "192.0.2.1") for _ in range(2)]
    assert None not in groups
    assert take(counted, "192.0.2.1") is None
    assert take(counted, "192.0.2.2") is not None
    assert groups[0] is not None
    counted.give_back(groups[0])
    assert take(counted, "192.0.2.1") is not None
    assert take(counted, "192.0.2.1") is None


def test_s81_one_64_is_one_client() -> None:
    counted = caps()
    assert [take(counted, f"2001:db8::{index}") is None for index in range(3)] == [False, False, True]
    assert take(counted, "2001:db8:0:1::1") is not None


@pytest.mark.parametrize(("per_address", "address"), [(None, "192.0.2.1"), (1, "10.0.0.1")])
def test_who_is_not_counted_is_not_bounded(per_address: int | None, address: str) -> None:
    counted = caps(per_address)
    assert {take(counted, address) for _ in range(50)} == {NOT_COUNTED}
    counted.give_back(NOT_COUNTED)


def test_s83_what_has_gone_leaves_nothing_behind() -> None:
    counted = caps()
    groups = [take(counted, f"192.0.2.{index}") for index in range(200)]
    for group in groups:
        assert group is not None
        counted.give_back(group)
    with pytest.raises(KeyError):
        counted.give_back(groups[0] or 0)


@pytest.mark.parametrize(("total", "share"), [(1, 1), (100, 1), (10_000, 156)])
def test_s81_a_share_has_to_go_when_it_is_full(total: int, share: int) -> None:
    assert ConnectionCaps(CapRules(total=total, per_address=None, exempt=Networks([]))).share == share


def test_other_rules_are_for_those_to_come() -> None:
    counted = caps(per_address=None)
    assert take(counted, "192.0.2.1") == NOT_COUNTED
    counted.rules = rules(per_address=1)
    group = take(counted, "192.0.2.1")
    assert group
    assert take(counted, "192.0.2.1") is None
    counted.rules = rules(per_address=None)
    counted.give_back(group)
    counted.rules = rules(per_address=1)
    assert take(counted, "192.0.2.1") is not None
