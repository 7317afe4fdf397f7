"""The part of the model that describes tokens: how they are made, and how they arrive."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique

from gateway.config.forms import Form
from gateway.config.metadata import doc
from gateway.config.sections.users import UserAttribute
from gateway.types import Secret


@unique
class Algorithm(StrEnum):
    """Signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1)."""

    HS256 = "HS256"
    HS384 = "HS384"
    HS512 = "HS512"
    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    EDDSA = "EdDSA"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """What the claims are called, and which further ones are issued."""

    user_id: str = field(default="user_id", metadata=doc("Claim that holds the user id (USER_ID_CLAIM)."))
    token_type: str = field(default="token_type", metadata=doc("Claim that holds the type (TOKEN_TYPE_CLAIM)."))
    jti: str = field(default="jti", metadata=doc("Claim that holds the token's id (JTI_CLAIM)."))
    session_id: str = field(default="sid", metadata=doc("Claim that holds the session id."))
    roles: str = field(default="roles", metadata=doc("Claim that route roles are compared with: a list of strings."))
    extra: Mapping[str, UserAttribute] = field(
        default_factory=dict,
        metadata=doc("Further claims to issue: claim name → user attribute."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherKey:
    """A key whose tokens pass but that signs none: the next one before its use, the last one after it."""

    kid: str | None = field(
        default=None, metadata=doc("What tokens call it; takes those without a kid when absent.", form=Form.TOKEN)
    )
    algorithm: Algorithm = field(
        default=Algorithm.HS256, metadata=doc("What its tokens are signed with; no other passes.")
    )
    signing_key: Secret | None = field(
        default=None, metadata=doc("HMAC secret, or private key in PEM; never written into this file.")
    )
    verifying_key: str | None = field(
        default=None,
        metadata=doc("Public key in PEM: all that an asymmetric algorithm needs to check tokens.", form=Form.BLOCK),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Signing, checking and lifetime of tokens."""

    signing_key: Secret = field(metadata=doc("HMAC secret, or private key in PEM; never written into this file."))
    verifying_key: str | None = field(
        default=None,
        metadata=doc(
            "Public key in PEM for asymmetric algorithms; derived from signing_key when absent.", form=Form.BLOCK
        ),
    )
    algorithm: Algorithm = field(
        default=Algorithm.HS256, metadata=doc("What tokens are signed with; with this key no other passes.")
    )
    kid: str | None = field(
        default=None,
        metadata=doc(
            "What tokens call the key, in their header; nothing, as in SimpleJWT, when absent.", form=Form.TOKEN
        ),
    )
    further_keys: tuple[FurtherKey, ...] = field(
        default=(), metadata=doc("Keys whose tokens pass but that sign none: the next one, the last one.")
    )
    access_lifetime: float = field(default=300.0, metadata=doc("Life of an access token.", minimum=1))
    refresh_lifetime: float = field(default=86400.0, metadata=doc("Life of a refresh token.", minimum=1))
    access_jitter_percent: int = field(
        default=0,
        metadata=doc("An access token ends up to this share of its life earlier, at random.", minimum=0, maximum=5),
    )
    rotate_refresh_tokens: bool = field(
        default=False, metadata=doc("A refresh gives a new refresh token, too, and spends the old one.")
    )
    audience: tuple[str, ...] = field(
        default=(), metadata=doc("aud of issued tokens; a token must name one of them when set.")
    )
    issuer: str | None = field(default=None, metadata=doc("iss of issued tokens; demanded exactly when set."))
    leeway: float = field(default=0.0, metadata=doc("Clock difference forgiven on exp, iat and nbf.", maximum=60))
    claims: ClaimNames = field(default_factory=ClaimNames, metadata=doc("Names of the claims."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """How an access token arrives."""

    field_name: str = field(
        default="Authorization", metadata=doc("Name of the request field that carries the token.", form=Form.TOKEN)
    )
    schemes: tuple[str, ...] = field(
        default=("Bearer",),
        metadata=doc(
            "Accepted scheme words, case-sensitive; the first is announced in challenges.", form=Form.TOKEN, minimum=1
        ),
    )
    realm: str = field(default="api", metadata=doc("The realm of WWW-Authenticate.", form=Form.QUOTABLE))
