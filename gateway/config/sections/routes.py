"""The part of the model that describes who may pass, and where to."""

from dataclasses import dataclass, field
from enum import StrEnum, unique

from gateway.config.forms import Form
from gateway.config.metadata import doc, wait
from gateway.config.sections.cors import Cors, RouteCors
from gateway.types import Access, Oddity


@unique
class HostField(StrEnum):
    """Which Host the backend sees."""

    CLIENT = "client"
    UPSTREAM = "upstream"


@unique
class LimitedBy(StrEnum):
    """Whose requests are counted together."""

    USER = "user"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """How many requests may come on a route; more are 429 with Retry-After. Each worker counts by itself."""

    requests: int = field(metadata=doc("So many in each `per`.", minimum=1, maximum=1_000_000))
    per: float = field(default=60.0, metadata=doc("The time for these requests.", minimum=1, maximum=86400))
    burst: int | None = field(
        default=None, metadata=doc("So many at once; `requests` when absent.", minimum=1, maximum=1_000_000)
    )
    by: LimitedBy = field(
        default=LimitedBy.USER,
        metadata=doc("user: of each user, and of each address without one; address: of each address or /64 of IPv6."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocket:
    """WebSocket on a route: the same admission as for every request, then a tunnel."""

    allow_origins: tuple[str, ...] = field(
        metadata=doc(
            "Origins whose pages may connect, as the browser sends them; '*' for all. Without Origin: no browser, may.",
            form=Form.ORIGIN,
        )
    )
    token_query: str | None = field(
        default=None,
        metadata=doc("Query parameter that may carry the token; removed before forwarding.", form=Form.NAME),
    )
    idle_timeout: float = field(
        default=300.0, metadata=wait("How long nothing may pass in either direction; then close code 4408.")
    )
    max_per_user: int = field(
        default=100,
        metadata=doc("Open WebSockets of one user on this route; more are 429.", minimum=1, maximum=1_000_000),
    )
    max_message_bytes: int = field(
        default=16 * 1024 * 1024,
        metadata=doc("Message of a client; more is close code 1009.", size=True, minimum=125, maximum=4 * 1024**3),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A rule: who may pass below a path, and where to. The longest matching prefix wins."""

    path: str = field(metadata=doc("Path prefix of whole segments, starting with '/'.", form=Form.PATH))
    upstream: str = field(metadata=doc("Name of an entry of `upstreams`.", form=Form.NAME))
    access: Access = field(
        default=Access.REQUIRED,
        metadata=doc("required: a good token; optional: or none at all; public: nobody is asked."),
    )
    methods: frozenset[str] | None = field(
        default=None, metadata=doc("Methods that may pass; all when absent.", form=Form.METHOD, minimum=1)
    )
    roles: frozenset[str] | None = field(
        default=None, metadata=doc("The token must carry one of these roles; any user when absent.", minimum=1)
    )
    stateless: bool = field(
        default=False,
        metadata=doc("Only the token counts: the user is not looked up (JWTStatelessUserAuthentication)."),
    )
    keep_authorization: bool = field(
        default=False, metadata=doc("Pass the client's Authorization field on to the backend.")
    )
    host: HostField = field(
        default=HostField.CLIENT, metadata=doc("client: the client's Host; upstream: the backend's.")
    )
    upstream_path: str | None = field(
        default=None,
        metadata=doc(
            "What the backend gets in the place of `path`: `/` strips it. The same path when absent.", form=Form.PATH
        ),
    )
    allow_in_path: frozenset[Oddity] = field(
        default=frozenset(),
        metadata=doc("Unsafe: what old applications have in paths and backends read in several ways; else 400."),
    )
    max_body_bytes: int | None = field(
        default=None,
        metadata=doc(
            "Request body; more is 413. As in `limits` when absent.",
            size=True,
            may_be_unlimited=True,
            minimum=0,
            maximum=1024**4,
        ),
    )
    rate_limit: RateLimit | None = field(
        default=None, metadata=doc("How often a user or an address may ask; without bound when absent.")
    )
    cors: RouteCors | Cors = field(
        default=RouteCors.INHERIT,
        metadata=doc(
            "inherit: the global `cors`; upstream: the backend answers; or a whole section like the global one."
        ),
    )
    websocket: WebSocket | None = field(default=None, metadata=doc("WebSocket; no upgrade is passed when absent."))
    outlive_token: bool = field(
        default=False,
        metadata=doc("WebSockets and event streams go on when their token expires or is revoked."),
    )
