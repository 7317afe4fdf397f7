"""Values that are fine by themselves and wrong together."""

import pytest

from tests.unit.config.sample import parse_with, refusals


def routes(*entries: str) -> str:
    return f"[{', '.join(f'{{upstream: app, {entry}}}' for entry in entries)}]"


def tokens(rest: str) -> str:
    return f"{{signing_key: {{env: KEY}}, {rest}}}"


def paths(sentences: list[str]) -> list[str]:
    return [sentence.split(": ")[0] for sentence in sentences]


@pytest.mark.parametrize(
    ("listen", "admin"),
    [
        ("{port: 8081}", "{}"),
        ("{port: 9000}", "{port: 9000}"),
        ("{address: 0.0.0.0, port: 9000}", "{port: 9000}"),
        ("{port: 9000}", "{address: 0.0.0.0, port: 9000}"),
        ("{address: '::', port: 9000}", "{address: '::1', port: 9000}"),
        ("{address: localhost, port: 9000}", "{address: 0.0.0.0, port: 9000}"),
    ],
)
def test_s87_the_admin_listener_has_a_place_of_its_own(listen: str, admin: str) -> None:
    assert refusals(listen=listen, admin=admin) == [
        "admin.port: must not be listen.port: probes have a listener of their own"
    ]


@pytest.mark.parametrize(
    ("listen", "admin"),
    [
        ("{}", "{}"),
        ("{port: 8081}", "{enabled: false}"),
        ("{address: 127.0.0.2, port: 9000}", "{port: 9000}"),
        ("{address: '::', port: 9000}", "{port: 9000}"),
        ("{port: 0}", "{}"),
    ],
)
def test_another_port_or_address_is_fine_for_it(listen: str, admin: str) -> None:
    assert refusals(listen=listen, admin=admin) == []


def test_places_that_could_not_be_read_are_not_compared() -> None:
    assert paths(refusals(listen="{port: 8081}", admin="{address: 1.2.3, port: 8081}")) == ["admin.address"]


def test_a_route_to_an_unknown_upstream_is_refused() -> None:
    assert refusals(routes="[{path: /, upstream: nope}]") == [
        "routes[0].upstream: there is no upstream `nope`; `upstreams` has app"
    ]
    # Half readable, it still has its name; with no entry at all there is nothing to compare with.
    assert paths(refusals(upstreams="{app: {servers: [x]}}")) == ["upstreams.app.servers[0]"]
    assert paths(refusals(upstreams="[]")) == ["upstreams"]


@pytest.mark.parametrize("twice", [("path: /a", "path: /a"), ("path: /a", "path: /a/"), ("path: /", "path: /")])
def test_s89_two_routes_with_one_path_are_refused(twice: tuple[str, str]) -> None:
    assert refusals(routes=routes(*twice)) == [
        "routes[1].path: is the same path as routes[0].path; a path has one route (`/a` and `/a/` are the same)"
    ]


def test_routes_within_routes_are_fine() -> None:
    assert refusals(routes=routes("path: /", "path: /a, access: public", "path: /a/b", "path: /ab", "path: /A")) == []


def test_paths_that_could_not_be_read_are_not_compared() -> None:
    assert paths(refusals(routes=routes("path: a", "path: a"))) == ["routes[0].path", "routes[1].path"]


def test_s89_roles_on_a_public_route_are_refused() -> None:
    assert refusals(routes=routes("path: /, access: public, roles: [staff]")) == [
        "routes[0].roles: asks for a role where `access: public` asks nobody; remove one of the two"
    ]
    assert refusals(routes=routes("path: /, access: optional, roles: [staff]")) == []


def test_websocket_without_its_method_is_refused() -> None:
    websocket = "websocket: {allow_origins: ['*']}"
    assert refusals(routes=routes(f"path: /, methods: [POST], {websocket}")) == [
        "routes[0].websocket: needs GET, which `methods` leaves out: a handshake is a GET"
    ]
    assert refusals(routes=routes(f"path: /, methods: [GET], {websocket}")) == []
    assert refusals(routes=routes(f"path: /, {websocket}")) == []


