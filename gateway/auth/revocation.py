"""What is revoked, in memory: asked on every request, also for tokens that are known to be good."""

import heapq
from collections.abc import Iterator
from typing import Final

from gateway.types import IssuedToken, Revocation, RevokedKind

_NEVER: Final = -1  # no token was issued before


class RevocationList:
    """What is refused, until it would have ended anyway.

    A few plain look-ups a request and no clock: an entry past its time concerns no living token, so it does no harm
    until `purge`. That takes the due entries off a heap; a walk through 100,000 would hold the loop for milliseconds.
    """

    __slots__ = ("_by_expiry", "_everything", "_everything_until", "_sessions", "_tokens", "_users")

    def __init__(self) -> None:
        self._tokens: dict[str, int] = {}
        self._sessions: dict[str, int] = {}
        self._users: dict[str, tuple[int, int]] = {}  # up to when, and until when it is remembered
        self._everything = _NEVER  # one number: nothing to forget
        self._everything_until = _NEVER
        self._by_expiry: list[tuple[int, RevokedKind, str]] = []

    def add(self, revocation: Revocation) -> None:
        """Refuse it from now on. Of two for the same id the one that lasts longer and reaches later counts."""
        match revocation.kind:
            case RevokedKind.EVERYTHING:
                self._everything = max(self._everything, revocation.up_to)
                self._everything_until = max(self._everything_until, revocation.expires_at)
            case RevokedKind.USER:
                up_to, expires_at = self._users.get(revocation.id, (_NEVER, _NEVER))
                until = max(expires_at, revocation.expires_at)
                self._users[revocation.id] = (max(up_to, revocation.up_to), until)
                if until > expires_at:
                    heapq.heappush(self._by_expiry, (until, revocation.kind, revocation.id))
            case _:
                entries = self._tokens if revocation.kind is RevokedKind.TOKEN else self._sessions
                known = entries.get(revocation.id, _NEVER)
                if revocation.expires_at > known:
                    entries[revocation.id] = revocation.expires_at
                    heapq.heappush(self._by_expiry, (revocation.expires_at, revocation.kind, revocation.id))

    def is_revoked(self, token: IssuedToken) -> bool:
        """Whether the token, its session, or all that its user or everybody had when it was issued, is revoked."""
        return (
            token.token_id in self._tokens
            or token.session_id in self._sessions
            or token.issued_at <= self._everything
            or (token.user_id in self._users and token.issued_at <= self._users[token.user_id][0])
        )

    def purge(self, now: float) -> None:
        """Forget what expired: `expires_at` <= `now`."""
        while self._by_expiry and self._by_expiry[0][0] <= now:
            expires_at, kind, revoked_id = heapq.heappop(self._by_expiry)
            match kind:  # an entry that was extended stands further back once more
                case RevokedKind.USER:
                    if revoked_id in self._users and self._users[revoked_id][1] == expires_at:
                        del self._users[revoked_id]
                case _:
                    entries = self._tokens if kind is RevokedKind.TOKEN else self._sessions
                    if entries.get(revoked_id) == expires_at:
                        del entries[revoked_id]

    def entries(self) -> Iterator[Revocation]:
        """All that is refused, and perhaps what has expired."""
        for kind, entries in ((RevokedKind.TOKEN, self._tokens), (RevokedKind.SESSION, self._sessions)):
            for revoked_id, expires_at in entries.items():
                yield Revocation(kind=kind, id=revoked_id, expires_at=expires_at)
        for user_id, (up_to, expires_at) in self._users.items():
            yield Revocation(kind=RevokedKind.USER, id=user_id, expires_at=expires_at, up_to=up_to)
        if self._everything != _NEVER:
            until = self._everything_until
            yield Revocation(kind=RevokedKind.EVERYTHING, id="", expires_at=until, up_to=self._everything)

    def __len__(self) -> int:
        return len(self._tokens) + len(self._sessions) + len(self._users)
