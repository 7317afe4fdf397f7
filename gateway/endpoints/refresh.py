"""Refresh: a refresh token for a new access token and, with rotation, for a new refresh token (contract §4)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.auth.issuer import TokenIssuer
from gateway.auth.policy import require_user
from gateway.auth.verifier import TokenVerifier
from gateway.endpoints.ledger import Ledger
from gateway.endpoints.moments import next_second
from gateway.errors import Reason, Refused
from gateway.interfaces import UserDirectory
from gateway.observability.audit import AuditLog, Origin
from gateway.types import Claims, TokenReference, User

_NO_ACCOUNT: Final = frozenset({Reason.USER_NOT_FOUND, Reason.USER_INACTIVE})


class Refresh:
    """`POST {refresh}` → `{access}`, with rotation `{access, refresh}`.

    With rotation a token has one successor, however many show it, here or at other workers (`auth.sessions`). What a
    token says of its user is written anew: roles that he has lost are not refreshed.
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
        token = None
        try:
            claims = self._verifier.decode(values["refresh"].encode(), self._clock())
            token = self._verifier.reference(claims)
            answer = await self._renew(claims, token, origin)
        except Refused as refusal:
            self._audit.refresh_refused(origin, token, reason=refusal.reason)
            raise
        self._audit.refresh_succeeded(origin, token)
        return answer

    async def _renew(self, claims: Claims, token: TokenReference, origin: Origin) -> Mapping[str, Any]:
        user, now = await self._current_user(claims, token)
        session = await self._ledger.exchange(token, claims, now, origin)
        ends_at = self._ledger.ends_at(session.created_at)
        claims = self._issuer.renewed(claims, user, session.id)
        answer = {"access": self._issuer.access_from(claims, now, ends_at=ends_at)}
        if self._rotates:
            answer["refresh"] = self._issuer.refresh_from(
                claims, token_id=session.token_id, issued_at=session.rotated_at, ends_at=ends_at
            )
        return answer

    async def _current_user(self, claims: Claims, token: TokenReference) -> tuple[User, float]:
        """The active user, and a moment at which a token can be issued to him that is not cut off at once."""
        while True:
            # Before anything is asked: what is cut off after that, with all that was issued until then, takes the new
            # tokens along.
            now = self._clock()
            if await self._ledger.is_revoked(token):
                raise Refused(Reason.TOKEN_REVOKED)
            self._verifier.require(claims, "refresh")
            user = await self._user(claims, token)
            if not await self._ledger.is_cut_off(user, now):
                return user, now
            await next_second(now)

    async def _user(self, claims: Claims, token: TokenReference) -> User:
        try:
            user_id = self._verifier.user_id(claims)
        except Refused as refusal:
            # The library fails with 500 for an id that no user can have.
            raise _refusal(refusal.reason) from None
        user = await self._directory.find_by_id(user_id)
        try:
            return require_user(token, user)
        except Refused as refusal:
            # The refresh token may say what is no longer so; it is not believed.
            if user is None or refusal.reason is not Reason.TOKEN_OUTDATED:
                raise _refusal(refusal.reason) from None
            return user


def _refusal(reason: Reason) -> Refused:
    """In the words of this endpoint (contract §4)."""
    return Refused(Reason.NO_ACTIVE_ACCOUNT if reason in _NO_ACCOUNT else reason)