@pytest.mark.parametrize(
    "path", ["/api/token", "/api/token/", "/api/token/refresh", "/api/token/verify/", "/.well-known/jwks.json"]
)
@pytest.mark.parametrize("access", ["public", "optional", "required"])
def test_s89_a_route_with_the_path_of_a_token_endpoint_is_refused(path: str, access: str) -> None:
    (sentence,) = refusals(routes=routes("path: /", f"path: {path}, access: {access}"))
    assert sentence.startswith("routes[1].path: is the path of a token endpoint (login.")


def test_s89_a_public_route_below_a_token_endpoint_is_refused() -> None:
    assert refusals(routes=routes("path: /api/token/login, access: public")) == [
        "routes[0].path: is public and lies below a token endpoint (login.obtain_path); "
        "move it, or make it required or optional"
    ]
    assert refusals(routes=routes("path: /api/token/login, access: optional")) == []
    assert refusals(routes=routes("path: /api/tokens, access: public", "path: /api, access: public")) == []
    assert refusals(routes=routes("path: /, access: public")) == []


@pytest.mark.parametrize("path", ["/api/token/", "/api/token"])
def test_s89_two_token_endpoints_with_one_path_are_refused(path: str) -> None:
    assert refusals(login=f"{{verify_path: {path}}}") == [
        "login.verify_path: is the same path as login.obtain_path; each token endpoint needs its own"
    ]


def test_a_token_endpoint_that_could_not_be_read_is_not_compared() -> None:
    assert paths(refusals(login="{verify_path: x, blacklist_path: x}")) == ["login.verify_path", "login.blacklist_path"]


def test_lifetimes_are_compared() -> None:
    assert refusals(tokens=tokens("access_lifetime: 2h, refresh_lifetime: 1h")) == [
        "tokens.access_lifetime: must not be longer than refresh_lifetime"
    ]
    assert refusals(tokens=tokens("access_lifetime: 1h, refresh_lifetime: 1h")) == []
    assert paths(refusals(tokens=tokens("access_lifetime: 2h, refresh_lifetime: 1"))) == ["tokens.refresh_lifetime"]
    assert paths(refusals(tokens=tokens("access_lifetime: 500ms"))) == ["tokens.access_lifetime"]


def test_s44_more_than_a_minute_of_leeway_is_refused() -> None:
    assert parse_with(tokens=tokens("leeway: 60s")).tokens.leeway == 60
    assert paths(refusals(tokens=tokens("leeway: 61s"))) == ["tokens.leeway"]


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_s30_a_public_key_beside_an_hmac_secret_is_refused(algorithm: str) -> None:
    (sentence,) = refusals(tokens=tokens(f"algorithm: {algorithm}, verifying_key: x"))
    assert sentence.startswith(f"tokens.verifying_key: has no use with {algorithm}, whose one secret both signs and")


@pytest.mark.parametrize("algorithm", ["RS256", "PS512", "ES256", "EdDSA"])
def test_a_public_key_goes_with_asymmetric_algorithms(algorithm: str) -> None:
    assert refusals(tokens=tokens(f"algorithm: {algorithm}, verifying_key: x")) == []


@pytest.mark.parametrize("algorithm", ["none", "None", "HS1", "hs256", "ES256K"])
def test_s31_other_algorithms_are_refused(algorithm: str) -> None:
    assert paths(refusals(tokens=tokens(f"algorithm: {algorithm}, verifying_key: x"))) == ["tokens.algorithm"]


def test_s30_a_further_key_is_judged_alike() -> None:
    further = "further_keys: [{kid: a, algorithm: ES256, verifying_key: x}, {kid: b, verifying_key: x}]"
    (sentence,) = refusals(tokens=tokens(further))
    assert sentence.startswith("tokens.further_keys[1].verifying_key: has no use with HS256, whose one secret both")


def test_a_kid_is_one_plain_word() -> None:
    assert refusals(tokens=tokens("kid: key-2026.1_a")) == []
    for kid in ("a b", "a/b", '"é"', '""'):
        assert paths(refusals(tokens=tokens(f"kid: {kid}"))) == ["tokens.kid"]


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf", "iss", "aud"])
@pytest.mark.parametrize("name", ["user_id", "token_type", "jti", "session_id"])
def test_registered_claims_keep_their_meaning(name: str, claim: str) -> None:
    assert refusals(tokens=tokens(f"claims: {{{name}: {claim}}}")) == [
        f"tokens.claims.{name}: cannot be `{claim}`, which is a claim with a meaning of its own (RFC 7519)"
    ]


