"""Brings what others changed (another process, `gateway user disable`) to the memory that the data plane uses."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from gateway.auth.revocation import RevocationList
from gateway.auth.verified_tokens import VerifiedTokens
from gateway.errors import StoreUnavailable
from gateway.interfaces import StateStore, UserDirectory
from gateway.proxy.long_exchanges import LongExchanges

logger: Final = logging.getLogger("gateway")

_POLL_SECONDS: Final = 1.0
_PURGE_SECONDS: Final = 600.0
_STALE_SECONDS: Final = 10.0  # more than a transaction waits for a locked file, and a few polls


class ChangeFeed:
    """Polls user changes and revocations about once a second; a poll that finds nothing costs microseconds.

    `clock` gives Unix seconds.
    """

    def __init__(
        self,
        *,
        directory: UserDirectory,
        store: StateStore,
        known_users: VerifiedTokens,
        revocations: RevocationList,
        long_exchanges: LongExchanges,
        clock: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._store = store
        self._known_users = known_users
        self._revocations = revocations
        self._long_exchanges = long_exchanges
        self._clock = clock
        self._user_position = 0
        self._revocation_position = 0
        self._is_reachable = True
        self._caught_up_at = float("-inf")

    @property
    def is_current(self) -> bool:
        """Whether what is known here is what the store says, about a second ago at most."""
        return self._is_reachable and self.staleness < _STALE_SECONDS

    @property
    def staleness(self) -> float:
        """Seconds since what is known here was what the store says."""
        return self._clock() - self._caught_up_at

    async def catch_up(self) -> None:
        """Read everything up to now. Raises `StoreUnavailable`."""
        changes = await self._directory.changes_since(self._user_position)
        self._user_position = changes.position
        if changes.everything:
            self._known_users.clear()
            self._long_exchanges.on_users_changed(None)
        elif changes.user_ids:
            self._known_users.forget_users(changes.user_ids)
            self._long_exchanges.on_users_changed(changes.user_ids)
        news = await self._store.revocations_since(self._revocation_position)
        self._revocation_position = news.position
        for revocation in news.revocations:
            self._revocations.add(revocation)
        self._caught_up_at = self._clock()

    async def follow(self) -> None:
        """Catch up again and again until cancelled. While the store is away, what is known goes on counting."""
        purge_in = 0.0
        while True:
            try:
                await self.catch_up()
                if purge_in <= 0:
                    purge_in = _PURGE_SECONDS
                    now = self._clock()
                    self._revocations.purge(now)
                    await self._store.purge(int(now))
                self._note(is_reachable=True)
            except StoreUnavailable as error:
                self._note(is_reachable=False, detail=str(error))
            except Exception as error:
                # On purpose wide: a feed that ended would let revoked tokens pass until the next start.
                self._note(is_reachable=False, defect=error)
            await asyncio.sleep(_POLL_SECONDS)
            purge_in -= _POLL_SECONDS

    def _note(self, *, is_reachable: bool, detail: str = "unforeseen", defect: Exception | None = None) -> None:
        """One line when the store goes and one when it comes back, not one a second."""
        if is_reachable == self._is_reachable:
            return
        self._is_reachable = is_reachable
        if is_reachable:
            logger.warning("store_recovered")
        else:
            logger.error("store_unavailable error=%s", detail, exc_info=defect)
