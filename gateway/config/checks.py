"""What must hold between values, each of which is fine by itself.

A check looks only at values that could be read (`Findings.is_sound`): what stands in for the others would give problems
that nobody made.
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Final

from gateway.config.field_checks import check_fields
from gateway.config.model import Config
from gateway.config.sections.cors import Cors
from gateway.config.sections.routes import Route
from gateway.config.sections.tokens import FurtherKey, Tokens
from gateway.config.sections.upstreams import Upstream, UpstreamTls
from gateway.config.tree import Findings, below, show
from gateway.types import Access

_REGISTERED_CLAIMS: Final = (
    "iss",
    "aud",
    "exp",
    "nbf",
    "iat",
)  # RFC 7519 §4.1, but for sub and jti: these may be named
_ARGON2_BYTES_PER_LANE: Final = 8 * 1024  # RFC 9106 §3.1


def check(config: Config, findings: Findings) -> None:
    """Notes what is wrong; `config` may hold blanks at paths that are not sound."""
    _check_admin(config, findings)
    _check_upstreams(config, findings)
    _check_routes(config, findings)
    _check_endpoints(config, findings)
    _check_tokens(config, findings)
    _check_users(config, findings)
    _check_guessing(config, findings)
    _check_claims(config, findings)
    _check_foreign_issuers(config, findings)
    check_fields(config, findings)
    _check_costs(config, findings)
    _check_cors(config, findings)
    _check_forward_auth(config, findings)


def _check_admin(config: Config, findings: Findings) -> None:
    """Row 87: with several workers the kernel would deal clients and probes out among both listeners."""
    listen, admin = config.listen, config.admin
    if not admin.enabled or not findings.is_sound("listen.address", "listen.port", "admin"):
        return
    is_same_family = (":" in listen.address) == (":" in admin.address)
    is_any = is_same_family and not {listen.address, admin.address}.isdisjoint({"0.0.0.0", "::"})
    if admin.port == listen.port and (admin.address == listen.address or is_any):
        findings.add("admin.port", "must not be listen.port: probes have a listener of their own")


def _check_users(config: Config, findings: Findings) -> None:
    if not findings.is_sound("users", "users.sqlite", "users.url"):
        return
    if config.users.sqlite is None and config.users.url is None:
        findings.add("users", "must say where users live: `sqlite`, the path of a file, or `url` for PostgreSQL")
    if config.users.sqlite is not None and config.users.url is not None:
        findings.add("users.url", "cannot stand beside users.sqlite: users live in one place")


def _check_guessing(config: Config, findings: Findings) -> None:
    guessing = config.guessing
    first, longest, forget = (below("guessing", name) for name in ("first_wait", "longest_wait", "forget_after"))
    if findings.is_sound(first, longest) and guessing.first_wait > guessing.longest_wait:
        findings.add(first, "must not be longer than longest_wait")
    if findings.is_sound(longest, forget) and guessing.longest_wait > guessing.forget_after:
        findings.add(longest, "must not be longer than forget_after: a failure that is forgotten keeps nobody waiting")


def _check_upstreams(config: Config, findings: Findings) -> None:
    for name, upstream in config.upstreams.items():
        path = below("upstreams", name)
        _check_servers(below(path, "servers"), upstream, findings)
        _check_upstream_tls(path, upstream, findings)
        health = below(path, "health")
        first, longest = below(health, "pause"), below(health, "max_pause")
        if findings.is_sound(first, longest) and upstream.health.pause > upstream.health.max_pause:
            findings.add(first, "must not be longer than max_pause")


def _check_servers(path: str, upstream: Upstream, findings: Findings) -> None:
    first: dict[str, str] = {}
    for index, server in enumerate(upstream.servers):
        at = below(path, index)
        if findings.is_sound(at):
            if server in first:
                findings.add(at, f"is the same server as {first[server]}")
            first.setdefault(server, at)


def _check_upstream_tls(path: str, upstream: Upstream, findings: Findings) -> None:
    servers, tls = below(path, "servers"), below(path, "tls")
    if not findings.is_sound(servers, tls):
        return
    if upstream.tls != UpstreamTls() and not upstream.speaks_tls:
        findings.add(tls, "has no use: none of the servers is https://")
    if upstream.tls.key is not None and upstream.tls.certificate is None:
        findings.add(below(tls, "key"), "has no use without the certificate that it belongs to")


def _sound_routes(config: Config, findings: Findings) -> Iterator[tuple[str, Route]]:
    """The YAML path of the path, and the route, of every route whose path could be read."""
    for index, route in enumerate(config.routes):
        path = below(below("routes", index), "path")
        if findings.is_sound(path):
            yield path, route


def _check_routes(config: Config, findings: Findings) -> None:
    first: dict[str, str] = {}
    for path, route in _sound_routes(config, findings):
        prefix = route.path.rstrip("/")
        if prefix in first:
            findings.add(
                path, f"is the same path as {first[prefix]}; a path has one route (`/a` and `/a/` are the same)"
            )
        first.setdefault(prefix, path)
    for index, route in enumerate(config.routes):
        _check_route(below("routes", index), route, config, findings)


def _check_route(path: str, route: Route, config: Config, findings: Findings) -> None:
    upstream = below(path, "upstream")
    # An entry that is only half readable still has its name; no entries at all are a problem of their own.
    if config.upstreams and findings.is_sound(upstream) and route.upstream not in config.upstreams:
        names = ", ".join(show(name) for name in config.upstreams)
        findings.add(upstream, f"there is no upstream `{show(route.upstream)}`; `upstreams` has {names}")
    if route.websocket is not None and route.methods is not None and "GET" not in route.methods:
        findings.add(below(path, "websocket"), "needs GET, which `methods` leaves out: a handshake is a GET")
    if route.access is Access.PUBLIC and route.roles is not None:
        findings.add(below(path, "roles"), "asks for a role where `access: public` asks nobody; remove one of the two")


def _endpoints(config: Config) -> Mapping[str, str]:
    """YAML path → path."""
    login = config.login
    return {
        "login.obtain_path": login.obtain_path,
        "login.refresh_path": login.refresh_path,
        "login.verify_path": login.verify_path,
        "login.blacklist_path": login.blacklist_path,
        "login.jwks_path": login.jwks_path,
        "login.sessions_path": login.sessions_path,
    }


def _check_endpoints(config: Config, findings: Findings) -> None:
    """Rows 28 and 89 of the security checklist: the token endpoints' paths are the gateway's own, beyond any doubt."""
    first: dict[str, str] = {}
    for name, endpoint in _endpoints(config).items():
        if not findings.is_sound(name):
            continue
        bare = endpoint.rstrip("/")
        if bare in first:
            findings.add(name, f"is the same path as {first[bare]}; each token endpoint needs its own")
        first.setdefault(bare, name)
    for path, route in _sound_routes(config, findings):
        _check_route_beside(path, route, first, findings)


def _check_route_beside(path: str, route: Route, endpoints: Mapping[str, str], findings: Findings) -> None:
    prefix = route.path.rstrip("/")
    if prefix in endpoints:
        findings.add(path, f"is the path of a token endpoint ({endpoints[prefix]}), which no route can have")
    elif route.access is Access.PUBLIC:
        for bare, name in endpoints.items():
            if prefix.startswith(bare + "/"):
                findings.add(
                    path,
                    f"is public and lies below a token endpoint ({name}); move it, or make it required or optional",
                )
                return


def _check_tokens(config: Config, findings: Findings) -> None:
    tokens = config.tokens
    if findings.is_sound("tokens.access_lifetime", "tokens.refresh_lifetime") and (
        tokens.access_lifetime > tokens.refresh_lifetime
    ):
        findings.add("tokens.access_lifetime", "must not be longer than refresh_lifetime")
    _check_key("tokens", tokens, findings)
    for index, key in enumerate(tokens.further_keys):
        _check_key(below("tokens.further_keys", index), key, findings)


def _check_key(path: str, key: Tokens | FurtherKey, findings: Findings) -> None:
    verifying = below(path, "verifying_key")
    if findings.is_sound(below(path, "algorithm"), verifying) and (
        key.algorithm.startswith("HS") and key.verifying_key is not None
    ):
        findings.add(
            verifying,
            f"has no use with {key.algorithm}, whose one secret both signs and verifies; remove it, "
            "or choose the algorithm of the key pair",
        )


def _check_claims(config: Config, findings: Findings) -> None:
    claims = config.tokens.claims
    named = {
        "tokens.claims.user_id": claims.user_id,
        "tokens.claims.token_type": claims.token_type,
        "tokens.claims.jti": claims.jti,
        "tokens.claims.session_id": claims.session_id,
    }
    taken = dict.fromkeys(_REGISTERED_CLAIMS, "a claim with a meaning of its own (RFC 7519)")
    for path, claim in named.items():
        if not findings.is_sound(path):
            continue
        if claim in taken:
            findings.add(path, f"cannot be `{show(claim)}`, which is {taken[claim]}")
        else:
            taken[claim] = f"the name given to {path}"
    taken.setdefault("jti", "a claim with a meaning of its own (RFC 7519)")
    for claim in claims.extra:
        path = below("tokens.claims.extra", claim)
        if findings.is_sound(path) and claim in taken:
            findings.add(path, f"the claim `{show(claim)}` is set by the gateway: it is {taken[claim]}")
    for member in ("access", "refresh"):
        if member in config.login.response_fields:
            path = below("login.response_fields", member)
            findings.add(path, f"the member `{member}` of the log-in answer is the {member} token; choose another name")


def _check_foreign_issuers(config: Config, findings: Findings) -> None:
    """A token belongs to one issuer; and what of it the gateway decides on is said by one key of the file."""
    names = config.tokens.claims
    ours = {*_REGISTERED_CLAIMS, names.user_id, names.token_type, names.jti, names.session_id, names.roles}
    first = {config.tokens.issuer: "tokens.issuer"}
    for name, entry in config.foreign_issuers.items():
        path = below("foreign_issuers", name)
        issuer = below(path, "issuer")
        if findings.is_sound(issuer, "tokens.issuer"):
            if entry.issuer in first:
                findings.add(issuer, f"is the same as {first[entry.issuer]}: nobody could tell whose a token is")
            first.setdefault(entry.issuer, issuer)
        for claim in entry.claims.extra:
            if claim in ours:
                findings.add(
                    below(below(below(path, "claims"), "extra"), claim),
                    f"the claim `{show(claim)}` has a meaning of its own; user id and roles are keys beside `extra`",
                )


def _check_costs(config: Config, findings: Findings) -> None:
    argon2, limits = config.users.argon2, config.limits
    if findings.is_sound("users.argon2.memory_cost", "users.argon2.parallelism") and (
        argon2.memory_cost < argon2.parallelism * _ARGON2_BYTES_PER_LANE
    ):
        least = argon2.parallelism * _ARGON2_BYTES_PER_LANE // 1024
        findings.add(
            "users.argon2.memory_cost", f"must be at least {least}KiB with a parallelism of {argon2.parallelism}"
        )
    if findings.is_sound("limits.max_target_bytes", "limits.max_head_bytes") and (
        limits.max_target_bytes > limits.max_head_bytes
    ):
        findings.add(
            "limits.max_target_bytes", "must not be more than max_head_bytes: the target is a part of the head"
        )


def _check_cors(config: Config, findings: Findings) -> None:
    sections: list[tuple[str, object]] = [("cors", config.cors)]
    sections += [(below(below("routes", index), "cors"), route.cors) for index, route in enumerate(config.routes)]
    for path, cors in sections:
        if isinstance(cors, Cors) and cors.allow_credentials and "*" in cors.allow_origins:
            findings.add(
                below(path, "allow_origins"),
                "must name the origins: with `*` and allow_credentials any site could act for a user who is logged in",
            )


def _check_forward_auth(config: Config, findings: Findings) -> None:
    """Who may say which request is meant is trusted with less, too; and nothing else answers where it asks."""
    forward_auth = config.forward_auth
    if forward_auth is None:
        return
    for index, text in enumerate(forward_auth.proxies):
        path = below("forward_auth.proxies", index)
        if not findings.is_sound(path, "listen.trusted_proxies"):
            continue
        if not _is_within(text, config.listen.trusted_proxies):
            findings.add(
                path,
                "is not in listen.trusted_proxies; what it says of the client counts as well, so list it there, too",
            )
    if not findings.is_sound("forward_auth.path"):
        return
    path = forward_auth.path
    if path.endswith("/"):
        findings.add("forward_auth.path", "must not end with a slash: write the path that the proxy is to ask at")
    for other, route in _sound_routes(config, findings):
        if _lies_below(route.path, path):
            findings.add(
                other, f"is or lies below forward_auth.path, {show(path)}, where proxies ask and no route counts"
            )
    for name, endpoint in _endpoints(config).items():
        if findings.is_sound(name) and (_lies_below(path, endpoint) or _lies_below(endpoint, path)):
            findings.add("forward_auth.path", f"and {name} must not be one below the other")


def _lies_below(path: str, prefix: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{prefix.rstrip('/')}/")


def _is_within(text: str, others: Iterable[str]) -> bool:
    """Networks in CIDR notation."""
    network = ip_network(text)
    return any(
        network.version == other.version
        and int(other.network_address) <= int(network.network_address)
        and int(network.broadcast_address) <= int(other.broadcast_address)
        for other in map(ip_network, others)
    )
