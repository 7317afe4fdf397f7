"""The memo of lines: bounded, and what everybody sends is not driven out by one who sends something new each time."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.lines import LineMemo


def known(memo: LineMemo[int], line: bytes) -> int | None:
    """As the readers ask: the young generation first."""
    value = memo.young.get(line)
    return memo.recall(line) if value is None else value


def flood(memo: LineMemo[int], count: int, prefix: bytes = b"new") -> None:
    for number in range(count):
        memo.learn(b"%b-%d" % (prefix, number), number)


def test_a_line_that_was_learnt_is_known() -> None:
    memo = LineMemo[int]()
    assert known(memo, b"Host: a") is None
    memo.learn(b"Host: a", 1)
    assert known(memo, b"Host: a") == 1
    assert known(memo, b"host: a") is None


def test_s83_the_memo_is_bounded_in_entries_and_bytes() -> None:
    memo = LineMemo[int]()
    flood(memo, 20_000)
    lines = {b"new-%d" % number for number in range(20_000)}
    assert sum(memo.young.get(line) is not None for line in lines) <= 2048
    assert sum(known(memo, line) is not None for line in lines) <= 3 * 2048

    memo.learn(b"x" * 2049, 1)
    assert known(memo, b"x" * 2049) is None
    memo.learn(b"x" * 2048, 1)
    assert known(memo, b"x" * 2048) == 1


def test_s83_what_is_asked_for_outlives_a_flood_of_new_lines() -> None:
    memo = LineMemo[int]()
    memo.learn(b"usual", 7)
    memo.learn(b"once", 8)
    for round_number in range(12):
        flood(memo, 1024, b"%d" % round_number)
        assert known(memo, b"usual") == 7
    assert known(memo, b"once") is None


def test_a_reader_may_hold_on_to_the_young_generation() -> None:
    memo = LineMemo[int]()
    young = memo.young
    flood(memo, 5000)
    assert memo.young is young


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5000)), max_size=60))
def test_what_is_known_is_what_was_learnt(steps: list[tuple[bool, int]]) -> None:
    memo = LineMemo[int]()
    flood(memo, 2040, b"full")
    learnt: dict[bytes, int] = {}
    for is_learnt, number in steps:
        line = b"%d" % number
        if is_learnt:
            memo.learn(line, number + 1)
            learnt[line] = number + 1
        assert known(memo, line) in (None, learnt.get(line))
