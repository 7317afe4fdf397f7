"""The part of the model that describes cross-origin access: globally and per route."""

from dataclasses import dataclass, field
from enum import StrEnum, unique

from gateway.config.forms import Form
from gateway.config.metadata import doc


@unique
class RouteCors(StrEnum):
    """Who answers for cross-origin access on a route that has no section of its own for it."""

    INHERIT = "inherit"
    UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """Cross-origin access for browsers, answered by the gateway."""

    allow_origins: tuple[str, ...] = field(
        metadata=doc(
            "Origins as the browser sends them (https://app.example.org); '*' for all, without credentials.",
            form=Form.ORIGIN,
            minimum=1,
        )
    )
    allow_methods: tuple[str, ...] = field(
        default=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
        metadata=doc("Methods scripts may use.", form=Form.METHOD),
    )
    allow_headers: tuple[str, ...] = field(
        default=("authorization", "content-type", "x-request-id"),
        metadata=doc("Request fields scripts may set.", form=Form.TOKEN),
    )
    expose_headers: tuple[str, ...] = field(
        default=("x-request-id",), metadata=doc("Response fields scripts may read.", form=Form.TOKEN)
    )
    allow_credentials: bool = field(default=False, metadata=doc("Allow cookies and HTTP authentication."))
    max_age: float = field(
        default=600.0, metadata=doc("How long a browser may keep a preflight's answer.", maximum=86400)
    )
