"""The public keys of a foreign issuer, as it publishes them: a JWK set (RFC 7517 §5), read with suspicion."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.auth.jwk import JwkRefused, PublicKey, parse_jwk, thumbprint
from gateway.auth.keys import Key, misfit
from gateway.auth.verifier import json_object
from gateway.errors import GatewayError, printable

MAX_KEYS: Final = 100  # the largest public issuers have about thirty
_MAX_KID_CHARS: Final = 256


class KeySetRefused(GatewayError):
    """This is no JWK set. The text is a sentence for the operator."""


class KeySet:
    """At most one key for every token header, each with one algorithm (checklist 30, 32).

    A token with a `kid` is checked with the key of that name. One without gets the only key of its algorithm, if it is
    the only one (OpenID Connect Core §10.1).
    """

    __slots__ = ("_by_algorithm", "_by_kid", "fingerprints")

    def __init__(self, keys: Sequence[Key]) -> None:
        self._by_kid: dict[tuple[str, str], Key] = {}
        self._by_algorithm: dict[str, Key | None] = {}
        fingerprints = set()
        for key in keys:
            if key.kid is not None:
                self._by_kid.setdefault((key.kid, key.algorithm), key)
            self._by_algorithm[key.algorithm] = None if key.algorithm in self._by_algorithm else key
            if not isinstance(key.verifying_key, bytes):
                fingerprints.add((key.kid, key.algorithm, thumbprint(key.verifying_key)))
        self.fingerprints: frozenset[tuple[str | None, str, str]] = frozenset(fingerprints)

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The one key that may have signed a token with this header."""
        return self._by_algorithm.get(algorithm) if kid is None else self._by_kid.get((kid, algorithm))

    def __len__(self) -> int:
        return len(self.fingerprints)


def parse_key_set(data: bytes, algorithms: Sequence[str]) -> tuple[KeySet, Sequence[str]]:
    """The usable keys of a JWK set, and of each of the others a sentence about why it is not.

    `algorithms` are asymmetric ones. A key is pinned to the one that it names, which must be among them and fit it, or
    when it names none to the first that fits. Keys for encryption are passed over. Raises `KeySetRefused`.
    """
    try:
        members = json_object(data).get("keys")
    except Exception:
        raise KeySetRefused("It is no JSON object.") from None
    if not isinstance(members, list):
        raise KeySetRefused("It has no list `keys`.")
    if len(members) > MAX_KEYS:
        raise KeySetRefused(f"It has {len(members)} keys; {MAX_KEYS} are read at most.")
    keys: list[Key] = []
    faults: list[str] = []
    taken: set[tuple[str | None, str]] = set()
    for position, jwk in enumerate(members):
        try:
            key = _key_of(jwk, algorithms)
            if key is None:
                continue
            if key.kid is not None and (key.kid, key.algorithm) in taken:
                raise JwkRefused("has the kid and the algorithm of another one")
            taken.add((key.kid, key.algorithm))
            keys.append(key)
        except JwkRefused as refusal:
            faults.append(f"keys[{position}] {refusal}")
    return KeySet(keys), faults


def _key_of(jwk: Any, algorithms: Sequence[str]) -> Key | None:
    """None for a key that is not for signatures."""
    if not isinstance(jwk, dict):
        raise JwkRefused("is no JSON object")
    operations = jwk.get("key_ops", ["verify"])  # RFC 7517 §4.3
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    kid = jwk.get("kid")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= _MAX_KID_CHARS):
        raise JwkRefused("has a kid that is no text of a reasonable length")
    public = parse_jwk(jwk)
    return Key(_algorithm_of(jwk, public, algorithms), None, public, kid=kid)


def _algorithm_of(jwk: Mapping[str, Any], key: PublicKey, algorithms: Sequence[str]) -> str:
    if "alg" not in jwk:
        for algorithm in algorithms:
            if misfit(algorithm, key) is None:
                return algorithm
        raise JwkRefused("fits none of the algorithms that are allowed")
    named = jwk["alg"]
    if named not in algorithms:
        raise JwkRefused(f"is for {printable(str(named)[:32])}, which is not allowed")
    fault = misfit(named, key)
    if fault is not None:
        raise JwkRefused(fault)
    return str(named)