def test_claims_have_names_of_their_own() -> None:
    assert refusals(tokens=tokens("claims: {user_id: sub, token_type: typ, jti: tid, session_id: s}")) == []
    assert refusals(tokens=tokens("claims: {user_id: x, session_id: x}")) == [
        "tokens.claims.session_id: cannot be `x`, which is the name given to tokens.claims.user_id"
    ]
    assert paths(refusals(tokens=tokens("claims: {user_id: '', session_id: ''}"))) == [
        "tokens.claims.user_id",
        "tokens.claims.session_id",
    ]


@pytest.mark.parametrize("claim", ["exp", "iat", "jti", "nbf", "iss", "aud", "user_id", "token_type", "sid"])
def test_extra_claims_do_not_override_the_gateways_own(claim: str) -> None:
    (sentence,) = refusals(tokens=tokens(f"claims: {{extra: {{{claim}: id, ok: id}}}}"))
    assert sentence.startswith(f"tokens.claims.extra.{claim}: the claim `{claim}` is set by the gateway: it is ")


def test_the_claim_jti_is_reserved_under_another_name_too() -> None:
    assert paths(refusals(tokens=tokens("claims: {jti: tid, extra: {jti: id, tid: id}}"))) == [
        "tokens.claims.extra.jti",
        "tokens.claims.extra.tid",
    ]


def test_extra_claims_that_could_not_be_read_are_one_problem() -> None:
    assert paths(refusals(tokens=tokens("claims: {extra: {exp: x}}"))) == ["tokens.claims.extra.exp"]


@pytest.mark.parametrize("member", ["access", "refresh"])
def test_the_tokens_of_the_login_answer_are_not_overridden(member: str) -> None:
    (sentence,) = refusals(login=f"{{response_fields: {{{member}: id, user: {{access: id}}}}}}")
    assert sentence.startswith(f"login.response_fields.{member}: the member `{member}` of the log-in answer is the")


def test_argon2_needs_memory_for_each_lane() -> None:
    assert refusals(users="{sqlite: x, argon2: {memory_cost: 31KiB, parallelism: 4}}") == [
        "users.argon2.memory_cost: must be at least 32KiB with a parallelism of 4"
    ]
    assert refusals(users="{sqlite: x, argon2: {memory_cost: 32KiB, parallelism: 4}}") == []
    assert paths(refusals(users="{sqlite: x, argon2: {memory_cost: 8KiB, parallelism: 0}}")) == [
        "users.argon2.parallelism"
    ]


def test_users_live_in_one_place() -> None:
    for users in ("{}", "{sqlite: null}", "{hash_workers: 4}"):
        assert refusals(users=users) == [
            "users: must say where users live: `sqlite`, the path of a file, or `url` for PostgreSQL"
        ]
    assert refusals(users="{sqlite: x, url: {env: URL}}") == [
        "users.url: cannot stand beside users.sqlite: users live in one place"
    ]
    assert refusals(users="{url: {env: URL}}") == []
    assert paths(refusals(users="{url: {env: MISSING}}")) == ["users.url"]
    assert paths(refusals(users="{sqlite: 7}")) == ["users.sqlite"]


def test_a_target_is_a_part_of_its_head() -> None:
    assert paths(refusals(limits="{max_target_bytes: 8KiB, max_head_bytes: 4KiB}")) == ["limits.max_target_bytes"]
    assert refusals(limits="{max_target_bytes: 8KiB, max_head_bytes: 8KiB}") == []
    assert paths(refusals(limits="{max_target_bytes: 8KiB, max_head_bytes: 4}")) == ["limits.max_head_bytes"]


