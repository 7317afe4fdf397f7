"""Blacklist, which is log-out: a refresh token is revoked; having it is proof enough (contract §6)."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.auth.verifier import TokenVerifier
from gateway.endpoints.ledger import Ledger
from gateway.errors import Reason, Refused
from gateway.observability.audit import AuditLog, Origin
from gateway.types import Claims, TokenReference


class Blacklist:
    """`POST {refresh}` → `{}`. Nobody looks at the user: tokens of deleted users can be revoked, too.

    The whole session ends, the access tokens with it; the library lets those live.
    """

    name = "Token Blacklist"
    description = "Revokes a refresh token: log-out."
    fields = ("refresh",)

    def __init__(
        self,
        *,
        verifier: TokenVerifier,
        ledger: Ledger,
        audit: AuditLog,
        clock: Callable[[], float],
    ) -> None:
        self._verifier = verifier
        self._ledger = ledger
        self._audit = audit
        self._clock = clock

    async def answer(self, values: Mapping[str, str], origin: Origin) -> Mapping[str, Any]:
        now = self._clock()
        token = None
        try:
            claims = self._verifier.decode(values["refresh"].encode(), now)
            token = self._verifier.reference(claims)
            await self._revoke(claims, token, now, origin)
        except Refused as refusal:
            self._audit.logout_refused(origin, token, reason=refusal.reason)
            raise
        self._audit.logout_succeeded(origin, token)
        return {}

    async def _revoke(self, claims: Claims, token: TokenReference, now: float, origin: Origin) -> None:
        if await self._ledger.is_revoked(token):
            raise Refused(Reason.TOKEN_REVOKED)
        self._verifier.require(claims, "refresh")
        if await self._ledger.is_spent(token):
            # The answer is the library's; that the owner wants to leave, or a thief has come, ends the session anyway.
            await self._ledger.end_reused(token, claims, now, origin)
            raise Refused(Reason.TOKEN_REVOKED)
        if not await self._ledger.end_session(token.session_id or "", now, token_ends_at=claims["exp"]):
            raise Refused(Reason.TOKEN_REVOKED)
