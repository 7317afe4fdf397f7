"""Which tokens and sessions are spent or revoked: the store is the truth, the list in memory hears of it at once."""

import math

from gateway.auth.revocation import RevocationList
from gateway.auth.verifier import TokenVerifier
from gateway.interfaces import StateStore
from gateway.types import Claims, Revocation, RevokedKind


class Ledger:
    """What refresh, verify and blacklist ask and record. Every method may raise `StoreUnavailable`.

    `session_lifetime` and `leeway` are seconds: a revocation is kept until the last token that it
    can concern has ended.
    """

    def __init__(
        self,
        *,
        store: StateStore,
        revocations: RevocationList,
        verifier: TokenVerifier,
        session_claim: str,
        session_lifetime: float,
        leeway: float,
    ) -> None:
        self._store = store
        self._revocations = revocations
        self._verifier = verifier
        self._session_claim = session_claim
        self._session_lifetime = session_lifetime
        self._leeway = leeway

    async def is_revoked(self, claims: Claims) -> bool:
        """Whether the token or its session is revoked here or, as far as the store knows, by another worker."""
        token_id, session_id = self._verifier.token_id(claims), self._session_id(claims)
        if self._revocations.is_revoked(token_id, session_id):
            return True
        if token_id is not None and await self._store.is_revoked(RevokedKind.TOKEN, token_id):
            return True
        return session_id is not None and await self._store.is_revoked(RevokedKind.SESSION, session_id)

    async def spend(self, claims: Claims) -> bool:
        """Revoke this token (its `exp` and `jti` are there, `verifier.require` saw them); False if it was before."""
        token_id = self._verifier.token_id(claims)
        if token_id is None:
            raise ValueError("a token without an id cannot be spent")
        expires_at = math.ceil(claims["exp"] + self._leeway)
        return await self._record(Revocation(kind=RevokedKind.TOKEN, id=token_id, expires_at=expires_at))

    async def end_session(self, claims: Claims, now: float) -> bool:
        """Revoke every token of this token's session; False if there is none or it was ended before."""
        session_id = self._session_id(claims)
        if session_id is None:
            return False
        # The youngest token of the session may have been issued this very second.
        expires_at = math.ceil(now + self._session_lifetime + self._leeway)
        return await self._record(Revocation(kind=RevokedKind.SESSION, id=session_id, expires_at=expires_at))

    async def _record(self, revocation: Revocation) -> bool:
        is_new = await self._store.revoke(revocation)
        self._revocations.add(revocation)
        return is_new

    def _session_id(self, claims: Claims) -> str | None:
        session_id = claims.get(self._session_claim)
        return session_id if isinstance(session_id, str) and session_id else None
