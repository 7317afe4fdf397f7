"""Gives back to a store what it has lost: revocations that this process has heard of, and that it no longer has."""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from gateway.auth.revocation import RevocationList
from gateway.interfaces import StateStore
from gateway.types import Revocation, RevokedKind

logger: Final = logging.getLogger("gateway")

_STEP: Final = 100  # revocations: a fifth of a second where each waits for a disk, and then the feed has its turn

_ADVICE: Final = "It was emptied or set back, and sessions may be lost, too. See that it keeps what it is told."


class Restoration:
    """`clock` gives Unix seconds. Every process that knows of a revocation gives it back: the first one does it."""

    def __init__(self, *, store: StateStore, revocations: RevocationList, clock: Callable[[], float]) -> None:
        self._store = store
        self._revocations = revocations
        self._clock = clock
        self._missing: dict[tuple[RevokedKind, str], Revocation] = {}
        self._given_back = 0
        self.total = 0

    @property
    def is_due(self) -> bool:
        """Whether there is something to give back."""
        return bool(self._missing)

    def compare(self, told: Iterable[Revocation]) -> None:
        """`told` is all that the store has."""
        has = {(each.kind, each.id): each for each in told}
        now = self._clock()
        for known in self._revocations.entries():
            key = (known.kind, known.id)
            if known.expires_at > now and not (key in has and _covers(has[key], known)):
                self._missing[key] = known

    async def step(self) -> None:
        """Give back some of it. Raises `StoreUnavailable`; then it is still to be given back."""
        for key in list(self._missing)[:_STEP]:
            self._given_back += await self._store.revoke(self._missing[key])
            del self._missing[key]
        if not self._missing and self._given_back:
            logger.error("store_lost_data revocations_given_back=%d detail=%s", self._given_back, _ADVICE)
            self.total += self._given_back
            self._given_back = 0


def _covers(one: Revocation, other: Revocation) -> bool:
    return one.expires_at >= other.expires_at and one.up_to >= other.up_to