def test_every_origin_together_with_credentials_is_refused() -> None:
    assert paths(refusals(cors="{allow_origins: ['*'], allow_credentials: true}")) == ["cors.allow_origins"]
    assert refusals(cors="{allow_origins: ['*']}") == []
    route = (
        "[{path: /, upstream: app}, {path: /a, upstream: app, cors: {allow_origins: ['*'], allow_credentials: true}}]"
    )
    assert paths(refusals(routes=route)) == ["routes[1].cors.allow_origins"]
    assert refusals(cors="{allow_origins: ['https://a.example.org'], allow_credentials: true}") == []


@pytest.mark.parametrize(
    "origin", ["null", "'null'", "https://a.example.org/", "https://A.example.org", "a.example.org"]
)
def test_origins_are_as_browsers_send_them(origin: str) -> None:
    assert paths(refusals(cors=f"{{allow_origins: [{origin}]}}")) == ["cors.allow_origins[0]"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "http://:80",
        "https://",
        "ftp://app",
        "http://u:p@app",
        "https://u:p@app",
        "http://app/x",
        "https://app/",
        "http://app:0",
        "unix:app.sock",
        "unix:/",
        "unix://app.sock",
        f"unix:/{'a' * 107}",
    ],
)
def test_s89_an_upstream_without_a_plain_address_is_refused(url: str) -> None:
    (sentence,) = refusals(upstreams=f"{{app: {{servers: ['{url}']}}}}")
    assert sentence.startswith("upstreams.app.servers[0]: must ")
    assert "u:p" not in sentence


@pytest.mark.parametrize("path", ["api", "/a/../b", "/a//b", "/a%2Fb", "/a;b", "'/a?b'", "'/a#b'"])
def test_s20_a_route_path_has_one_reading(path: str) -> None:
    assert paths(refusals(routes=routes(f"path: {path}"))) == ["routes[0].path"]


@pytest.mark.parametrize("key", ["connect_timeout", "send_timeout", "response_timeout", "read_timeout"])
def test_timeouts_are_never_zero(key: str) -> None:
    assert paths(refusals(upstreams=f"{{app: {{servers: ['http://app'], {key}: 0s}}}}")) == [f"upstreams.app.{key}"]


def upstream(entries: str) -> list[str]:
    return refusals(upstreams=f"{{app: {{{entries}}}}}")


def test_a_server_is_listed_once() -> None:
    assert upstream("servers: ['http://a', 'https://a', 'http://a']") == [
        "upstreams.app.servers[2]: is the same server as upstreams.app.servers[0]"
    ]
    assert paths(upstream("servers: [x, x]")) == ["upstreams.app.servers[0]", "upstreams.app.servers[1]"]
    assert paths(upstream("servers: []")) == ["upstreams.app.servers"]


def test_tls_settings_without_tls_are_refused() -> None:
    assert upstream("servers: ['http://a', 'unix:/a'], tls: {verify: false}") == [
        "upstreams.app.tls: has no use: none of the servers is https://"
    ]
    assert upstream("servers: ['http://a', 'https://b'], tls: {verify: false}") == []
    assert upstream("servers: ['http://a'], tls: {verify: true}") == []
    assert paths(upstream("servers: ['http://a'], tls: {verify: maybe}")) == ["upstreams.app.tls.verify"]


def test_a_key_goes_with_its_certificate() -> None:
    assert upstream("servers: ['https://a'], tls: {key: k}") == [
        "upstreams.app.tls.key: has no use without the certificate that it belongs to"
    ]
    assert upstream("servers: ['https://a'], tls: {key: k, certificate: c}") == []
    assert upstream("servers: ['https://a'], tls: {certificate: c}") == []


def test_the_first_pause_of_a_server_is_not_the_longest() -> None:
    assert upstream("servers: ['http://a'], health: {pause: 31s}") == [
        "upstreams.app.health.pause: must not be longer than max_pause"
    ]
    assert upstream("servers: ['http://a'], health: {pause: 30s}") == []
    assert paths(upstream("servers: ['http://a'], health: {pause: 31s, max_pause: x}")) == [
        "upstreams.app.health.max_pause"
    ]


