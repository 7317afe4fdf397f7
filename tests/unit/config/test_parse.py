from dataclasses import fields

import pytest

from gateway.config.model import Config
from gateway.config.sections.cors import Cors
from gateway.config.sections.identity import IdentityPreset
from gateway.config.sections.limits import Limits
from gateway.config.sections.listen import Listen
from gateway.config.sections.login import Compat
from gateway.config.sections.routes import Route
from gateway.config.sections.tokens import Bearer
from gateway.config.sections.upstreams import Upstream
from gateway.config.sections.users import UserAttribute
from gateway.errors import ConfigError
from gateway.types import Access, Secret
from tests.unit.config.sample import parse_text, parse_with, problems_of, refusals, text_with


def test_the_least_configuration_has_the_models_defaults() -> None:
    config = parse_with()
    assert config.tokens.signing_key == Secret("k" * 32)
    assert config.upstreams == {"app": Upstream(servers=("http://app",))}
    assert config.routes == (Route(path="/", upstream="app"),)
    assert config.listen == Listen()
    assert config.bearer == Bearer()
    assert config.limits == Limits()
    assert config.cors is None


def test_every_kind_of_value_arrives_as_the_model_has_it() -> None:
    config = parse_with(
        tokens="""
  signing_key: {env: KEY}
  algorithm: HS512
  access_lifetime: 1500ms
  audience: [a, b]
  issuer: null
  claims: {extra: {roles: roles}}""",
        routes="""
  - {path: /, upstream: app}
  - {path: /staff, upstream: app, access: optional, roles: [staff, admin], methods: [GET, HEAD], stateless: true}""",
        login="{compat: 3.3, username_field: email, response_fields: {id: id, user: {name: username}}}",
        identity="{preset: remote-user, fields: {X-Mail: email}}",
        users="{sqlite: x.db, argon2: {memory_cost: 64KiB, time_cost: 1}}",
        cors="{allow_origins: ['*'], max_age: 0s}",
    )
    assert config.tokens.algorithm == "HS512"
    assert config.tokens.access_lifetime == 1.5
    assert config.tokens.audience == ("a", "b")
    assert config.tokens.issuer is None
    assert config.tokens.claims.extra == {"roles": UserAttribute.ROLES}
    assert config.routes[1] == Route(
        path="/staff",
        upstream="app",
        access=Access.OPTIONAL,
        roles=frozenset({"staff", "admin"}),
        methods=frozenset({"GET", "HEAD"}),
        stateless=True,
    )
    assert config.login.compat is Compat.V3_3
    assert config.login.username_field == "email"
    assert config.login.response_fields == {"id": "id", "user": {"name": "username"}}
    assert config.identity.preset is IdentityPreset.REMOTE_USER
    assert config.identity.fields == {"X-Mail": "email"}
    assert config.users.argon2.memory_cost == 64 * 1024
    assert config.cors == Cors(allow_origins=("*",), max_age=0.0)


