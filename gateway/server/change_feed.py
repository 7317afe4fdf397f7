"""Brings what others changed (another process, `gateway user disable`) to the memory that the data plane uses."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from gateway.auth.revocation import RevocationList
from gateway.errors import StoreUnavailable
from gateway.interfaces import StateStore, UserDirectory
from gateway.proxy.admission import Admission
from gateway.proxy.long_exchanges import LongExchanges
from gateway.server.audit_relay import AuditRelay
from gateway.server.restoration import Restoration

logger: Final = logging.getLogger("gateway")

_POLL_SECONDS: Final = 0.5  # half of what is promised: users may be where nobody tells of them, apart from the state
_STALE_SECONDS: Final = 10.0  # more than a transaction waits for a locked file, and a few polls


class ChangeFeed:
    """Brings user changes and revocations within a second, at once where the store tells; a look costs microseconds.

    `clock` gives Unix seconds. `max_staleness` (seconds, or infinity): for how long after a look tokens are trusted.
    `relay` is asked at each look, where this process is the one that writes what commands have changed.
    """

    def __init__(
        self,
        *,
        directory: UserDirectory,
        store: StateStore,
        admission: Admission,
        revocations: RevocationList,
        long_exchanges: LongExchanges,
        clock: Callable[[], float],
        max_staleness: float,
        relay: AuditRelay | None = None,
    ) -> None:
        self._directory = directory
        self._store = store
        self._admission = admission
        self._revocations = revocations
        self._long_exchanges = long_exchanges
        self._clock = clock
        self._max_staleness = max_staleness
        self._relay = relay
        self._user_position = 0
        self._revocation_position = 0
        self._restoration = Restoration(store=store, revocations=revocations, clock=clock)
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

    @property
    def given_back(self) -> int:
        """How many revocations the store had lost and has got back from here."""
        return self._restoration.total

    async def catch_up(self) -> None:
        """Read everything up to now. Raises `StoreUnavailable`; what could be read until then counts.

        Users and sessions may live in two stores: a log-out is heard of also while nobody can be asked about users.
        """
        began = self._clock()
        failure: StoreUnavailable | None = None
        for read in (self._read_revocations, self._read_user_changes):
            try:
                await read()
            except StoreUnavailable as error:
                failure = error
        if failure is not None:
            raise failure
        self._caught_up_at = began
        self._admission.trusted_until = began + self._max_staleness

    async def _read_user_changes(self) -> None:
        changes = await self._directory.changes_since(self._user_position)
        self._user_position = changes.position
        if changes.everything:
            self._admission.known_users.clear()
            self._long_exchanges.on_users_changed(None)
        elif changes.user_ids:
            self._admission.known_users.forget_users(changes.user_ids)
            self._long_exchanges.on_users_changed(changes.user_ids)

    async def _read_revocations(self) -> None:
        news = await self._store.revocations_since(self._revocation_position)
        self._revocation_position = news.position
        for revocation in news.revocations:
            self._revocations.add(revocation)
        if news.begins_anew:
            self._restoration.compare(news.revocations)

    async def follow(self) -> None:
        """Catch up again and again until cancelled. While the store is away, what is known goes on counting."""
        while True:
            try:
                await self.catch_up()
                self._note(is_reachable=True)
                if self._relay is not None:
                    await self._relay.pass_on()
                if self._restoration.is_due:
                    await self._restoration.step()
                    continue
                await self._store.wait_for_revocations(_POLL_SECONDS)
                continue
            except StoreUnavailable as error:
                self._note(is_reachable=False, detail=str(error))
            except Exception as error:
                # On purpose wide: a feed that ended would let revoked tokens pass until the next start.
                self._note(is_reachable=False, defect=error)
            await asyncio.sleep(_POLL_SECONDS)

    def _note(self, *, is_reachable: bool, detail: str = "unforeseen", defect: Exception | None = None) -> None:
        """One line when the store goes and one when it comes back, not one a second."""
        if is_reachable == self._is_reachable:
            return
        self._is_reachable = is_reachable
        if is_reachable:
            logger.warning("store_recovered")
        else:
            logger.error("store_unavailable error=%s", detail, exc_info=defect)
