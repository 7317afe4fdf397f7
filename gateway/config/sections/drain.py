"""The part of the model that describes the end."""

from dataclasses import dataclass, field

from gateway.config.metadata import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How the gateway ends when it is told to."""

    delay: float = field(
        default=0.0,
        metadata=doc("Go on accepting for so long: load balancers need it to send clients elsewhere.", maximum=3600),
    )
    timeout: float = field(
        default=10.0, metadata=doc("After that, for requests in flight; what is left is cut.", maximum=86400)
    )
