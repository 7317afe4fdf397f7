"""The part of the model that describes where sessions and revocations are kept."""

from dataclasses import dataclass, field

from gateway.config.metadata import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What all workers and replicas share: sessions and revocations."""

    max_staleness: float | None = field(
        default=None,
        metadata=doc(
            "How long tokens pass while nobody can tell what was revoked; then 503. For ever when absent.", minimum=5
        ),
    )
