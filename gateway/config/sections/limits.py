"""The part of the model that bounds what clients may take."""

from dataclasses import dataclass, field

from gateway.config.metadata import doc, wait


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConnections:
    """How many connections clients may have, and how long each lasts."""

    max: int = field(
        default=10_000,
        metadata=doc("In all; then idle ones make room, or the new one ends.", minimum=1, maximum=1_000_000),
    )
    max_per_address: int | None = field(
        default=None,
        metadata=doc(
            "The same for one client address, or one /64 of IPv6; trusted proxies are exempt.",
            minimum=1,
            maximum=1_000_000,
        ),
    )
    max_requests: int | None = field(
        default=None,
        metadata=doc("Of one connection, which then ends; any number when absent.", minimum=1, maximum=1_000_000_000),
    )
    idle_timeout: float = field(default=60.0, metadata=wait("Between the requests of a connection."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what a client may send and how long it may take."""

    max_target_bytes: int = field(
        default=8 * 1024, metadata=doc("Request target; more is 414.", size=True, minimum=512, maximum=64 * 1024)
    )
    max_head_bytes: int = field(
        default=32 * 1024,
        metadata=doc(
            "Whole request head; more is 431. A 4 KiB token plus cookies must fit.",
            size=True,
            minimum=1024,
            maximum=1024 * 1024,
        ),
    )
    max_fields: int = field(default=100, metadata=doc("Fields of a request; more is 431.", minimum=8, maximum=1000))
    max_body_bytes: int = field(
        default=1024**3,
        metadata=doc(
            "Request body, where a route says nothing else; more is 413.",
            size=True,
            may_be_unlimited=True,
            minimum=0,
            maximum=1024**4,
        ),
    )
    head_timeout: float = field(default=15.0, metadata=wait("For the whole head, from its first byte; then 408."))
    body_timeout: float = field(default=30.0, metadata=wait("Silence inside a request body or a stalled reader."))
    min_rate: int = field(
        default=240,
        metadata=doc(
            "Bytes a second that a client must send of a body or take of an answer, over each body_timeout.",
            size=True,
            minimum=0,
            maximum=1024 * 1024,
        ),
    )
    connections: ClientConnections = field(
        default_factory=ClientConnections, metadata=doc("How many connections, and how long each lasts.")
    )
