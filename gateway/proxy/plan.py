"""What was decided at start, so that a request only has to look it up."""

from dataclasses import dataclass

from gateway.auth.policy import RoutePolicy
from gateway.auth.rate_limit import RateLimit
from gateway.http.cors import CorsPolicy
from gateway.http.prefixes import PrefixReplacement
from gateway.http.targets import Target
from gateway.http.upgrades import HandshakeReader
from gateway.observability.meters import RouteMeter
from gateway.proxy.upstream_pool import UpstreamPool
from gateway.types import UNLIMITED_BYTES, Oddity


@dataclass(slots=True, kw_only=True, eq=False)
class WebSocketPlan:
    """WebSocket on one route. `max_per_user` tunnels of one user; `max_message_bytes` is for messages of clients."""

    handshakes: HandshakeReader
    idle_timeout: float
    max_per_user: int
    max_message_bytes: int


@dataclass(slots=True, kw_only=True)
class RoutePlan:
    """One route, ready to use.

    `name` is the configured path, which begins with a slash, or that of one of the gateway's own endpoints, which does
    not. `meter` counts its requests. `host` is the upstream's own Host, None to pass the client's. `keeps_token` passes
    the token field on. `reaches_endpoints` marks the gateway's own application, which alone is told the client's
    address. `cors` answers browsers, None leaves that to the backend. `max_body_bytes` bounds request bodies.
    `allowed_oddities` may stand in its paths. `prefix_replacement` makes the upstream's path; None passes it as it is.
    `rate_limit` None lets everybody ask as often as he likes. `websocket` None passes no upgrade on.
    `outlives_token`: tunnels and event streams go on when their token ends.
    """

    name: str
    policy: RoutePolicy
    pool: UpstreamPool
    meter: RouteMeter
    host: bytes | None = None
    keeps_token: bool = False
    reaches_endpoints: bool = False
    cors: CorsPolicy | None = None
    max_body_bytes: int = UNLIMITED_BYTES
    allowed_oddities: frozenset[Oddity] = frozenset()
    prefix_replacement: PrefixReplacement | None = None
    rate_limit: RateLimit | None = None
    websocket: WebSocketPlan | None = None
    outlives_token: bool = False

    def upstream_target(self, target: Target) -> bytes:
        """Path and query as the upstream gets them."""
        return target.encoded if self.prefix_replacement is None else self.prefix_replacement.apply(target)

    @property
    def allow_line(self) -> bytes:
        """The Allow line of a 405 (RFC 9110 §10.2.1)."""
        methods = ", ".join(sorted(self.policy.allowed_methods or ()))
        return f"Allow: {methods}\r\n".encode()


@dataclass(slots=True, kw_only=True)
class ClientLimits:
    """Bounds on a client connection: bytes, seconds, bytes a second; `max_requests` None for any number."""

    max_head_bytes: int
    head_timeout: float
    body_timeout: float
    idle_timeout: float
    min_rate: int
    max_requests: int | None
