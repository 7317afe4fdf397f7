"""Positions of a feed: what was given comes back, and what never was is of an epoch that never was."""

import pytest

from gateway.postgres.feeds import channel_of, parts_of, position_of


@pytest.mark.parametrize("parts", [(1, 1, 0), (1_800_000_000_000_000, 16_400, 7), (2**63 - 1, 2**32 - 1, 2**63 - 1)])
def test_a_position_is_read_as_it_was_given(parts: tuple[int, int, int]) -> None:
    assert parts_of(position_of(*parts)) == parts


def test_in_an_epoch_later_is_greater() -> None:
    assert position_of(5, 3, 8) > position_of(5, 3, 7)


@pytest.mark.parametrize("position", [-1, -(2**200), 2**158, 2**300])
def test_what_no_column_could_hold_was_never_given(position: int) -> None:
    assert parts_of(position) == (0, 0, 0)


def test_the_channel_of_the_longest_schema_is_a_name() -> None:
    assert len(channel_of("s" * 48)) < 64  # as config.forms bounds it, and PostgreSQL a channel
