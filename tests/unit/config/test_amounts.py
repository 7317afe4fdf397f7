import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.amounts import DURATION, SIZE


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1500ms", 1500),
        ("10s", 10_000),
        ("5m", 300_000),
        ("24h", 86_400_000),
        ("1d", 86_400_000),
        ("0s", 0),
        ("007s", 7000),
    ],
)
def test_a_duration_is_a_number_and_its_unit(text: str, milliseconds: int) -> None:
    assert DURATION.parse(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "5S", "-5s", "1.5s", "1m30s", "5min", "5s\n", "٥s", "1234567890123s"]
)
def test_anything_else_is_no_duration(text: str) -> None:
    assert DURATION.parse(text) is None


@pytest.mark.parametrize(
    ("text", "count"), [("512B", 512), ("64KiB", 65536), ("10MiB", 10 * 1024**2), ("1GiB", 1024**3)]
)
def test_a_size_is_a_number_and_its_unit(text: str, count: int) -> None:
    assert SIZE.parse(text) == count


@pytest.mark.parametrize("text", ["", "10", "10MB", "10kib", "10K", "1.5MiB"])
def test_anything_else_is_no_size(text: str) -> None:
    assert SIZE.parse(text) is None


def test_amounts_are_written_in_their_largest_whole_unit() -> None:
    assert [DURATION.format(amount) for amount in (0, 1, 1500, 90_000, 86_400_000)] == [
        "0s",
        "1ms",
        "1500ms",
        "90s",
        "1d",
    ]
    assert [SIZE.format(amount) for amount in (0, 1000, 2048, 19 * 1024**2)] == ["0B", "1000B", "2KiB", "19MiB"]


@given(st.integers(min_value=0, max_value=10**12))
def test_what_is_written_is_read_as_the_same(amount: int) -> None:
    assert DURATION.parse(DURATION.format(amount)) == amount
    assert SIZE.parse(SIZE.format(amount)) == amount
