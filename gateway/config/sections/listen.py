"""The part of the model that describes where clients connect."""

from dataclasses import dataclass, field
from typing import Literal

from gateway.config.forms import Form
from gateway.config.metadata import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS for clients. Changed files are taken up without a restart; bad ones leave the last good pair in use."""

    certificate: str = field(
        metadata=doc("PEM file, the listener's own certificate first, then the chain; relative to this file.")
    )
    key: str = field(metadata=doc("PEM file of its private key, without a password, readable by its owner alone."))
    min_version: Literal["1.2", "1.3"] = field(default="1.2", metadata=doc("Oldest version that is spoken."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where clients connect."""

    address: str = field(
        default="127.0.0.1",
        metadata=doc("Address to bind; 0.0.0.0 or '::' inside a container.", form=Form.ADDRESS, reloads=False),
    )
    port: int = field(
        default=8080, metadata=doc("TCP port; 0 takes any free one.", minimum=0, maximum=65535, reloads=False)
    )
    tls: Tls | None = field(default=None, metadata=doc("TLS for clients; plain HTTP when absent."))
    trusted_proxies: tuple[str, ...] = field(
        default=(), metadata=doc("Networks of proxies whose X-Forwarded-* fields count.", form=Form.NETWORK)
    )
    proxy_protocol_from: tuple[str, ...] = field(
        default=(),
        metadata=doc(
            "Networks of balancers; their connections must begin with a PROXY protocol head (v1 or v2).",
            form=Form.NETWORK,
        ),
    )
