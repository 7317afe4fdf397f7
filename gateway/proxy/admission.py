"""May this request pass, and as whom? Synchronous but for the first sight of a user."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.auth.bearer import BearerReader
from gateway.auth.foreign_issuer import ForeignIssuers
from gateway.auth.identity import IdentityRenderer
from gateway.auth.policy import RoutePolicy, require_user
from gateway.auth.revocation import RevocationList
from gateway.auth.verified_tokens import VerifiedTokens
from gateway.auth.verifier import TokenVerifier
from gateway.errors import Reason, Refused
from gateway.interfaces import UserLookUp
from gateway.types import Claims, Principal


@dataclass(slots=True)
class UnknownUser:
    """A good token of a user who has not been looked up since the last change. `epoch` is from before the look-up."""

    token: bytes
    principal: Principal
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionRules:
    """What follows from the configuration: where a token stands, which ones are good, what the backend is told.

    `foreign` are issuers whose tokens count besides.
    """

    bearer: BearerReader
    verifier: TokenVerifier
    identity: IdentityRenderer
    roles_claim: str
    foreign: ForeignIssuers | None = None


class Admission:
    """Token → Principal, with a cache of verified tokens in front of the signature check and the user directory.

    After `trusted_until` (Unix seconds) nobody can tell any more what has been revoked since.
    """

    def __init__(
        self, *, rules: AdmissionRules, revocations: RevocationList, directory: UserLookUp, max_tokens: int
    ) -> None:
        self._revocations = revocations
        self._directory = directory
        self.trusted_until = float("inf")
        # Two caches: on a stateless route a token counts whose user nobody has looked up.
        self.known_users = VerifiedTokens(max_tokens=max_tokens)
        self._stateless = VerifiedTokens(max_tokens=max_tokens)
        self.swap(rules)

    def swap(self, rules: AdmissionRules) -> None:
        """Judge by these from now on. Nothing that was verified by others counts any more, nor what is being looked up:
        the caches' epoch keeps it out."""
        self._read_token: Callable[[list[bytes] | None], bytes | None] = rules.bearer.read
        self._verifier = rules.verifier
        self._foreign = rules.foreign
        self._identity = rules.identity
        self._leeway = rules.verifier.leeway  # expiry is checked on every request, cached or not
        self._roles_claim = rules.roles_claim
        self.forget_tokens()

    @property
    def caches(self) -> tuple[VerifiedTokens, VerifiedTokens]:
        return self.known_users, self._stateless

    def recognise(
        self, policy: RoutePolicy, token_fields: list[bytes] | None, now: float
    ) -> Principal | UnknownUser | None:
        """The principal, None for an anonymous request, or `UnknownUser` when `look_up` must be awaited.

        Raises `Refused` with the reason that SimpleJWT's authentication would give (contract §7), or STORE_UNAVAILABLE.
        """
        if not policy.reads_token:
            return None
        token = self._read_token(token_fields)
        if token is None:
            return None
        if now >= self.trusted_until:
            raise Refused(Reason.STORE_UNAVAILABLE)
        tokens = self._stateless if policy.is_stateless else self.known_users
        principal = tokens.get(token)
        if principal is None:
            epoch = tokens.epoch
            principal = self._verify(token, now)
            if principal.is_local and not policy.is_stateless:
                user = tokens.user(principal.user_id)
                if user is None:
                    return UnknownUser(token, principal, epoch)
                require_user(principal, user)
            tokens.put(token, principal, epoch=epoch)
        else:
            # A cached token was good once. Both can change without the cache being told, so both are asked every time.
            if principal.expires_at <= now:
                raise Refused(Reason.TOKEN_EXPIRED)
            if self._revocations.is_revoked(principal):
                raise Refused(Reason.TOKEN_REVOKED)
        return principal

    async def look_up(self, unknown: UnknownUser) -> Principal:
        """Raises `Refused`: USER_NOT_FOUND, USER_INACTIVE, PASSWORD_CHANGED, TOKEN_OUTDATED, or TOKEN_REVOKED for what
        was revoked meanwhile; `StoreUnavailable` when nobody can tell.
        """
        user = await self._directory.find_by_id(unknown.principal.user_id)
        if self._revocations.is_revoked(unknown.principal):
            raise Refused(Reason.TOKEN_REVOKED)
        self.known_users.learn(require_user(unknown.principal, user), epoch=unknown.epoch)
        self.known_users.put(unknown.token, unknown.principal, epoch=unknown.epoch)
        return unknown.principal

    def forget_tokens(self) -> None:
        """A key is gone: what it signed must be checked again."""
        self.known_users.clear()
        self._stateless.clear()

    def _verify(self, token: bytes, now: float) -> Principal:
        foreign = None if self._foreign is None else self._foreign.find(token)
        claims = (self._verifier if foreign is None else foreign).decode(token, now)
        reference = self._verifier.reference(claims)
        # Before the type, as the library: an access token with a blacklisted id says so (contract §4).
        if self._revocations.is_revoked(reference):
            raise Refused(Reason.TOKEN_REVOKED)
        self._verifier.require(claims, "access")
        user_id = self._verifier.user_id(claims)
        return Principal(
            user_id=user_id,
            token_id=reference.token_id or "",
            session_id=reference.session_id,
            issued_at=reference.issued_at,
            expires_at=int(claims["exp"]) + self._leeway,
            roles=_roles(claims, self._roles_claim),
            identity=self._identity.render(claims, user_id),
            is_local=foreign is None or foreign.is_local,
        )


def _roles(claims: Claims, claim: str) -> frozenset[str]:
    """Roles are a list of strings; any other shape is no role (checklist 38)."""
    value = claims.get(claim)
    if not isinstance(value, list) or not all(isinstance(role, str) for role in value):
        return frozenset()
    return frozenset(value)
