"""Requests a second of one user or address: a token bucket for each, in one number.

Theory of operation (the virtual scheduling of GCRA, ITU-T I.371). A bucket that is filled at a steady rate is told by
the moment at which it will be full again: each request moves that `interval` seconds on, and passes as long as it lies
no further ahead than a whole bucket. A bucket that is full needs no number at all.

Two generations, as in `verified_tokens`: a full young one becomes the old one, and what nobody asked for in between is
gone. Whoever wants a bucket forgotten so has to come from as many addresses as a generation holds.
"""

import math
from typing import Final, TypeAlias

from gateway.errors import Reason, Refused
from gateway.http.addresses import client_group

_Key: TypeAlias = str | int  # a user's id or an address' group; never equal

_ROUNDING: Final = 1e-6  # seconds; sums of intervals differ from their product by less


class RateLimit:
    """`requests` in `per` seconds, `burst` of them at once, of each user (by address who is none) or each address.

    `max_clients` bounds how many are remembered.
    """

    __slots__ = ("_by_user", "_generation_size", "_interval", "_old", "_slack", "_young")

    def __init__(self, *, requests: int, per: float, burst: int, by_user: bool, max_clients: int) -> None:
        self._interval = per / requests
        self._slack = (burst - 1) * self._interval + _ROUNDING
        self._by_user = by_user
        self._generation_size = max(1, max_clients // 2)
        self._young: dict[_Key, float] = {}  # when the bucket is full again
        self._old: dict[_Key, float] = {}

    def admit(self, user_id: str | None, address: str, now: float) -> None:
        """Take one request out of the bucket of this user, None for nobody, or of the address; `now` is of any clock.

        Raises `Refused` (THROTTLED) when there is none in it.
        """
        key: _Key = client_group(address) if user_id is None or not self._by_user else user_id
        full_at = self._young.get(key)
        if full_at is None:
            full_at = self._recall(key, now)
        if full_at <= now:
            full_at = now
        elif full_at - now > self._slack:
            raise Refused(Reason.THROTTLED, retry_after=max(1, math.ceil(full_at - now - self._slack)))
        self._young[key] = full_at + self._interval

    def _recall(self, key: _Key, now: float) -> float:
        full_at = self._old.get(key, now)
        if len(self._young) >= self._generation_size:
            self._old, self._young = self._young, {}
        self._young[key] = full_at
        return full_at

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
