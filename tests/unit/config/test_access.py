"""Whose access differs: held against the route table and the policy that requests meet, and sentence by sentence."""

import itertools
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.policy import RoutePolicy
from gateway.config.access import Difference, Effect, differences
from gateway.config.model import Config
from gateway.errors import Refused
from gateway.http.routes import RouteTable
from gateway.types import Principal
from tests.unit.config.sample import parse_with

ROUTE = "{path: /, upstream: app}"


def found(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [shown(it) for it in differences(parse_with(**before), parse_with(**after))]


def shown(difference: Difference) -> str:
    return f"{difference.effect.value} {difference.place} {difference.text}"


def of_routes(before: str, after: str) -> list[str]:
    return found({"routes": f"[{before}]"}, {"routes": f"[{after}]"})


def test_the_same_is_nothing() -> None:
    assert found({}, {}) == []


ROUTES: dict[str, tuple[str, str, list[str]]] = {
    "public": (
        ROUTE,
        "{path: /, upstream: app, access: public}",
        [
            "wider / any user → anybody",
            "changed / the backend is no longer told who the user is",
        ],
    ),
    "optional": (ROUTE, "{path: /, upstream: app, access: optional}", ["wider / any user → anybody"]),
    "roles-gained": (
        "{path: /, upstream: app, roles: [a]}",
        "{path: /, upstream: app, roles: [b, a]}",
        ["wider / users with the role a → users with one of the roles a, b"],
    ),
    "roles-exchanged": (
        "{path: /, upstream: app, roles: [a]}",
        "{path: /, upstream: app, roles: [b]}",
        ["wider / users with the role a → users with the role b"],
    ),
    "roles-demanded": (
        ROUTE,
        "{path: /, upstream: app, roles: [a]}",
        ["narrower / any user → users with the role a"],
    ),
    "methods": (
        "{path: /, upstream: app, methods: [GET, POST]}",
        "{path: /, upstream: app, methods: [GET, PUT]}",
        ["wider / PUT: nobody → any user", "narrower / POST: any user → nobody"],
    ),
    "all-but": (
        ROUTE,
        "{path: /, upstream: app, methods: [GET]}",
        ["narrower / all methods but GET: any user → nobody"],
    ),
    "a-longer-prefix": (
        "{path: /api, upstream: app, roles: [a]}",
        "{path: /api, upstream: app, roles: [a]}, {path: /api/open, upstream: app}",
        ["wider /api/open users with the role a → any user (a new route takes it from /api)"],
    ),
    "a-longer-prefix-goes": (
        "{path: /, upstream: app}, {path: /staff/, upstream: app, roles: [a]}",
        ROUTE,
        ["wider /staff users with the role a → any user (the route is gone, / takes it)"],
    ),
    "new": (
        "{path: /a, upstream: app}",
        "{path: /a, upstream: app}, {path: /b, upstream: app}",
        ["wider /b nobody → any user (the route is new)"],
    ),
    "gone": (
        "{path: /a, upstream: app}, {path: /b, upstream: app, access: public}",
        "{path: /a, upstream: app}",
        ["narrower /b anybody → nobody (the route is gone)"],
    ),
    "order-and-slash": (
        "{path: /a, upstream: app}, {path: /b/, upstream: app}",
        "{path: /b, upstream: app}, {path: /a/, upstream: app}",
        [],
    ),
    "flags": (
        ROUTE,
        "{path: /, upstream: app, stateless: true, outlive_token: true, keep_authorization: true}",
        [
            "wider / users who are gone or disabled pass until their token ends",
            "wider / WebSockets and event streams outlive their token",
            "wider / the backend is given the token itself",
        ],
    ),
    "flags-off": (
        "{path: /, upstream: app, stateless: true}",
        ROUTE,
        ["narrower / no longer: users who are gone or disabled pass until their token ends"],
    ),
    "odd-paths": (
        ROUTE,
        "{path: /, upstream: app, allow_in_path: [semicolon]}",
        ["wider / odd paths that pass: none → semicolon"],
    ),
    "upstream-path": (
        "{path: /a, upstream: app}",
        "{path: /a, upstream: app, upstream_path: /b}",
        ["changed /a the backend gets it at /a → /b"],
    ),
    "websocket-origins": (
        "{path: /, upstream: app, websocket: {allow_origins: ['https://a.example']}}",
        "{path: /, upstream: app, websocket: {allow_origins: ['*']}}",
        ["wider / pages that may open WebSockets: https://a.example → *"],
    ),
    "rate-limit": (
        "{path: /, upstream: app, rate_limit: {requests: 1, per: 1s}}",
        ROUTE,
        ["wider / nobody is held back by a rate limit"],
    ),
    "cors-of-a-route": (
        ROUTE,
        "{path: /, upstream: app, cors: {allow_origins: ['https://a.example']}}",
        [
            "wider / (cors) pages that may read answers: none → https://a.example",
            "changed / (cors) answered by the gateway",
        ],
    ),
}


@pytest.mark.parametrize("name", ROUTES)
def test_routes(name: str) -> None:
    before, after, expected = ROUTES[name]
    assert of_routes(before, after) == expected


SETTINGS: dict[str, tuple[dict[str, str], dict[str, str], list[str]]] = {
    "audience-asked-for": (
        {},
        {"tokens": "{signing_key: {env: KEY}, audience: [a]}"},
        ["narrower tokens.audience none → a: which audience a token must name; none is any"],
    ),
    "audience-no-longer": (
        {"tokens": "{signing_key: {env: KEY}, audience: [a]}"},
        {},
        ["wider tokens.audience a → none: which audience a token must name; none is any"],
    ),
    "another-issuer": (
        {"tokens": "{signing_key: {env: KEY}, issuer: a}"},
        {"tokens": "{signing_key: {env: KEY}, issuer: b}"},
        ["narrower tokens.issuer a → b: which issuer a token must name; nothing is any"],
    ),
    "lifetime": (
        {},
        {"tokens": "{signing_key: {env: KEY}, access_lifetime: 1h}"},
        ["wider tokens.access_lifetime 5m → 1h: life of access tokens that are issued from now on"],
    ),
    "claim": (
        {},
        {"tokens": "{signing_key: {env: KEY}, claims: {user_id: sub_id}}"},
        [
            "changed tokens.claims.user_id user_id → sub_id: "
            "tokens of before have it under the old name, and may be refused"
        ],
    ),
    "identity": (
        {},
        {"identity": "{fields: {X-Mail: email}}"},
        ["changed identity.fields.X-Mail nothing → email: what the backend is told of the user"],
    ),
    "servers": (
        {},
        {"upstreams": "{app: {servers: ['http://other']}}"},
        ["changed upstreams.app.servers http://app → http://other: other backends"],
    ),
    "unverified": (
        {"upstreams": "{app: {servers: ['https://app']}}"},
        {"upstreams": "{app: {servers: ['https://app'], tls: {verify: false}}}"},
        ["wider upstreams.app.tls.verify true → false: whether backends must prove who they are"],
    ),
    "origins": (
        {"cors": "{allow_origins: ['https://a.example']}"},
        {"cors": "{allow_origins: ['https://b.example'], allow_credentials: true}"},
        [
            "wider cors pages that may read answers: https://a.example → https://b.example",
            "wider cors with credentials: false → true",
        ],
    ),
    "cors-of-the-backends": (
        {"cors": "{allow_origins: ['https://a.example']}"},
        {},
        ["changed cors left to the backends"],
    ),
    "guessing": (
        {},
        {"guessing": "{enabled: false}"},
        ["wider guessing.enabled true → false: whether guesses at passwords are counted"],
    ),
    "session-without-end": (
        {},
        {"sessions": "{lifetime: null}"},
        ["wider sessions.lifetime 30d → nothing: how long a session lasts, or a spent refresh token"],
    ),
    "proxies-may-ask": (
        {"listen": "{trusted_proxies: [10.0.0.0/8]}"},
        {"listen": "{trusted_proxies: [10.0.0.0/8]}", "forward_auth": "{proxies: [10.0.0.7]}"},
        ["wider forward_auth nothing → set: who may ask what may pass, and where"],
    ),
    "another-proxy-may-ask": (
        {"listen": "{trusted_proxies: [10.0.0.0/8]}", "forward_auth": "{proxies: [10.0.0.7]}"},
        {"listen": "{trusted_proxies: [10.0.0.0/8]}", "forward_auth": "{proxies: [10.0.0.7, 10.0.0.8]}"},
        ["wider forward_auth.proxies 10.0.0.7 → 10.0.0.7, 10.0.0.8: whose word on which request is meant counts"],
    ),
    "nothing-of-access": (
        {},
        {
            "limits": "{head_timeout: 7s}",
            "workers": "2",
            "upstreams": "{app: {servers: ['http://app'], read_timeout: 1s}}",
        },
        [],
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name: str) -> None:
    before, after, expected = SETTINGS[name]
    assert found(before, after) == expected


def test_foreign_issuers_come_and_go() -> None:
    issuer = "{corp: {issuer: 'https://a.example', audience: [us], jwks_url: 'https://a.example/keys'}}"
    (gained,) = found({}, {"foreign_issuers": issuer})
    (lost,) = found({"foreign_issuers": issuer}, {})
    (changed,) = found({"foreign_issuers": issuer}, {"foreign_issuers": issuer.replace("[us]", "[us, them]")})
    assert gained.startswith("wider foreign_issuers.corp nothing → set: ")
    assert lost.startswith("narrower foreign_issuers.corp set → nothing: ")
    assert changed.startswith("changed foreign_issuers.corp.audience us → them, us: ")


KEY = "signing_key: {env: KEY}"
OTHER = "signing_key: {env: URL}"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            KEY,
            OTHER,
            ["changed tokens the HS256 key without a kid is another one: what that of before has signed is refused"],
        ),
        (
            KEY,
            f"{KEY}, further_keys: [{{kid: next, {OTHER}}}]",
            ["wider tokens the HS256 key next is new: what it has signed passes"],
        ),
        (
            f"{KEY}, further_keys: [{{kid: next, {OTHER}}}]",
            f"{OTHER}, kid: next, further_keys: [{{{KEY}}}]",
            ["changed tokens the HS256 key without a kid → the HS256 key next signs new tokens"],
        ),
        (
            f"{OTHER}, kid: next, further_keys: [{{{KEY}}}]",
            f"{OTHER}, kid: next",
            ["narrower tokens the HS256 key without a kid is gone: what it has signed is refused"],
        ),
    ],
)
def test_s61_keys_are_compared_and_not_shown(before: str, after: str, expected: list[str]) -> None:
    assert found({"tokens": f"{{{before}}}"}, {"tokens": f"{{{after}}}"}) == expected


