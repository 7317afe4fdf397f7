"""The part of the model that describes issuers whose tokens pass beside our own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique

from gateway.config.forms import Form
from gateway.config.metadata import doc


@unique
class PublicAlgorithm(StrEnum):
    """Signature algorithms whose checking key may be published (RFC 7518 §3.1, RFC 8037 §3.1)."""

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


@unique
class ForeignUsers(StrEnum):
    """Whom a foreign token's user id means."""

    PREFIXED = "prefixed"
    AS_IS = "as-is"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignClaims:
    """Which claims of its tokens count. No other one reaches a policy or a backend."""

    user_id: str = field(default="sub", metadata=doc("Claim that holds the user id."))
    roles: str | None = field(
        default=None, metadata=doc("Claim that route roles are compared with: a list of strings; no roles when absent.")
    )
    extra: Mapping[str, str] = field(
        default_factory=dict,
        metadata=doc("Further claims: what our own tokens call it → what these do, as {username: preferred_username}."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignIssuer:
    """An issuer whose access tokens pass on routes beside our own."""

    issuer: str = field(metadata=doc("iss of its tokens; demanded exactly."))
    audience: tuple[str, ...] = field(metadata=doc("A token must name one of them in aud.", minimum=1))
    jwks_url: str = field(
        metadata=doc("Where it publishes its keys (its jwks_uri); https alone.", form=Form.HTTPS_URL),
    )
    ca: str | None = field(
        default=None,
        metadata=doc("PEM file of the authorities to trust there, relative to this file; the system's when absent."),
    )
    algorithms: tuple[PublicAlgorithm, ...] = field(
        default=(PublicAlgorithm.RS256, PublicAlgorithm.ES256),
        metadata=doc("What its tokens may be signed with. A key that names none gets the first that fits.", minimum=1),
    )
    header_type: str | None = field(
        default=None, metadata=doc("typ that the header must have, as at+jwt (RFC 9068); any when absent.")
    )
    users: ForeignUsers = field(
        default=ForeignUsers.PREFIXED,
        metadata=doc(
            "prefixed: users of its own, NAME:id to backends; as-is: the bare id; local: users of ours, looked up."
        ),
    )
    claims: ForeignClaims = field(default_factory=ForeignClaims, metadata=doc("Which claims of its tokens count."))
    max_key_age: float = field(
        default=86400.0,
        metadata=doc(
            "How long fetched keys count when they cannot be fetched again; then 503.", minimum=60, maximum=30 * 86400
        ),
    )
