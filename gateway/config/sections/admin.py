"""The part of the model that describes the admin listener."""

from dataclasses import dataclass, field

from gateway.config.forms import Form
from gateway.config.metadata import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """Where probes ask: a listener of its own, since nothing of it answers where clients connect."""

    enabled: bool = field(default=True, metadata=doc("Whether there is one."))
    address: str = field(
        default="127.0.0.1",
        metadata=doc("Address to bind; 0.0.0.0 or '::' for Kubernetes' HTTP probes.", form=Form.ADDRESS),
    )
    port: int = field(default=8081, metadata=doc("TCP port, another one than the clients'.", minimum=1, maximum=65535))
