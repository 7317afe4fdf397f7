"""Configuration → the table of routes, with all that was decided of each."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from gateway.auth.policy import RoutePolicy
from gateway.auth.rate_limit import RateLimit
from gateway.config.model import Config
from gateway.config.sections.cors import Cors, RouteCors
from gateway.config.sections.routes import HostField, LimitedBy, Route, WebSocket
from gateway.config.sections.routes import RateLimit as RouteRateLimit
from gateway.http.cors import CorsPolicy
from gateway.http.prefixes import PrefixReplacement
from gateway.http.routes import RouteTable
from gateway.http.upgrades import HandshakeReader
from gateway.observability.meters import Meters, RouteMeter
from gateway.proxy.plan import RoutePlan, WebSocketPlan
from gateway.proxy.upstream_pool import UpstreamPool
from gateway.types import Access

_LIMITED_CLIENTS: Final = 20_000  # of each route with a rate limit; about 150 bytes each


Counting = TypeVar("Counting")


class RouteCounts:
    """What is counted for each route, rate limits and WebSockets, outlives the table that it stands in.

    `before` are the counts of the last table: whoever asked too often there has not deserved a new start here.
    """

    def __init__(self, before: "RouteCounts | None" = None) -> None:
        self._before = {} if before is None else before._kept
        self._kept: dict[tuple[object, ...], object] = {}

    def keep(self, kind: type[Counting], path: str, terms: object, make: Callable[[], Counting]) -> Counting:
        """What this path had under equal `terms`, else what `make` gives."""
        key = (kind, path, terms)
        kept = self._before.get(key)
        counting = kept if isinstance(kept, kind) else make()
        self._kept[key] = counting
        return counting


def build_routes(
    config: Config,
    *,
    pools: Mapping[str, UpstreamPool],
    endpoints: UpstreamPool,
    cors: CorsPolicy | None,
    meters: Meters,
    counts: RouteCounts | None = None,
) -> RouteTable[RoutePlan]:
    """`pools` are by the upstream's name, `endpoints` is the gateway's own application, `cors` the global rules."""
    counts = counts or RouteCounts()
    prefixes = {
        route.path: _plan_of(
            route,
            config,
            pool=pools[route.upstream],
            inherited_cors=cors,
            counts=counts,
            meter=meters.route(route.path),
        )
        for route in config.routes
    }
    login = config.login
    own = partial(RoutePlan, pool=endpoints, reaches_endpoints=True, cors=cors)
    exact: dict[str, RoutePlan] = {}
    endpoint_paths = {
        "obtain": login.obtain_path,
        "refresh": login.refresh_path,
        "verify": login.verify_path,
        "blacklist": login.blacklist_path,
        "jwks": login.jwks_path,
    }
    for name, path in endpoint_paths.items():
        plan = own(name=name, policy=RoutePolicy(access=Access.PUBLIC), meter=meters.route(name))
        bare = path.rstrip("/")
        exact |= {spelling: plan for spelling in (bare, bare + "/") if spelling}
    required = RoutePolicy(access=Access.REQUIRED)
    prefixes[login.sessions_path] = own(
        name="sessions", policy=required, meter=meters.route("sessions"), keeps_token=True
    )
    return RouteTable(exact=exact, prefixes=prefixes)


def build_cors(cors: Cors) -> CorsPolicy:
    """The rules of a `cors` section, the global one or a route's."""
    return CorsPolicy(
        allow_origins=cors.allow_origins,
        allow_methods=cors.allow_methods,
        allow_headers=cors.allow_headers,
        expose_headers=cors.expose_headers,
        allow_credentials=cors.allow_credentials,
        max_age=cors.max_age,
    )


def _plan_of(
    route: Route,
    config: Config,
    *,
    pool: UpstreamPool,
    inherited_cors: CorsPolicy | None,
    counts: RouteCounts,
    meter: RouteMeter,
) -> RoutePlan:
    replacement, limit, websocket = route.upstream_path, route.rate_limit, route.websocket
    scheme = config.bearer.schemes[0]
    return RoutePlan(
        name=route.path,
        policy=RoutePolicy(access=route.access, methods=route.methods, roles=route.roles, is_stateless=route.stateless),
        pool=pool,
        meter=meter,
        host=pool.host if route.host is HostField.UPSTREAM else None,
        keeps_token=route.keep_authorization,
        cors=_cors_of(route, inherited_cors),
        max_body_bytes=config.limits.max_body_bytes if route.max_body_bytes is None else route.max_body_bytes,
        allowed_oddities=route.allow_in_path,
        prefix_replacement=None
        if replacement is None
        else PrefixReplacement(prefix=route.path, replacement=replacement),
        rate_limit=None if limit is None else counts.keep(RateLimit, route.path, limit, lambda: _rate_limit(limit)),
        websocket=None
        if websocket is None
        else counts.keep(WebSocketPlan, route.path, (websocket, scheme), lambda: _websocket_plan(websocket, scheme)),
        outlives_token=route.outlive_token,
    )


def _cors_of(route: Route, inherited: CorsPolicy | None) -> CorsPolicy | None:
    if isinstance(route.cors, Cors):
        return build_cors(route.cors)
    return inherited if route.cors is RouteCors.INHERIT else None


def _rate_limit(limit: RouteRateLimit) -> RateLimit:
    return RateLimit(
        requests=limit.requests,
        per=limit.per,
        burst=limit.requests if limit.burst is None else limit.burst,
        by_user=limit.by is LimitedBy.USER,
        max_clients=_LIMITED_CLIENTS,
    )


def _websocket_plan(websocket: WebSocket, scheme: str) -> WebSocketPlan:
    return WebSocketPlan(
        handshakes=HandshakeReader(
            allow_origins=websocket.allow_origins, token_query=websocket.token_query, scheme=scheme
        ),
        idle_timeout=websocket.idle_timeout,
        max_per_user=websocket.max_per_user,
        max_message_bytes=websocket.max_message_bytes,
    )
