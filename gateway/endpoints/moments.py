"""Tokens tell their age in whole seconds, so one of the second in which something was cut off could be from before."""

import asyncio
import math

from gateway.errors import StoreUnavailable


async def next_second(now: float) -> None:
    """Wait until a token can be issued that is later than the second of `now` (Unix seconds)."""
    await asyncio.sleep(math.floor(now) + 1 - now)


def require_past(cut_off: int, now: float) -> None:
    """Raises `StoreUnavailable` for a cut-off that no waiting for the next second will pass."""
    if cut_off > now + 1:
        raise in_the_future()


def in_the_future() -> StoreUnavailable:
    """To be raised for what is to count from a moment that has not come."""
    return StoreUnavailable(
        "A user was changed, or his tokens revoked, in the future: the clocks of gateway and store differ; set them."
    )
