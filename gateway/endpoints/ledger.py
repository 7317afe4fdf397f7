"""Which tokens and sessions are spent or revoked: the store is the truth, the list in memory hears of it at once."""

import dataclasses
import math
from typing import Final

from gateway.auth.issuer import Lifetimes, new_token_id
from gateway.auth.revocation import RevocationList
from gateway.auth.sessions import (
    SessionRules,
    Standing,
    forgotten_at,
    printable_user_agent,
    rotated,
    session_id_for,
)
from gateway.endpoints.moments import in_the_future, require_past
from gateway.errors import Reason, Refused, StoreUnavailable
from gateway.interfaces import StateStore
from gateway.observability.audit import AuditLog, Origin
from gateway.types import Claims, Revocation, RevokedKind, Session, TokenReference, User

# A user's sessions that are looked at for a list: a script that logs in each minute leaves some of them a day.
_PAGE, _MAX_PAGES = 1000, 5

_MAX_ATTEMPTS: Final = 4  # who loses against another refresh finds its result at the next look


class Ledger:
    """What the endpoints ask and record of tokens and sessions. Every method may raise `StoreUnavailable`.

    `leeway` is in seconds: what is recorded is kept until the last token that it can concern has ended.
    """

    def __init__(
        self,
        *,
        store: StateStore,
        revocations: RevocationList,
        rules: SessionRules,
        lifetimes: Lifetimes,
        leeway: float,
        audit: AuditLog,
    ) -> None:
        self._store = store
        self._revocations = revocations
        self._rules = rules
        self._lifetimes = lifetimes
        self._leeway = leeway
        self._audit = audit

    # Revocations

    async def is_revoked(self, token: TokenReference) -> bool:
        """Whether the token is revoked here or, as far as the store knows, by another worker."""
        return self._revocations.is_revoked(token) or await self._store.is_revoked(token)

    async def is_cut_off(self, user: User, now: float) -> bool:
        """Whether a token that is issued to this user now would be refused, because of what happened in this second.

        Raises `StoreUnavailable` when it happened in the future.
        """
        second = int(now)
        changed_at = max(user.credentials_changed_at, user.claims_changed_at)
        require_past(changed_at, now)
        if not await self._is_revoked_at(user, second):
            return changed_at >= second
        if await self._is_revoked_at(user, second + 2):
            raise in_the_future()
        return True

    async def _is_revoked_at(self, user: User, second: int) -> bool:
        return await self.is_revoked(TokenReference(token_id=None, session_id=None, user_id=user.id, issued_at=second))

    async def end_session(self, session_id: str, now: float, *, token_ends_at: float = 0.0) -> bool:
        """Revoke every token of this session; False if it was ended before.

        `token_ends_at` is when the one ends that was shown for it: it may be of another issuer, who has longer ones.
        """
        session = await self._store.find_session(session_id)
        ends = [each + self._leeway for each in (now + self._lifetimes.longest, token_ends_at)]
        if session is not None:
            ends.append(session.expires_at)
        revocation = Revocation(kind=RevokedKind.SESSION, id=session_id, expires_at=forgotten_at(*ends))
        is_new = await self._store.revoke(revocation)
        self._revocations.add(revocation)
        return is_new

    # Sessions

    async def open_session(self, user: User, *, session_id: str, token_id: str, now: float, origin: Origin) -> None:
        """Record the log-in; `token_id` is its first refresh token."""
        await self._store.open_session(
            Session(
                id=session_id,
                user_id=user.id,
                token_id=token_id,
                parent_id=None,
                rotated_at=int(now),
                created_at=int(now),
                last_used_at=int(now),
                expires_at=self._expires_at(now + self._lifetimes.refresh, now),
                address=origin.client_address,
                user_agent=printable_user_agent(origin.user_agent),
            )
        )

    async def sessions_of(self, user_id: str, now: float) -> list[Session]:
        """The sessions of a user that are not over; where there are more than a thousand, some of them."""
        found: list[Session] = []
        after = ""
        for _ in range(_MAX_PAGES):
            page = await self._store.sessions(user_id=user_id, after=after, limit=_PAGE)
            found += [session for session in page if self._rules.is_open(session, now)]
            if len(page) < _PAGE or len(found) >= _PAGE:
                break
            after = page[-1].id
        return found

    async def owns_session(self, user_id: str, session_id: str, now: float) -> bool:
        """Whether this is one of his sessions that are not over."""
        session = await self._store.find_session(session_id)
        return session is not None and session.user_id == user_id and self._rules.is_open(session, now)

    async def is_spent(self, token: TokenReference) -> bool:
        """Whether this refresh token of a session that is not revoked has a successor."""
        session = await self._store.find_session(token.session_id or "")
        return session is not None and session.token_id != token.token_id

    async def exchange(self, token: TokenReference, claims: Claims, now: float, origin: Origin) -> Session:
        """Use a refresh token, which spends it when tokens rotate. The session's `token_id`, issued at `rotated_at`, is
        the refresh token that its owner has from now on.

        Raises `Refused`: TOKEN_REVOKED for one that was spent before (and ends its session) or that may have been,
        TOKEN_EXPIRED when the session has reached a limit.
        """
        session_id, token_id = token.session_id or "", token.token_id or ""
        for _ in range(_MAX_ATTEMPTS):
            session = await self._store.find_session(session_id)
            if session is None:
                if await self.is_revoked(token):  # a log-out took it, since the refresh began
                    raise Refused(Reason.TOKEN_REVOKED)
                if self._rules.rotates and token.session_id != session_id_for(token_id):
                    # One of ours, whose session is lost: nobody can tell any more whether it was spent.
                    raise Refused(Reason.TOKEN_REVOKED)
                await self._adopt(token, claims, now, origin)
                continue
            match self._rules.standing(session, token_id, now):
                case Standing.CURRENT:
                    used = self._used(session, claims, now, origin)
                    if await self._store.replace_session(session, used):
                        return used
                case Standing.PARENT:
                    return session
                case Standing.OVER:
                    raise Refused(Reason.TOKEN_EXPIRED)
                case Standing.SPENT:
                    await self.end_reused(token, claims, now, origin)
                    raise Refused(Reason.TOKEN_REVOKED)
        raise StoreUnavailable("A session changed at every look; its store may hold it for several gateways at odds.")

    async def end_reused(self, token: TokenReference, claims: Claims, now: float, origin: Origin) -> None:
        """A spent token came back: the session ends, and the audit trail says so."""
        if token.session_id is not None and await self.end_session(token.session_id, now, token_ends_at=claims["exp"]):
            self._audit.session_revoked(origin, token)

    def ends_at(self, created_at: float) -> float:
        """When a session that began then is over at the latest, Unix seconds."""
        return self._rules.ends_at(created_at)

    async def _adopt(self, token: TokenReference, claims: Claims, now: float, origin: Origin) -> None:
        """Begin a session with a token that names none, or whose session is lost where tokens do not rotate."""
        issued_at = min(token.issued_at, int(now)) or int(now)
        await self._store.open_session(
            Session(
                id=token.session_id or "",
                user_id=token.user_id or "",
                token_id=token.token_id or "",
                parent_id=None,
                rotated_at=issued_at,
                created_at=issued_at,
                last_used_at=int(now),
                expires_at=self._expires_at(claims["exp"], now),
                address=origin.client_address,
                user_agent=printable_user_agent(origin.user_agent),
            )
        )

    def _used(self, session: Session, claims: Claims, now: float, origin: Origin) -> Session:
        refresh_ends_at: float = claims["exp"]
        if self._rules.rotates:
            session = rotated(session, new_token_id(), int(now))
            refresh_ends_at = now + self._lifetimes.refresh
        return dataclasses.replace(
            session,
            last_used_at=int(now),
            expires_at=self._expires_at(refresh_ends_at, now),
            address=origin.client_address,
            user_agent=printable_user_agent(origin.user_agent),
        )

    def _expires_at(self, refresh_ends_at: float, now: float) -> int:
        return math.ceil(max(refresh_ends_at, now + self._lifetimes.access) + self._leeway)
