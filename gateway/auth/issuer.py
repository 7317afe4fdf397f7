"""Makes tokens, claim for claim and byte for byte as SimpleJWT does (contract §8)."""

import math
import random
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from gateway.auth.keyring import Keyring
from gateway.auth.user_attributes import attribute_of, require_attribute
from gateway.errors import Reason, Refused
from gateway.types import Claims, TokenPair, User

_SESSION_ID_BYTES: Final = 16  # 128 bits, checklist 91


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedClaims:
    """What the issued claims are called.

    `extra` maps further claims to user attributes (id, username, email, roles). `numeric_user_id` issues a user id that
    is a number in its plain spelling as a JSON number, as SimpleJWT did before 5.5.1.
    """

    user_id: str
    token_type: str
    jti: str
    session_id: str
    extra: Mapping[str, str]
    numeric_user_id: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long tokens last, in seconds.

    `access_jitter` is the share of its lifetime, 0 to 1, by which an access token may end earlier, at random: clients
    that logged in together do not come back together.
    """

    access: float
    refresh: float
    access_jitter: float = 0.0

    @property
    def longest(self) -> float:
        return max(self.access, self.refresh)


class TokenIssuer:
    """Issues pairs at log-in, and their successors at refresh.

    The keyring's active key signs. `aud` (a string when there is one audience, a list when there are several) and `iss`
    are added when configured. An unknown attribute in `names.extra` is a ValueError here, not at the first log-in.

    `ends_at` (Unix seconds, or infinity) is when the session of a token ends: no token of it lasts longer.
    """

    def __init__(
        self,
        *,
        keyring: Keyring,
        lifetimes: Lifetimes,
        audience: tuple[str, ...],
        issuer: str | None,
        names: IssuedClaims,
    ) -> None:
        for attribute in names.extra.values():
            require_attribute(attribute)
        if keyring.active.signing_key is None:
            raise ValueError("the active key is a public one, which signs nothing")
        self._algorithm, self._signing_key = keyring.active.algorithm, keyring.active.signing_key
        # SimpleJWT's header has no `kid` (contract §8), nor has ours as long as the operator gives the key none.
        self._header = None if keyring.active.kid is None else {"kid": keyring.active.kid}
        self._lifetimes = lifetimes
        self._parties: dict[str, Any] = {}
        if audience:
            self._parties["aud"] = audience[0] if len(audience) == 1 else list(audience)
        if issuer is not None:
            self._parties["iss"] = issuer
        self._names = names
        self._lasting = frozenset({names.user_id, names.session_id, names.token_type, names.jti, "exp", "iat"})
        self._not_copied = frozenset({names.token_type, "exp", names.jti, "jti", "iat"})

    def pair(self, user: User, *, session_id: str, token_id: str, now: float, ends_at: float) -> TokenPair:
        """An access token, and the refresh token `token_id`, of a session that begins."""
        refresh = {
            self._names.token_type: "refresh",
            "exp": math.floor(min(now + self._lifetimes.refresh, ends_at)),
            "iat": math.floor(now),
            self._names.jti: token_id,
            self._names.user_id: self._issued_user_id(user.id),
            self._names.session_id: session_id,
        }
        for claim, attribute in self._names.extra.items():
            # A further claim never replaces one that the token's validity hangs on.
            refresh.setdefault(claim, attribute_of(user, attribute))
        return TokenPair(access=self.access_from(refresh, now, ends_at=ends_at), refresh=self._encode(refresh))

    def renewed(self, refresh_claims: Claims, user: User, session_id: str) -> Claims:
        """The claims of a refresh token with what they say of the user as it is now, and of its session."""
        claims = {**refresh_claims, self._names.session_id: session_id}
        for claim, attribute in self._names.extra.items():
            if claim in refresh_claims and claim not in self._lasting:
                claims[claim] = attribute_of(user, attribute)
        return claims

    def access_from(self, refresh_claims: Claims, now: float, *, ends_at: float) -> str:
        """A new access token with every claim of the refresh token but its type, id, exp and iat (contract §4).

        Raises `Refused` (TOKEN_INVALID) when `iss` is no string, which only matters here, when no issuer is configured;
        the library fails with 500.
        """
        jitter = self._lifetimes.access_jitter and self._lifetimes.access_jitter * random.random()  # noqa: S311
        access = {
            self._names.token_type: "access",
            "exp": math.floor(min(now + self._lifetimes.access * (1 - jitter), ends_at)),
            "iat": math.floor(now),
            self._names.jti: new_token_id(),
        }
        access.update((claim, value) for claim, value in refresh_claims.items() if claim not in self._not_copied)
        return self._encode(access)

    def refresh_from(self, refresh_claims: Claims, *, token_id: str, issued_at: int, ends_at: float) -> str:
        """The refresh token's successor: the same claims, new id, exp and iat. Raises as `access_from`.

        The same arguments give the same claims, so a successor can be given once more by who never saw it.
        """
        refresh = dict(refresh_claims)
        refresh[self._names.jti] = token_id
        refresh["exp"] = math.floor(min(issued_at + self._lifetimes.refresh, ends_at))
        refresh["iat"] = issued_at
        return self._encode(refresh)

    def _issued_user_id(self, user_id: str) -> str | int:
        """The id, as a number only if that number's text is the id again: "007" and "٣" stay what they are."""
        if self._names.numeric_user_id and user_id.isascii() and user_id.isdigit() and str(int(user_id)) == user_id:
            return int(user_id)
        return user_id

    def _encode(self, claims: dict[str, Any]) -> str:
        claims = {**claims, **self._parties}
        if not isinstance(claims.get("iss", ""), str):
            raise Refused(Reason.TOKEN_INVALID)
        return jwt.encode(claims, self._signing_key, algorithm=self._algorithm, headers=self._header)


def new_token_id() -> str:
    """As the library makes them: 122 random bits from the system's generator."""
    return uuid.uuid4().hex


def new_session_id() -> str:
    """128 random bits (checklist 91)."""
    return secrets.token_hex(_SESSION_ID_BYTES)
