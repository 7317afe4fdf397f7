"""Revoked tokens and sessions, in memory: asked on every request, also for tokens that are known to be good."""

import heapq

from gateway.types import Revocation, RevokedKind


class RevocationList:
    """What is refused, until it would have ended anyway.

    Two plain look-ups a request and no clock: an entry past its time concerns no living token, so it does no harm until
    `purge`. That takes the due entries off a heap; a walk through 100,000 would hold the loop for milliseconds.
    """

    __slots__ = ("_by_expiry", "_sessions", "_tokens")

    def __init__(self) -> None:
        self._tokens: dict[str | None, int] = {}
        self._sessions: dict[str | None, int] = {}
        self._by_expiry: list[tuple[int, RevokedKind, str]] = []

    def add(self, revocation: Revocation) -> None:
        """Refuse it from now on. Of two for the same id the one that lasts longer counts."""
        entries = self._entries(revocation.kind)
        known = entries.get(revocation.id)
        if known is None or known < revocation.expires_at:
            entries[revocation.id] = revocation.expires_at
            heapq.heappush(self._by_expiry, (revocation.expires_at, revocation.kind, revocation.id))

    def is_revoked(self, token_id: str | None, session_id: str | None) -> bool:
        """Whether the token or its session is revoked; None is never on the list."""
        return token_id in self._tokens or session_id in self._sessions

    def purge(self, now: float) -> None:
        """Forget what expired: `expires_at` <= `now`."""
        while self._by_expiry and self._by_expiry[0][0] <= now:
            expires_at, kind, revoked_id = heapq.heappop(self._by_expiry)
            entries = self._entries(kind)
            if entries.get(revoked_id) == expires_at:  # else it was extended, and stands further back
                del entries[revoked_id]

    def __len__(self) -> int:
        return len(self._tokens) + len(self._sessions)

    def _entries(self, kind: RevokedKind) -> dict[str | None, int]:
        return self._tokens if kind is RevokedKind.TOKEN else self._sessions
