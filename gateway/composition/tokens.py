"""Configuration → the keys, and what checks and issues tokens with them."""

from gateway.auth.identity import PRESET_CLAIMS, PRESETS
from gateway.auth.issuer import IssuedClaims, TokenIssuer
from gateway.auth.keyring import KeyRefused, Keyring, build_keyring
from gateway.auth.verifier import TokenVerifier
from gateway.config.load import Document
from gateway.config.model import Config
from gateway.config.sections.login import Compat
from gateway.errors import ConfigError


def keyring_of(document: Document) -> Keyring:
    """The configured keys. Raises `ConfigError` with the file and line of the key that is refused."""
    tokens = document.config.tokens
    try:
        return build_keyring(tokens.algorithm, tokens.signing_key, tokens.verifying_key)
    except KeyRefused as refusal:
        raise ConfigError([document.problem(f"tokens.{refusal.setting}", str(refusal))]) from None


def build_verifier(config: Config, keyring: Keyring) -> TokenVerifier:
    """What checks access and refresh tokens."""
    tokens = config.tokens
    return TokenVerifier(
        keyring=keyring,
        leeway=tokens.leeway,
        audience=tokens.audience,
        issuer=tokens.issuer,
        user_id_claim=tokens.claims.user_id,
        token_type_claim=tokens.claims.token_type,
        jti_claim=tokens.claims.jti,
    )


def build_issuer(config: Config, keyring: Keyring) -> TokenIssuer:
    """What makes tokens, with the claims that the chosen identity preset reads."""
    tokens = config.tokens
    names = tokens.claims
    extra = {
        claim.format(roles=names.roles): PRESET_CLAIMS[claim]
        for claim in PRESETS[config.identity.preset].values()
        if claim in PRESET_CLAIMS
    }
    return TokenIssuer(
        keyring=keyring,
        access_lifetime=tokens.access_lifetime,
        refresh_lifetime=tokens.refresh_lifetime,
        audience=tokens.audience,
        issuer=tokens.issuer,
        names=IssuedClaims(
            user_id=names.user_id,
            token_type=names.token_type,
            jti=names.jti,
            session_id=names.session_id,
            extra={**extra, **names.extra},
            numeric_user_id=config.login.compat is Compat.V3_3,
        ),
    )
