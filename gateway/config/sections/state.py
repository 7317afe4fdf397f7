"""The part of the model that describes where sessions and revocations are kept."""

from dataclasses import dataclass, field

from gateway.config.forms import Form
from gateway.config.metadata import doc
from gateway.types import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What all workers and replicas share: sessions and revocations."""

    url: Secret | None = field(
        default=None,
        metadata=doc(
            "Where: postgresql://, or redis://, rediss:// or unix:// for Redis; where the users are when absent."
        ),
    )
    namespace: str = field(
        default="gateway",
        metadata=doc(
            "The schema in PostgreSQL, of users.url too; in Redis what every key begins with.", form=Form.IDENTIFIER
        ),
    )
    max_connections: int = field(
        default=4,
        metadata=doc("Connections of each worker to a server, besides one to listen.", minimum=1, maximum=256),
    )
    max_staleness: float | None = field(
        default=None,
        metadata=doc(
            "How long tokens pass while nobody can tell what was revoked; then 503. For ever when absent.", minimum=5
        ),
    )