def test_waits_end_before_what_they_are_for_is_forgotten() -> None:
    assert refusals(guessing="{first_wait: 16m}") == ["guessing.first_wait: must not be longer than longest_wait"]
    assert paths(refusals(guessing="{longest_wait: 61m}")) == ["guessing.longest_wait"]
    assert refusals(guessing="{first_wait: 1h, longest_wait: 1h, forget_after: 1h}") == []
    assert paths(refusals(guessing="{first_wait: 16m, longest_wait: x}")) == ["guessing.longest_wait"]


ISSUER = "issuer: '{}', audience: [a], jwks_url: 'https://i/keys'"


def test_no_two_issuers_have_one_name_and_none_has_ours() -> None:
    entries = ", ".join(f"{name}: {{{ISSUER.format(iss)}}}" for name, iss in (("a", "x"), ("b", "ours"), ("c", "x")))
    assert refusals(foreign_issuers=f"{{{entries}}}", tokens=tokens("issuer: ours")) == [
        "foreign_issuers.b.issuer: is the same as tokens.issuer: nobody could tell whose a token is",
        "foreign_issuers.c.issuer: is the same as foreign_issuers.a.issuer: nobody could tell whose a token is",
    ]


@pytest.mark.parametrize("claim", ["exp", "iss", "aud", "uid", "roles", "token_type", "jti", "sid"])
def test_a_further_claim_is_none_that_the_gateway_decides_on(claim: str) -> None:
    entry = f"{{a: {{{ISSUER.format('x')}, claims: {{extra: {{{claim}: y, mail: email}}}}}}}}"
    sentences = refusals(foreign_issuers=entry, tokens=tokens("claims: {user_id: uid}"))
    assert paths(sentences) == [f"foreign_issuers.a.claims.extra.{claim}"]


FORWARD_AUTH = "{proxies: [10.0.0.7]}"
TRUSTING = "{trusted_proxies: [10.0.0.0/24]}"


@pytest.mark.parametrize(
    "trusted", ["10.0.0.7", "10.0.0.7/32", "10.0.0.0/24", "10.0.0.0/8", "'2001:db8::/32', 10.0.0.6/31"]
)
def test_who_may_ask_is_a_trusted_proxy(trusted: str) -> None:
    assert refusals(forward_auth=FORWARD_AUTH, listen=f"{{trusted_proxies: [{trusted}]}}") == []


@pytest.mark.parametrize("trusted", ["", "10.0.0.8", "10.0.0.8/29", "'::/16'", "'::ffff:10.0.0.7'"])
def test_s7_s24_who_is_not_trusted_with_less_may_not_ask(trusted: str) -> None:
    (sentence,) = refusals(forward_auth=FORWARD_AUTH, listen=f"{{trusted_proxies: [{trusted}]}}")
    assert sentence.startswith("forward_auth.proxies[0]: is not in listen.trusted_proxies;")


def test_a_network_is_in_another_as_a_whole() -> None:
    wide = "{proxies: [10.0.0.0/23]}"
    assert paths(refusals(forward_auth=wide, listen=TRUSTING)) == ["forward_auth.proxies[0]"]
    assert paths(refusals(forward_auth="{proxies: [x]}", listen="{}")) == ["forward_auth.proxies[0]"]


def test_s89_no_route_stands_where_proxies_ask() -> None:
    asked = routes(
        "path: /", "path: /forward", "path: /forward-auth", "path: /forward-auth/x", "path: /forward-authors"
    )
    assert paths(refusals(forward_auth=FORWARD_AUTH, listen=TRUSTING, routes=asked)) == [
        "routes[2].path",
        "routes[3].path",
    ]
    assert refusals(routes=asked) == []


@pytest.mark.parametrize(
    ("path", "count"),
    [("/api/token/x", 1), ("/api/token", 5), ("/api", 5), ("/.well-known/jwks.json", 1), ("/forward-auth/", 1)],
)
def test_s89_proxies_ask_at_a_place_of_their_own(path: str, count: int) -> None:
    found = refusals(forward_auth=f"{{proxies: [10.0.0.7], path: {path}}}", listen=TRUSTING)
    assert paths(found) == ["forward_auth.path"] * count


def test_the_root_is_no_place_to_ask() -> None:
    assert "forward_auth.path" in paths(refusals(forward_auth="{proxies: [10.0.0.7], path: /}", listen=TRUSTING))
