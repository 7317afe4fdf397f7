"""Forgets what has expired, in this process's memory and in the store."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from gateway.auth.revocation import RevocationList
from gateway.errors import StoreUnavailable
from gateway.interfaces import StateStore

logger: Final = logging.getLogger("gateway")

_PURGE_SECONDS: Final = 600.0


class Housekeeping:
    """Beside the change feed, not in it: where a million sessions end at once, a purge takes minutes.

    `clock` gives Unix seconds.
    """

    def __init__(self, *, store: StateStore, revocations: RevocationList, clock: Callable[[], float]) -> None:
        self._store = store
        self._revocations = revocations
        self._clock = clock

    async def follow(self) -> None:
        """Purge again and again until cancelled."""
        while True:
            now = self._clock()
            self._revocations.purge(now)
            try:
                await self._store.purge(int(now))
            except StoreUnavailable as error:
                logger.warning("purge_postponed error=%s", error)
            except Exception:
                # On purpose wide: without it tables would grow until the next start.
                logger.exception("purge_postponed error=unforeseen")
            await asyncio.sleep(_PURGE_SECONDS)
