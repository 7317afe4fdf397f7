"""Makes tokens, claim for claim and byte for byte as SimpleJWT does (contract §8)."""

import math
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from gateway.auth.keyring import Keyring
from gateway.errors import Reason, Refused
from gateway.types import Claims, TokenPair, User

_SESSION_ID_BYTES: Final = 16  # 128 bits, checklist 91

_ATTRIBUTES: Final[Mapping[str, Callable[[User], object]]] = {
    "id": lambda user: user.id,
    "username": lambda user: user.username,
    "email": lambda user: user.email,
    "roles": lambda user: list(user.roles),
}


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


class TokenIssuer:
    """Issues pairs at log-in, and their successors at refresh.

    The keyring's active key signs. Lifetimes are seconds. `aud` (a string when there is one audience, a list when there
    are several) and `iss` are added when configured. An unknown attribute in `names.extra` is a ValueError here, not at
    the first log-in.
    """

    def __init__(
        self,
        *,
        keyring: Keyring,
        access_lifetime: float,
        refresh_lifetime: float,
        audience: tuple[str, ...],
        issuer: str | None,
        names: IssuedClaims,
    ) -> None:
        unknown = sorted(set(names.extra.values()) - _ATTRIBUTES.keys())
        if unknown:
            raise ValueError(f"users have no attribute {unknown[0]!r}; there are {', '.join(_ATTRIBUTES)}")
        if keyring.active.signing_key is None:
            raise ValueError("the active key is a public one, which signs nothing")
        self._algorithm, self._signing_key = keyring.active.algorithm, keyring.active.signing_key
        # SimpleJWT's header has no `kid` (contract §8), nor has ours as long as the operator gives the key none.
        self._header = None if keyring.active.kid is None else {"kid": keyring.active.kid}
        self._access_lifetime = access_lifetime
        self._refresh_lifetime = refresh_lifetime
        self._parties: dict[str, Any] = {}
        if audience:
            self._parties["aud"] = audience[0] if len(audience) == 1 else list(audience)
        if issuer is not None:
            self._parties["iss"] = issuer
        self._names = names
        self._not_copied = frozenset({names.token_type, "exp", names.jti, "jti", "iat"})

    def pair(self, user: User, now: float) -> TokenPair:
        """An access and a refresh token of a new session."""
        refresh = self._new_claims("refresh", self._refresh_lifetime, now)
        refresh[self._names.user_id] = self._issued_user_id(user.id)
        refresh[self._names.session_id] = secrets.token_hex(_SESSION_ID_BYTES)
        for claim, attribute in self._names.extra.items():
            # A further claim never replaces one that the token's validity hangs on.
            refresh.setdefault(claim, _ATTRIBUTES[attribute](user))
        return TokenPair(access=self.access_from(refresh, now), refresh=self._encode(refresh))

    def access_from(self, refresh_claims: Claims, now: float) -> str:
        """A new access token with every claim of the refresh token but its type, id, exp and iat (contract §4).

        Raises `Refused` (TOKEN_INVALID) when `iss` is no string, which only matters here, when no issuer is configured;
        the library fails with 500.
        """
        access = self._new_claims("access", self._access_lifetime, now)
        access.update((claim, value) for claim, value in refresh_claims.items() if claim not in self._not_copied)
        return self._encode(access)

    def refresh_from(self, refresh_claims: Claims, now: float) -> str:
        """The refresh token's successor (rotation): the same claims, new id, exp and iat. Raises as `access_from`."""
        refresh = dict(refresh_claims)
        refresh[self._names.jti] = _new_token_id()
        refresh["exp"] = math.floor(now + self._refresh_lifetime)
        refresh["iat"] = math.floor(now)
        return self._encode(refresh)

    def _new_claims(self, token_type: str, lifetime: float, now: float) -> dict[str, Any]:
        return {
            self._names.token_type: token_type,
            "exp": math.floor(now + lifetime),
            "iat": math.floor(now),
            self._names.jti: _new_token_id(),
        }

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


def _new_token_id() -> str:
    """As the library makes them: 122 random bits from the system's generator."""
    return uuid.uuid4().hex