def test_the_most_dangerous_come_first() -> None:
    before = "{path: /a, upstream: app}, {path: /b, upstream: app}, {path: /c, upstream: app, roles: [x]}"
    after = (
        "{path: /a, upstream: app, roles: [x]}, {path: /b, upstream: app, access: public},"
        " {path: /c, upstream: app, roles: [x, y]}"
    )
    assert [(it.effect, it.place) for it in differences(*(parse_with(routes=f"[{it}]") for it in (before, after)))] == [
        (Effect.WIDER, "/b"),
        (Effect.WIDER, "/c"),
        (Effect.CHANGED, "/b"),
        (Effect.NARROWER, "/a"),
    ]


# Against what requests meet

PATHS = ("/", "/a", "/a/b", "/a/b/c", "/ab", "/d")
METHODS = ("GET", "POST", "PUT")


@st.composite
def routes(draw: st.DrawFn) -> str:
    made: list[dict[str, Any]] = []
    for path in draw(st.lists(st.sampled_from(PATHS), min_size=1, unique=True)):
        route: dict[str, Any] = {"path": path, "upstream": "app"}
        route["access"] = draw(st.sampled_from(["required", "optional", "public"]))
        if route["access"] != "public":
            route["roles"] = draw(st.sampled_from([None, ["x"], ["y"], ["x", "y"]]))
        route["methods"] = draw(st.sampled_from([None, ["GET"], ["GET", "POST"]]))
        made.append(route)
    return yaml.safe_dump(made, default_flow_style=True, width=10_000).strip()