@pytest.mark.parametrize("compat", ["5", "'5'", "{env: FIVE}"])
def test_compat_needs_no_quotes(compat: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.config.sample.OUTSIDE", {"KEY": "k" * 32, "FIVE": "5"})
    assert parse_with(login=f"{{compat: {compat}}}").login.compat is Compat.V5


def test_sections_with_nothing_in_them_mean_their_defaults() -> None:
    config = parse_with(listen="", limits="~", identity="{fields: }")
    assert config.listen == Listen()
    assert config.limits == Limits()
    assert config.identity.fields == {}


def test_a_configuration_with_three_mistakes_shows_three() -> None:
    text = """\
tokens:
  signing_key: {env: KEY}
  access_lifetime: 300
upstreams:
  app: {servers: ["http://app"]}
routes:
  - path: /
    upstream: ap
  - path: /open
    upstream: app
    acess: public
users: {sqlite: x.db}
"""
    with pytest.raises(ConfigError) as caught:
        parse_text(text)
    assert str(caught.value).splitlines() == [
        "c.yaml:3: tokens.access_lifetime: has no unit: write 300s, or another duration as 1500ms, 10s, 5m, 24h or 1d",
        "c.yaml:8: routes[0].upstream: there is no upstream `ap`; `upstreams` has app",
        "c.yaml:11: routes[1].acess: unknown key `acess`; did you mean `access`?",
    ]


def test_s88_unknown_keys_are_refused_with_the_nearest_match() -> None:
    assert refusals(listen="{adress: x}") == ["listen.adress: unknown key `adress`; did you mean `address`?"]
    assert refusals(listen="{zzz: x}") == [
        "listen.zzz: unknown key `zzz`; the keys here are address, port, tls, trusted_proxies, proxy_protocol_from"
    ]
    (sentence,) = refusals(listen=f"{{{'p' * 5000}: x}}")
    assert len(sentence) < 250
    assert refusals(on="1")[0].startswith("on: unknown key `on`; the keys here are tokens, upstreams,")
    assert refusals(listen="{<<: {port: 1}}")[0].startswith('listen["<<"]: unknown key `<<`')


def test_a_misspelt_key_is_one_problem_even_when_it_is_required() -> None:
    assert refusals(tokens="{signing_kee: {env: KEY}}") == [
        "tokens.signing_kee: unknown key `signing_kee`; did you mean `signing_key`?"
    ]
    assert [problem.path for problem in problems_of(text_with().replace("upstreams:", "upstream:"))] == ["upstream"]


def test_keys_that_are_required_say_what_they_are_for() -> None:
    assert [str(problem) for problem in problems_of("listen: {}")] == [
        "c.yaml:1: tokens: is missing: Signing, checking and lifetime of tokens.",
        "c.yaml:1: upstreams: is missing: Backends by name.",
        "c.yaml:1: routes: is missing: Who may pass, and where to. No route, no pass.",
        "c.yaml:1: users: is missing: Where users live.",
    ]
    assert refusals(cors="") == [
        "cors.allow_origins: is missing: Origins as the browser sends them (https://app.example.org); '*' for all, "
        "without credentials."
    ]


def test_missing_keys_are_shown_at_their_section() -> None:
    (problem,) = problems_of(text_with(upstreams="\n  good: {servers: ['http://x']}\n  app:\n    send_timeout: 5s"))
    assert (problem.line, problem.path) == (4, "upstreams.app.servers")


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"listen": "5"}, "listen: must be a mapping of keys to values, not a single value"),
        ({"listen": "[a]"}, "listen: must be a mapping of keys to values, not a list"),
        ({"tokens": "x"}, "tokens: must be a mapping of keys to values, not a single value"),
        ({"upstreams": "[a]"}, "upstreams: must be a mapping of keys to values, not a list"),
        ({"upstreams": "{}"}, "upstreams: must have at least 1 entry"),
        ({"upstreams": ""}, "upstreams: must have at least 1 entry"),
        ({"routes": "[]"}, "routes: must have at least 1 entry"),
        ({"routes": ""}, "routes: is empty: write a list, each entry on a line after `- ` or all as [a, b]"),
        ({"routes": "{path: /}"}, "routes: is no list: write a list, each entry on a line after `- ` or all as [a, b]"),
        ({"routes": "[/]"}, "routes[0]: must be a mapping of keys to values, not a single value"),
        ({"bearer": "{schemes: Bearer}"}, "bearer.schemes: is no list: write a list, each"),
        ({"bearer": "{realm: [a]}"}, "bearer.realm: must be visible ASCII text, not a list"),
        ({"bearer": "{realm: }"}, "bearer.realm: is empty; it must be visible ASCII text"),
        (
            {"bearer": "{realm: {a: b}}"},
            "bearer.realm: must be visible ASCII text, or {env: NAME} or {file: PATH}; this",
        ),
        ({"bearer": "{realm: {}}"}, "bearer.realm: must be visible ASCII text, or {env: NAME} or {file: PATH}; this"),
        ({"bearer": "{realm: {env: A, file: b}}"}, "bearer.realm: must be visible ASCII text, or {env: NAME} or"),
        ({"bearer": "{realm: {env: A, env: B}}"}, "bearer.realm: must be visible ASCII text, or {env: NAME} or"),
        ({"bearer": "{realm: *x}"}, "bearer.realm: uses the alias `*x`; write the value out"),
        ({"bearer": "{realm: {env: [A]}}"}, "bearer.realm.env: must be the name of an environment variable"),
        ({"bearer": "{realm: {env: no}}"}, "bearer.realm.env: is true or false to YAML, not text: put it in quotes"),
        ({"bearer": "{realm: {env: a-b}}"}, "bearer.realm.env: must be the name of an environment variable: letters"),
        ({"bearer": "{realm: {env: NOT_SET}}"}, "bearer.realm: the env NOT_SET cannot be had"),
        ({"bearer": "{realm: {file: x}}"}, "bearer.realm: the file x cannot be had"),
        ({"tokens": "{signing_key: {file: x}}"}, "tokens.signing_key: the file x cannot be had for a secret"),
        (
            {"tokens": "{signing_key: {value: x}}"},
            "tokens.signing_key: must be {env: NAME} or {file: PATH}; this mapping",
        ),
        ({"tokens": "{signing_key: [x]}"}, "tokens.signing_key: must be {env: NAME} or {file: PATH}, not a list"),
        (
            {"login": "{response_fields: {user: [id]}}"},
            "login.response_fields.user: must be one of id, username, email,",
        ),
        ({"login": "{response_fields: {a: {b: {c: id}}}}"}, "login.response_fields.a.b: must be one of id, username,"),
        (
            {"upstreams": "{a b: {servers: ['http://x']}, app: {servers: ['http://x']}}"},
            'upstreams["a b"]: the name `a b` must be 1',
        ),
        ({"identity": "{fields: {'X Y': a}}"}, 'identity.fields["X Y"]: the name `X Y` must be a token of RFC 9110'),
        ({"cors": "x"}, "cors: must be a mapping of keys to values, not a single value"),
        ({"tokens": "!!map {signing_key: {env: KEY}}"}, "tokens: has the tag `tag:yaml.org,2002:map`; write the plain"),
        ({"upstreams": "*x"}, "upstreams: uses the alias `*x`; write the value out"),
        ({"routes": "*x"}, "routes: uses the alias `*x`; write the value out"),
        ({"listen": "{? [a] : b}"}, "listen: a key is not plain text"),
    ],
)
def test_what_is_of_the_wrong_shape_is_one_problem(sections: dict[str, str], expected: str) -> None:
    (sentence,) = refusals(**sections)
    assert sentence.startswith(expected)


