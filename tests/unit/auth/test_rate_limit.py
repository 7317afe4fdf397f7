"""Token buckets: exact counts, a steady refill, one bucket for each client, and memory that strangers cannot grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.rate_limit import RateLimit
from gateway.errors import Reason, Refused

HERE, THERE = "192.0.2.1", "192.0.2.2"


def limit(
    requests: int = 60, per: float = 60, burst: int = 3, *, by_user: bool = True, max_clients: int = 100
) -> RateLimit:
    return RateLimit(requests=requests, per=per, burst=burst, by_user=by_user, max_clients=max_clients)


def wait(rate: RateLimit, user_id: str | None = None, address: str = HERE, now: float = 1000.0) -> int:
    """Seconds after which a refused request may come again; 0 when it passes."""
    try:
        rate.admit(user_id, address, now)
    except Refused as refused:
        assert refused.reason is Reason.THROTTLED
        assert refused.retry_after >= 1
        return refused.retry_after
    return 0


@pytest.mark.parametrize(("requests", "per", "burst"), [(60, 60, 3), (7, 3600, 7), (1, 60, 1), (1000, 1, 333)])
def test_s52_a_burst_passes_and_not_one_request_more(requests: int, per: float, burst: int) -> None:
    for now in (0.0, 123456.789, 2.0**31):
        rate = limit(requests, per, burst)
        assert [wait(rate, now=now) for _ in range(burst)] == [0] * burst
        assert wait(rate, now=now) > 0


def test_a_bucket_fills_one_request_an_interval() -> None:
    rate = limit(requests=6, per=60, burst=2)
    assert [wait(rate, now=now) for now in (0, 0, 0, 4, 9.5, 10, 10, 25, 40, 40, 40)] == [
        0, 0, 10, 6, 1, 0, 10, 0, 0, 0, 10
    ]  # fmt: skip
    # However long nobody asks, a bucket holds no more than it does.
    assert [wait(rate, now=9999.0) for _ in range(3)] == [0, 0, 10]


def test_who_waits_as_long_as_he_was_told_passes() -> None:
    rate, now = limit(requests=7, per=60, burst=1), 0.0
    assert wait(rate, now=now) == 0
    for _ in range(50):
        now += wait(rate, now=now)
        assert wait(rate, now=now) == 0


def test_refusals_cost_nothing() -> None:
    rate = limit(requests=1, per=10, burst=1)
    assert wait(rate, now=0) == 0
    assert [wait(rate, now=now) for now in (1, 2, 3, 9)] == [9, 8, 7, 1]
    assert wait(rate, now=10) == 0


def test_each_user_has_a_bucket_wherever_he_comes_from() -> None:
    rate = limit(burst=1)
    assert wait(rate, "7", HERE) == 0
    assert wait(rate, "7", THERE) > 0
    assert wait(rate, "8", HERE) == 0


def test_who_is_no_user_has_that_of_his_address() -> None:
    rate = limit(burst=1)
    assert wait(rate, None, "2001:db8::1") == 0
    assert wait(rate, None, "2001:db8::ffff") > 0
    assert wait(rate, None, "2001:db8:0:1::1") == 0
    # A user is nobody's address, whatever he is called.
    assert wait(rate, None, "0.0.0.7") == 0
    assert wait(rate, "7", "0.0.0.7") == 0


def test_by_address_users_share_it() -> None:
    rate = limit(burst=1, by_user=False)
    assert wait(rate, "7", HERE) == 0
    assert wait(rate, "8", HERE) > 0
    assert wait(rate, "7", THERE) == 0


def test_what_is_no_address_is_one_client() -> None:
    rate = limit(burst=1)
    assert wait(rate, None, "unknown") == 0
    assert wait(rate, None, "") > 0


@pytest.mark.parametrize("max_clients", [1, 2, 10, 101])
def test_s83_the_memory_is_bounded(max_clients: int) -> None:
    rate = limit(max_clients=max_clients)
    for number in range(500):
        wait(rate, str(number))
        wait(rate, str(number // 2))
        assert len(rate) <= max(2, max_clients)


def test_s83_an_empty_bucket_outlives_strangers_whether_its_owner_is_refused_or_not() -> None:
    rate = limit(requests=1, per=3600, burst=1, max_clients=100)
    assert wait(rate, "7") == 0
    for number in range(1000):
        assert wait(rate, f"stranger {number}") == 0
        if number % 49 == 0:
            assert wait(rate, "7") > 0


@given(
    st.integers(1, 20),
    st.integers(1, 100),
    st.integers(1, 20),
    st.lists(st.integers(0, 3000), max_size=60),
)
def test_it_is_a_bucket_that_is_counted_in_tokens(requests: int, per: int, burst: int, gaps: list[int]) -> None:
    """Against the bucket of textbooks, in whole numbers and hundredths of a second."""
    rate = limit(requests, per, burst)
    unit = 100 * per  # a token, when each hundredth brings `requests` parts
    level, now = burst * unit, 0
    for gap in gaps:
        now += gap
        level = min(burst * unit, level + gap * requests)
        passes = level >= unit
        assert (wait(rate, now=now / 100) == 0) is passes
        if passes:
            level -= unit
