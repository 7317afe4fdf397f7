"""Configuration → the keys, and what checks and issues tokens with them."""

from gateway.auth.identity import PRESET_CLAIMS, PRESETS
from gateway.auth.issuer import IssuedClaims, Lifetimes, TokenIssuer
from gateway.auth.keyring import Keyring, KeysClash
from gateway.auth.keys import Key, KeyRefused, build_key
from gateway.auth.verifier import TokenVerifier
from gateway.config.load import Document
from gateway.config.model import Config
from gateway.config.sections.login import Compat
from gateway.config.sections.tokens import FurtherKey, Tokens
from gateway.config.tree import below
from gateway.errors import ConfigError, Problem


def keyring_of(document: Document) -> Keyring:
    """The configured keys. Raises `ConfigError` with the file and line of each key that is refused."""
    tokens = document.config.tokens
    entries: dict[str, Tokens | FurtherKey] = {"tokens": tokens}
    entries |= {further_key_path(position): key for position, key in enumerate(tokens.further_keys)}
    keys: list[Key] = []
    problems: list[Problem] = []
    for path, entry in entries.items():
        try:
            keys.append(_key_of(entry))
        except KeyRefused as refusal:
            problems.append(document.problem(f"{path}.{refusal.setting}", str(refusal)))
    if problems:
        raise ConfigError(problems)
    try:
        return Keyring(keys[0], keys[1:])
    except KeysClash as clash:
        path = f"{further_key_path(clash.position)}.kid"
        raise ConfigError([document.problem(path, str(clash))]) from None


def further_key_path(position: int) -> str:
    """Where the file has this one of the further keys."""
    return below("tokens.further_keys", position)


def _key_of(entry: Tokens | FurtherKey) -> Key:
    return build_key(entry.algorithm, entry.signing_key, entry.verifying_key, kid=entry.kid)


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
        session_claim=tokens.claims.session_id,
    )


def lifetimes_of(tokens: Tokens) -> Lifetimes:
    """How long tokens last."""
    return Lifetimes(
        access=tokens.access_lifetime,
        refresh=tokens.refresh_lifetime,
        access_jitter=tokens.access_jitter_percent / 100,
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
        lifetimes=lifetimes_of(tokens),
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
