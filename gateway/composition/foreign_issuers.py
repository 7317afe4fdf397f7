"""Configuration → the issuers whose tokens pass beside our own, and what fetches their keys."""

import ssl
from collections.abc import Callable, Mapping

from gateway.auth.foreign_issuer import ForeignIssuer, OwnNames, Translation
from gateway.config.model import Config
from gateway.config.sections import foreign_issuers as sections
from gateway.config.sections.foreign_issuers import ForeignUsers
from gateway.server.issuer_keys import IssuerKeys


def build_foreign_issuers(config: Config) -> Mapping[str, ForeignIssuer]:
    """By name, and without keys as yet."""
    return {name: _foreign_issuer(name, entry, config) for name, entry in config.foreign_issuers.items()}


def build_issuer_keys(
    config: Config,
    issuers: Mapping[str, ForeignIssuer],
    *,
    contexts: Mapping[str, ssl.SSLContext],
    on_keys_gone: Callable[[], None],
) -> list[IssuerKeys]:
    """What keeps the keys of `issuers` fresh; `contexts` are by the same names."""
    return [
        IssuerKeys(
            name=name,
            issuer=issuers[name],
            url=entry.jwks_url,
            tls=contexts[name],
            max_key_age=entry.max_key_age,
            on_keys_gone=on_keys_gone,
        )
        for name, entry in config.foreign_issuers.items()
    ]


def _foreign_issuer(name: str, entry: sections.ForeignIssuer, config: Config) -> ForeignIssuer:
    names, claims = config.tokens.claims, entry.claims
    taken = dict(claims.extra)
    if claims.roles is not None:
        taken[names.roles] = claims.roles
    # No name has a colon in it, so no two prefixes, and no two ids behind them, are ever the same.
    prefix = f"{name}:"
    return ForeignIssuer(
        issuer=entry.issuer,
        audience=entry.audience,
        algorithms=tuple(algorithm.value for algorithm in entry.algorithms),
        leeway=config.tokens.leeway,
        header_type=entry.header_type,
        translation=Translation(
            own=OwnNames(
                user_id=names.user_id, token_type=names.token_type, jti=names.jti, session_id=names.session_id
            ),
            user_id_claim=claims.user_id,
            user_id_prefix=prefix if entry.users is ForeignUsers.PREFIXED else "",
            id_prefix=prefix,
            taken=taken,
        ),
        is_local=entry.users is ForeignUsers.LOCAL,
    )
