"""Cells in shared memory: kept from one process in a seat to the next, and bounded."""

import math
import os

import pytest

from gateway.observability.tally import ABSENT, RegionReader, Tally, open_regions

LEVELS = frozenset({"level"})


def tally_of(region, pid: int = 7) -> Tally:  # type: ignore[no-untyped-def]
    return Tally(region, pid=pid, levels=LEVELS)


def read(reader: RegionReader) -> dict[tuple[str, ...], list[float]]:
    return {
        entry.key: [reader.cells[at] for at in range(entry.first, entry.first + entry.width)]
        for entry in reader.entries()
    }


def test_a_reader_sees_what_was_added_and_what_is_new() -> None:
    [region] = open_regions(1)
    tally, reader = tally_of(region), RegionReader(region)
    one = tally.first_cell(("counter", "a"))
    tally.cells[one] += 2
    assert read(reader) == {("counter", "a"): [2]}
    three = tally.first_cell(("durations", 'odd "name" é'), width=3)
    tally.cells[three + 2] += 1
    tally.cells[one] += 1
    assert read(reader) == {("counter", "a"): [3], ("durations", 'odd "name" é'): [0, 0, 1]}
    assert tally.first_cell(("counter", "a")) == one


def test_seats_are_apart() -> None:
    first, second = open_regions(2)
    tally_of(first).cells[tally_of(first).first_cell(("counter",))] += 1
    assert read(RegionReader(second)) == {}


def test_the_next_process_in_a_seat_counts_on_and_measures_anew() -> None:
    [region] = open_regions(1)
    before = tally_of(region, pid=7)
    before.cells[before.first_cell(("counter",))] = 5
    before.cells[before.first_cell(("level",))] = 5
    after, reader = tally_of(region, pid=8), RegionReader(region)
    after.cells[after.first_cell(("counter",))] += 1
    new = after.first_cell(("other",))
    assert after.cells[new] == 0
    assert reader.pid == 8
    numbers = read(reader)
    assert numbers[("counter",)] == [6]
    assert math.isnan(numbers[("level",)][0])


def test_another_process_counts_into_the_same_memory() -> None:
    [region] = open_regions(1)
    child = os.fork()
    if child == 0:
        tally = tally_of(region)
        tally.cells[tally.first_cell(("counter",))] += 3
        os._exit(0)
    os.waitpid(child, 0)
    assert read(RegionReader(region)) == {("counter",): [3]}


def test_a_process_is_alive_for_a_while_after_each_sign_of_life() -> None:
    [region] = open_regions(1)
    tally, reader = tally_of(region), RegionReader(region)
    assert not reader.is_alive(1000.0, within=5)
    tally.beat(1000.0)
    assert reader.is_alive(1004.0, within=5)
    assert not reader.is_alive(1005.0, within=5)
    tally.leave()
    assert not reader.is_alive(1004.0, within=5)


@pytest.mark.parametrize(("max_cells", "max_name_bytes"), [(48, 10_000), (1000, 100)], ids=["cells", "names"])
def test_s83_what_there_is_no_room_for_is_not_counted_and_told_once(
    max_cells: int, max_name_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    [region] = open_regions(1, max_cells=max_cells, max_name_bytes=max_name_bytes)
    tally = tally_of(region)
    for number in range(100):
        tally.cells[tally.first_cell(("counter", str(number)))] += 1
    numbers = read(RegionReader(region))
    assert 2 <= len(numbers) <= 8
    assert set(map(tuple, numbers.values())) == {(1.0,)}
    assert [record.getMessage().partition(" ")[0] for record in caplog.records] == ["metrics_full"]


def test_a_name_that_is_half_there_is_left_for_the_next_time() -> None:
    [region] = open_regions(1)
    tally, reader = tally_of(region), RegionReader(region)
    tally.first_cell(("counter",))
    whole = region.names[3]
    region.names[3] = 0xFF
    assert read(reader) == {}
    region.names[3] = whole
    assert read(reader) == {("counter",): [0]}


def test_absent_is_no_number() -> None:
    assert math.isnan(ABSENT)
