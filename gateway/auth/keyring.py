"""All keys at once: the active one signs, and it and the further ones check what they signed.

The next key, which must be known everywhere before it signs, and the last one, which must outlive its tokens, do the
same: they check and do not sign. So nothing tells them apart here; which one it is, is a matter of when
(docs/operations.md).

A keyring never changes. To put another in its place is to give it to verifier and issuer and to clear the caches of
verified tokens: their epoch keeps out what was still checked with the old one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.auth.jwk import jwk_members
from gateway.auth.keys import Key
from gateway.errors import GatewayError


class KeysClash(GatewayError):
    """A token could belong to two keys. `position` is that of the second among the further keys."""

    def __init__(self, position: int, message: str) -> None:
        super().__init__(message)
        self.position = position


class Keyring:
    """At most one key for every token header; `kid` is the key of a dictionary and nothing else (checklist 32).

    A key with a `kid` takes the tokens that name it, a key without one those that name none (SimpleJWT's) or its
    thumbprint. Raises `KeysClash` when a token could belong to two keys.
    """

    __slots__ = ("_by_algorithm", "_by_kid", "_only", "active", "further")

    def __init__(self, active: Key, further: Sequence[Key] = ()) -> None:
        self.active = active
        self.further = tuple(further)
        # One nameless key is SimpleJWT's own case, and the library ignores whatever `kid` there is (contract §8).
        self._only = active if active.kid is None and not further else None
        self._by_kid: dict[str, Key] = {}
        self._by_algorithm: dict[str, Key] = {}
        for position, key in enumerate(self.keys, start=-1):
            self._add(key, position)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The active one first."""
        return (self.active, *self.further)

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The one key that may have signed a token with this header. Its own algorithm is yet to be compared."""
        if self._only is not None:
            return self._only
        return self._by_algorithm.get(algorithm) if kid is None else self._by_kid.get(kid)

    def _add(self, key: Key, position: int) -> None:
        if key.published_kid is not None:
            if key.published_kid in self._by_kid:
                raise KeysClash(
                    position, f"The kid {key.published_kid!r} is that of another key; each key needs its own."
                )
            self._by_kid[key.published_kid] = key
        if key.kid is None:
            if key.algorithm in self._by_algorithm:
                raise KeysClash(
                    position,
                    f"There is another {key.algorithm} key without a kid, so nobody could tell whose a token without "
                    "one is; give one of the two a kid.",
                )
            self._by_algorithm[key.algorithm] = key

    def __repr__(self) -> str:
        return f"Keyring({', '.join(map(repr, self.keys))})"


def jwk_set(keyring: Keyring) -> Mapping[str, Any] | None:
    """The public keys as a JWK set (RFC 7517 §5), the active one first. None when there are HMAC keys alone."""
    keys = [
        {"kid": key.published_kid, "use": "sig", "alg": key.algorithm, **jwk_members(key.verifying_key)}
        for key in keyring.keys
        if not isinstance(key.verifying_key, bytes)
    ]
    return {"keys": keys} if keys else None
