"""The part of the model that bounds how often passwords may be guessed."""

from dataclasses import dataclass, field

from gateway.config.forms import Form
from gateway.config.metadata import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Guessing:
    """How often passwords may be guessed: too fast is 429 with Retry-After, at all workers and replicas together."""

    enabled: bool = field(default=True, metadata=doc("false: as fast as passwords can be hashed."))
    attempts_per_user: int = field(
        default=5,
        metadata=doc("Failed log-ins with one name until the next has to wait.", minimum=1, maximum=1000),
    )
    attempts_per_address: int = field(
        default=50,
        metadata=doc("The same for one address, or one /64 of IPv6, with any names.", minimum=1, maximum=100_000),
    )
    first_wait: float = field(
        default=1.0, metadata=doc("The first wait; each further failure doubles it.", minimum=1, maximum=3600)
    )
    longest_wait: float = field(default=900.0, metadata=doc("No wait is longer.", minimum=1, maximum=86400))
    forget_after: float = field(
        default=3600.0, metadata=doc("Failures are forgotten so long after the last.", minimum=1, maximum=30 * 86400)
    )
    address_lifetime: float = field(
        default=90 * 86400.0,
        metadata=doc(
            "How long an address counts as its user's after a log-in: strangers' failures do not concern him there.",
            minimum=3600,
            maximum=3650 * 86400,
        ),
    )
    exempt_addresses: tuple[str, ...] = field(
        default=(),
        metadata=doc("Networks that many people share: counted by name alone there.", form=Form.NETWORK),
    )
