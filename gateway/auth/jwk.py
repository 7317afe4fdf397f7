"""A public key as a JSON Web Key (RFC 7517, RFC 8037), both ways, and the name that follows from the key (RFC 7638)."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.errors import GatewayError

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

_READERS: Final = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "OKP": OKPAlgorithm.from_jwk}
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})  # RFC 7518 §6.2.2, §6.3.2, §6.4.1
# Whoever publishes a key decides how long a check of its signatures takes: 0.2 ms with these, seconds far above.
_MAX_RSA_BITS: Final = 8192
_MAX_RSA_EXPONENT_BITS: Final = 64


class JwkRefused(GatewayError):
    """The text goes on from "the key" and repeats nothing of it."""


def parse_jwk(members: Mapping[str, Any]) -> PublicKey:
    """The public key that these members are; what is said of its use is the caller's to judge.

    Certificates (`x5c`, `x5u`) are never looked at. Raises `JwkRefused`.
    """
    kind = members.get("kty")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise JwkRefused("is of no kind that can be published to check signatures with (RSA, EC, OKP)")
    if not _PRIVATE_MEMBERS.isdisjoint(members):
        raise JwkRefused("is a private key, which everybody can sign with now that it is published")
    try:
        key = reader(dict(members))
    except Exception:
        # Wide on purpose: besides PyJWT's own, binascii's, TypeError and what cryptography thinks of the numbers.
        raise JwkRefused("cannot be read") from None
    if not isinstance(key, PublicKey):
        raise JwkRefused("cannot be read")
    if isinstance(key, RSAPublicKey) and (
        key.key_size > _MAX_RSA_BITS or key.public_numbers().e.bit_length() > _MAX_RSA_EXPONENT_BITS
    ):
        raise JwkRefused(f"has more than {_MAX_RSA_BITS} bits or a huge exponent")
    return key


def jwk_members(key: PublicKey) -> Mapping[str, str]:
    """The members without which the key would be no key, and no others: RFC 7638 §3.2, RFC 8037 appendix A.3."""
    members: Mapping[str, Any]
    required: tuple[str, ...]
    if isinstance(key, RSAPublicKey):
        members, required = RSAAlgorithm.to_jwk(key, as_dict=True), ("e", "kty", "n")
    elif isinstance(key, EllipticCurvePublicKey):
        members, required = ECAlgorithm.to_jwk(key, as_dict=True), ("crv", "kty", "x", "y")
    else:
        members, required = OKPAlgorithm.to_jwk(key, as_dict=True), ("crv", "kty", "x")
    return {name: members[name] for name in required}


def thumbprint(key: PublicKey) -> str:
    """RFC 7638 with SHA-256: the same text for the same key, whoever computes it."""
    canonical = json.dumps(jwk_members(key), sort_keys=True, separators=(",", ":")).encode("ascii")
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode("ascii")
