import time

import pytest

from gateway.endpoints.moments import next_second, require_past
from gateway.errors import StoreUnavailable


async def test_the_next_second_is_waited_for() -> None:
    now = time.time()
    await next_second(now)
    assert int(time.time()) == int(now) + 1


@pytest.mark.parametrize("cut_off", [0, 100, 101])
def test_what_the_next_second_passes_is_past(cut_off: int) -> None:
    require_past(cut_off, 100.5)


def test_what_lies_further_ahead_is_a_clock_that_is_wrong() -> None:
    with pytest.raises(StoreUnavailable, match="clocks"):
        require_past(102, 100.5)
