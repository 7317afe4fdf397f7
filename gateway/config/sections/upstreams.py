"""The part of the model that describes backends."""

from dataclasses import dataclass, field
from enum import StrEnum, unique

from gateway.config.forms import Form
from gateway.config.metadata import doc, wait


@unique
class Balance(StrEnum):
    """Which server of an upstream takes the next request."""

    ROUND_ROBIN = "round-robin"
    LEAST_CONNECTIONS = "least-connections"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamConnections:
    """How many connections each server gets, and what becomes of requests when all are busy."""

    max: int | None = field(
        default=None,
        metadata=doc("Connections of a worker to one server; no bound when absent.", minimum=1, maximum=1_000_000),
    )
    max_idle: int = field(
        default=64, metadata=doc("How many unused connections to one server are kept.", minimum=0, maximum=10_000)
    )
    idle_timeout: float = field(
        default=15.0,
        metadata=wait("How long an unused connection is kept; below the backend's own keep-alive."),
    )
    queue: int = field(
        default=128,
        metadata=doc(
            "Requests that may wait for a connection below `max`; more are answered 503.", minimum=0, maximum=100_000
        ),
    )
    queue_timeout: float = field(default=10.0, metadata=wait("How long a request may wait for one; then 503."))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """TLS to https servers. Paths are relative to the directory of this file."""

    ca: str | None = field(
        default=None, metadata=doc("PEM file of the authorities to trust; the system's when absent.")
    )
    certificate: str | None = field(
        default=None, metadata=doc("PEM file of the gateway's own certificate, for servers that ask for one.")
    )
    key: str | None = field(
        default=None,
        metadata=doc("PEM file of its private key, its owner's alone; in the file of the certificate when absent."),
    )
    server_name: str | None = field(
        default=None,
        metadata=doc("Name that is asked for (SNI) and must be certified; the host of the URL when absent."),
    )
    verify: bool = field(default=True, metadata=doc("false: take any certificate, which anybody in between can make."))


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamHealth:
    """When a server is left out, and when it is tried again."""

    path: str | None = field(
        default=None,
        metadata=doc("Path that each server is asked for, good at 200 to 399; not asked when absent.", form=Form.PATH),
    )
    interval: float = field(default=5.0, metadata=wait("Between two such checks of a server."))
    timeout: float = field(default=2.0, metadata=wait("For connection and answer of a check."))
    falls: int = field(default=2, metadata=doc("Bad checks in a row that take a server out.", minimum=1, maximum=100))
    rises: int = field(default=2, metadata=doc("Good checks in a row that bring it back.", minimum=1, maximum=100))
    pause: float = field(
        default=1.0, metadata=wait("How long a server that failed a request is left out; doubles each time.")
    )
    max_pause: float = field(default=30.0, metadata=wait("The longest such pause."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A backend that requests are forwarded to."""

    servers: tuple[str, ...] = field(
        metadata=doc(
            "Where it listens: http://host[:port], https://host[:port] or unix:/path/to.sock each.",
            form=Form.UPSTREAM_URL,
            minimum=1,
        )
    )
    balance: Balance = field(
        default=Balance.ROUND_ROBIN,
        metadata=doc("round-robin: each server in turn; least-connections: the least busy."),
    )
    connect_timeout: float = field(
        default=5.0, metadata=wait("How long opening a connection to a server may take; then the next, or 504.")
    )
    send_timeout: float = field(
        default=30.0, metadata=wait("How long a server may take no more of a request; then 504.")
    )
    response_timeout: float = field(
        default=60.0, metadata=wait("How long the first byte of an answer may take; then 504.")
    )
    read_timeout: float = field(
        default=60.0, metadata=wait("How long a server may be silent inside an answer, which is cut then.")
    )
    connections: UpstreamConnections = field(
        default_factory=UpstreamConnections, metadata=doc("How many connections, and who waits for one.")
    )
    tls: UpstreamTls = field(default_factory=UpstreamTls, metadata=doc("TLS to https servers."))
    health: UpstreamHealth = field(
        default_factory=UpstreamHealth, metadata=doc("When a server is left out, and when it is tried again.")
    )

    @property
    def speaks_tls(self) -> bool:
        return any(server.startswith("https:") for server in self.servers)