@pytest.mark.parametrize("key", ["roles", "methods"])
def test_a_list_that_was_forgotten_does_not_open_a_route(key: str) -> None:
    """`roles:` with nothing below it would be null, and null lets every user pass."""
    assert refusals(routes=f"[{{path: /, upstream: app, {key}: }}]") == [
        f"routes[0].{key}: is empty: write a list, each entry on a line after `- ` or all as [a, b]"
    ]
    assert refusals(routes=f"[{{path: /, upstream: app, {key}: []}}]") == [
        f"routes[0].{key}: must have at least 1 entry"
    ]
    assert getattr(parse_with(routes=f"[{{path: /, upstream: app, {key}: null}}]").routes[0], key) is None


def test_keys_that_are_given_twice_are_refused_with_both_lines() -> None:
    problems = problems_of(text_with(listen="\n  port: 1\n  port: 2"))
    assert [str(problem) for problem in problems] == [
        "c.yaml:7: listen.port: the key `port` is given twice, first on line 6; remove one"
    ]


def test_values_from_outside_are_read_as_if_they_stood_there() -> None:
    config = parse_with(
        listen="{port: {env: PORT}}", log="{access: {env: LOG}}", upstreams="{app: {servers: [{env: URL}]}}"
    )
    assert config.listen.port == 9000
    assert config.log.access is True
    assert config.upstreams["app"].servers == ("http://elsewhere:81",)


def test_what_comes_from_outside_is_checked_too() -> None:
    (sentence,) = refusals(listen="{port: {env: KEY}}")
    assert sentence.startswith("listen.port: must be a whole number from 0 to 65535")
    assert "kkkk" not in sentence


@pytest.mark.parametrize("text", ["- a", "a", "5", "!!map {a: b}", "*a"])
def test_a_document_that_is_no_mapping_is_one_problem(text: str) -> None:
    (problem,) = problems_of(text)
    assert problem.path == ""
    assert problem.line == 1


def test_a_document_of_null_is_told_all_that_is_missing() -> None:
    assert [problem.path for problem in problems_of("---\n")] == ["tokens", "upstreams", "routes", "users"]


def test_wrong_values_do_not_hide_other_problems_nor_make_more() -> None:
    """Every section is broken, and each is reported once, checks between values included."""
    broken = {field.name: "[]" for field in fields(Config)}
    assert sorted(sentence.split(":")[0] for sentence in refusals(**broken)) == sorted(broken)
