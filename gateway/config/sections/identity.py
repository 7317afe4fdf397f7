"""The part of the model that describes what a backend is told of the user."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique

from gateway.config.forms import Form
from gateway.config.metadata import doc


@unique
class IdentityPreset(StrEnum):
    """Ready-made sets of identity fields."""

    X_USER_ID = "x-user-id"
    X_FORWARDED_USER = "x-forwarded-user"
    REMOTE_USER = "remote-user"
    X_AUTH_REQUEST = "x-auth-request"


@unique
class UnsafeValue(StrEnum):
    """What becomes of a claim that is not plain visible ASCII on its way into a field."""

    PERCENT_ENCODE = "percent-encode"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the backend is told about the user. Each of these fields is removed from every client request."""

    preset: IdentityPreset = field(
        default=IdentityPreset.X_USER_ID,
        metadata=doc("A ready-made set of fields."),
    )
    fields: Mapping[str, str] = field(
        default_factory=dict,
        metadata=doc("Further fields: field name → claim of the access token.", key_form=Form.TOKEN),
    )
    unsafe_values: UnsafeValue = field(
        default=UnsafeValue.PERCENT_ENCODE,
        metadata=doc("A value that is not visible ASCII: percent-encode it (UTF-8) or refuse the request."),
    )
