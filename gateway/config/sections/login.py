"""The part of the model that describes the token endpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Literal

from gateway.config.forms import Form
from gateway.config.metadata import doc
from gateway.config.sections.users import UserAttribute


@unique
class Compat(StrEnum):
    """Which SimpleJWT release the clients were written for."""

    V5 = "5"
    V3_3 = "3.3"  # wrong credentials are 400 with non_field_errors; numeric user ids stay numbers in tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The token endpoints."""

    obtain_path: str = field(default="/api/token/", metadata=doc("Path of log-in.", form=Form.PATH))
    refresh_path: str = field(default="/api/token/refresh/", metadata=doc("Path of refresh.", form=Form.PATH))
    verify_path: str = field(default="/api/token/verify/", metadata=doc("Path of verify.", form=Form.PATH))
    blacklist_path: str = field(
        default="/api/token/blacklist/", metadata=doc("Path of blacklist (log-out).", form=Form.PATH)
    )
    jwks_path: str = field(
        default="/.well-known/jwks.json",
        metadata=doc("Path of the public keys; 404 as long as there are none.", form=Form.PATH),
    )
    sessions_path: str = field(
        default="/api/token/sessions/",
        metadata=doc("Path of a user's own sessions, and below it of each of them.", form=Form.PATH),
    )
    username_field: Literal["username", "email"] = field(
        default="username",
        metadata=doc(
            "Name of the first log-in field (USERNAME_FIELD): `username`, or `email` to log in by e-mail.",
            reloads=False,
        ),
    )
    response_fields: Mapping[str, UserAttribute | Mapping[str, UserAttribute]] = field(
        default_factory=dict,
        metadata=doc("Further members of the log-in answer: name → user attribute, or a mapping of such."),
    )
    compat: Compat = field(default=Compat.V5, metadata=doc("SimpleJWT release that the clients expect: 5 or 3.3."))
