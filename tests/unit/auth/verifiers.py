"""Verifiers of tokens as a configuration without wishes makes them."""

from gateway.auth.keyring import Keyring
from gateway.auth.keys import build_key
from gateway.auth.verifier import KeySource, TokenVerifier
from gateway.types import Secret


def keyring_of(secret: str) -> Keyring:
    """One key, for HS256."""
    return Keyring(build_key("HS256", Secret(secret), None))


def verifier_of(
    keyring: KeySource,
    *,
    leeway: float = 0,
    audience: tuple[str, ...] = (),
    issuer: str | None = None,
    jti_claim: str = "jti",
) -> TokenVerifier:
    return TokenVerifier(
        keyring=keyring,
        leeway=leeway,
        audience=audience,
        issuer=issuer,
        user_id_claim="user_id",
        token_type_claim="token_type",
        jti_claim=jti_claim,
        session_claim="sid",
    )
