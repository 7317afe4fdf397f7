"""Refresh: a refresh token for a new access token and, with rotation, for a new refresh token (contract §4)."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.auth.issuer import TokenIssuer
from gateway.auth.verifier import TokenVerifier
from gateway.endpoints.ledger import Ledger
from gateway.errors import Reason, Refused
from gateway.interfaces import UserDirectory
from gateway.observability.audit import AuditLog, Origin
from gateway.types import Claims


class Refresh:
    """`POST {refresh}` → `{access}`, with rotation `{access, refresh}`.

    With rotation a token is good once, also among parallel requests and several workers: whoever records it first gets
    the successors. A spent token that comes back ends its session, for nobody can tell the owner from the thief
    (RFC 9700 §4.14.2).
    """

    name = "Token Refresh"
    description = "Exchanges a valid refresh token for a new access token."
    fields = ("refresh",)

    def __init__(
        self,
        *,
        directory: UserDirectory,
        verifier: TokenVerifier,
        issuer: TokenIssuer,
        ledger: Ledger,
        audit: AuditLog,
        clock: Callable[[], float],
        rotates: bool,
    ) -> None:
        self._directory = directory
        self._verifier = verifier
        self._issuer = issuer
        self._ledger = ledger
        self._audit = audit
        self._clock = clock
        self._rotates = rotates

    async def answer(self, values: Mapping[str, str], origin: Origin) -> Mapping[str, Any]:
        now = self._clock()
        user_id = None
        try:
            claims = self._verifier.decode(values["refresh"].encode(), now)
            user_id = readable_user_id(self._verifier, claims)
            return await self._renew(claims, now, origin)
        except Refused as refusal:
            self._audit.refresh_refused(origin, user_id=user_id, reason=refusal.reason)
            raise

    async def _renew(self, claims: Claims, now: float, origin: Origin) -> Mapping[str, Any]:
        if await self._ledger.is_revoked(claims):
            await self._on_revoked(claims, now, origin)
        self._verifier.require(claims, "refresh")
        await self._require_active_user(claims)
        answer = {"access": self._issuer.access_from(claims, now)}
        if self._rotates:
            answer["refresh"] = self._issuer.refresh_from(claims, now)
            # Spent after issuing, so that no failure in between costs the user the session, and before answering.
            if not await self._ledger.spend(claims):
                await self._on_revoked(claims, now, origin)
        return answer

    async def _on_revoked(self, claims: Claims, now: float, origin: Origin) -> None:
        if self._rotates and await self._ledger.end_session(claims, now):
            self._audit.session_revoked(origin, user_id=readable_user_id(self._verifier, claims))
        raise Refused(Reason.TOKEN_REVOKED)

    async def _require_active_user(self, claims: Claims) -> None:
        try:
            user_id = self._verifier.user_id(claims)
        except Refused as refusal:
            # The library fails with 500 for an id that no user can have.
            if refusal.reason is Reason.USER_NOT_FOUND:
                raise Refused(Reason.NO_ACTIVE_ACCOUNT) from None
            raise
        user = await self._directory.find_by_id(user_id)
        if user is None or not user.is_active:
            raise Refused(Reason.NO_ACTIVE_ACCOUNT)


def readable_user_id(verifier: TokenVerifier, claims: Claims) -> str | None:
    """The user id for the audit trail; None where the token names no possible user."""
    try:
        return verifier.user_id(claims)
    except Refused:
        return None
