"""A public key as a JSON Web Key (RFC 7517, RFC 8037), and the name that follows from the key itself (RFC 7638)."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey


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
