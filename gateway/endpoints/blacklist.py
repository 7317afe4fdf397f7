"""Blacklist, which is log-out: a refresh token is revoked; having it is proof enough (contract §6)."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.auth.verifier import TokenVerifier
from gateway.endpoints.ledger import Ledger
from gateway.endpoints.refresh import readable_user_id
from gateway.errors import Reason, Refused
from gateway.observability.audit import AuditLog, Origin
from gateway.types import Claims


class Blacklist:
    """`POST {refresh}` → `{}`. Nobody looks at the user: tokens of deleted users can be revoked, too.

    With `revokes_access` the whole session ends, the access tokens with it; the library lets those live.
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
        revokes_access: bool,
    ) -> None:
        self._verifier = verifier
        self._ledger = ledger
        self._audit = audit
        self._clock = clock
        self._revokes_access = revokes_access

    async def answer(self, values: Mapping[str, str], origin: Origin) -> Mapping[str, Any]:
        now = self._clock()
        user_id = None
        try:
            claims = self._verifier.decode(values["refresh"].encode(), now)
            user_id = readable_user_id(self._verifier, claims)
            await self._revoke(claims, now)
        except Refused as refusal:
            self._audit.logout_refused(origin, user_id=user_id, reason=refusal.reason)
            raise
        self._audit.logout_succeeded(origin, user_id=user_id)
        return {}

    async def _revoke(self, claims: Claims, now: float) -> None:
        if await self._ledger.is_revoked(claims):
            raise Refused(Reason.TOKEN_REVOKED)
        self._verifier.require(claims, "refresh")
        if self._revokes_access:
            # First: should the store fail in between, the session has ended, and the refresh token with it.
            await self._ledger.end_session(claims, now)
        if not await self._ledger.spend(claims):
            raise Refused(Reason.TOKEN_REVOKED)
