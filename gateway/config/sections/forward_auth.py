"""The part of the model that describes how other proxies ask what may pass."""

from dataclasses import dataclass, field
from enum import StrEnum, unique

from gateway.config.forms import Form
from gateway.config.metadata import doc


@unique
class RequestIn(StrEnum):
    """Where a question names the request that it is about."""

    FIELDS = "fields"
    TARGET = "target"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardAuth:
    """An endpoint for proxies that pass requests on themselves, and ask of each whether it may."""

    proxies: tuple[str, ...] = field(
        metadata=doc(
            "Networks of the proxies that may ask; also in listen.trusted_proxies. Others are 403.",
            form=Form.NETWORK,
            minimum=1,
        )
    )
    path: str = field(default="/forward-auth", metadata=doc("Where they ask.", form=Form.PATH))
    request_in: RequestIn = field(
        default=RequestIn.FIELDS,
        metadata=doc(
            "fields: X-Forwarded-Method and X-Forwarded-Uri say what is asked about (nginx, Traefik, Caddy); "
            "target: the request line, behind `path` (Envoy)."
        ),
    )