def principal(*roles: str) -> Principal:
    return Principal(
        user_id="1",
        token_id="t",
        session_id=None,
        issued_at=0,
        expires_at=0,
        roles=frozenset(roles),
        identity=b"",
        is_local=True,
    )


EVERYBODY = (None, principal(), principal("x"), principal("y"))
EVERYWHERE = [path for place in PATHS for path in (place, place.rstrip("/") + "/z")]


def who_passes(config: Config) -> set[tuple[str, str, int]]:
    table = RouteTable(
        exact={},
        prefixes={
            route.path: RoutePolicy(access=route.access, methods=route.methods, roles=route.roles)
            for route in config.routes
        },
    )
    passing = set()
    for path, method, (number, who) in itertools.product(EVERYWHERE, METHODS, enumerate(EVERYBODY)):
        policy = table.match(path)
        if policy is not None and _passes(policy, who, method):
            passing.add((path, method, number))
    return passing


def _passes(policy: RoutePolicy, who: Principal | None, method: str) -> bool:
    try:
        policy.authorize(who if policy.reads_token else None, method)
    except Refused:
        return False
    return True


@settings(deadline=None)
@given(before=routes(), after=routes())
def test_whoever_gains_is_told_and_nobody_else(before: str, after: str) -> None:
    old, new = parse_with(routes=before), parse_with(routes=after)
    could, can = who_passes(old), who_passes(new)
    told = [it for it in differences(old, new) if "→" in it.text and "odd" not in it.text]
    assert bool(can - could) == any(it.effect is Effect.WIDER for it in told)
    assert bool(can ^ could) == bool(told)
    gained = {path for path, _, _ in can - could}
    assert gained <= {
        path for path in gained if any(_lies_below(path, it.place) for it in told if it.effect is Effect.WIDER)
    }


def _lies_below(path: str, place: str) -> bool:
    return path == place or path.startswith(place.rstrip("/") + "/")
