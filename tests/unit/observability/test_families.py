"""The table of metrics: names as Prometheus would have them, and labels that no client can make."""

import re

import pytest

from gateway.observability.families import DURATION_BOUNDS, FAMILIES, LEVELS, Family, Join, Kind
from gateway.observability.tally import MAX_WIDTH


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_names_say_kind_and_unit(family: Family) -> None:
    assert re.fullmatch(r"gateway(_[a-z]+)+", family.name)
    assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
    if family.kind is Kind.DURATIONS:
        assert family.name.endswith("_seconds")
    assert (family.name in LEVELS) == (family.kind is Kind.LEVEL)
    assert family.help.endswith(".")


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_only_levels_are_joined_in_another_way_than_by_their_sum(family: Family) -> None:
    assert family.kind is Kind.LEVEL or family.join is Join.SUM


def test_s83_there_is_no_label_for_what_a_client_chooses() -> None:
    labels = {label for family in FAMILIES.values() for label in family.labels}
    assert labels == {
        *("route", "method", "code", "reason", "upstream", "server", "state", "issuer"),
        *("event", "result", "version", "python"),
    }


def test_bounds_ascend_and_fit_into_the_spill() -> None:
    assert list(DURATION_BOUNDS) == sorted(set(DURATION_BOUNDS))
    assert max(family.width for family in FAMILIES.values()) <= MAX_WIDTH
