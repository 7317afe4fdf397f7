"""What the data plane is given of the configuration."""

from pathlib import Path

import pytest

from gateway.auth.policy import RoutePolicy
from gateway.auth.revocation import RevocationList
from gateway.composition.data_plane import build_admission, build_admission_rules, build_rules
from gateway.composition.state import open_state, open_users
from gateway.composition.tokens import build_issuer, build_verifier, keyring_of
from gateway.config.load import Document
from gateway.errors import Reason, Refused
from gateway.http.addresses import parse_address
from gateway.http.routes import RouteTable
from gateway.proxy.admission import Admission, UnknownUser
from gateway.proxy.connection_caps import NOT_COUNTED, ConnectionCaps
from gateway.proxy.data_plane import PlaneRules
from gateway.types import Access, Principal, Revocation, RevokedKind, User
from tests.unit.composition.documents import document_with

NOW = 1_800_000_000.0
REQUIRED = RoutePolicy(access=Access.REQUIRED, is_stateless=True)
ALICE = User(id="1", username="älice", email="", roles=("staff",), is_active=True)


class World:
    """An admission over a directory of its own, with Alice in it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.config = document.config
        self.revocations = RevocationList()

    async def __aenter__(self) -> "World":
        async with open_users(self.config) as users:
            await users.add(username=ALICE.username, email="", roles=ALICE.roles, password_hash="x")
        self._state = open_state(self.config)
        state = await self._state.__aenter__()
        keyring = keyring_of(self.document)
        self.issuer = build_issuer(self.config, keyring)
        self.admission: Admission = build_admission(
            build_admission_rules(self.config, build_verifier(self.config, keyring)),
            revocations=self.revocations,
            directory=state.directory,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._state.__aexit__(None, None, None)

    def token(self) -> bytes:
        return self.issuer.pair(ALICE, session_id="s", token_id="t", now=NOW, ends_at=float("inf")).access.encode()

    def recognise(self, field: bytes, policy: RoutePolicy = REQUIRED, *, now: float = NOW) -> Principal:
        principal = self.admission.recognise(policy, [field], now)
        assert isinstance(principal, Principal)
        return principal


def world(folder: Path, **sections: str) -> World:
    return World(document_with(users=f"{{sqlite: {folder}/users.sqlite3}}", **sections))


def rules(**sections: str) -> PlaneRules:
    config = document_with(**sections).config
    return build_rules(config, routes=RouteTable(exact={}, prefixes={}), cors=None)


async def test_scheme_claims_and_identity_fields_are_the_configured_ones(tmp_path: Path) -> None:
    async with world(
        tmp_path,
        tokens="{signing_key: {env: KEY}, claims: {roles: groups, session_id: session, extra: {name: username}}}",
        bearer="{schemes: [JWT]}",
        identity="{preset: remote-user, fields: {X-Name: name}}",
    ) as it:
        field = b"JWT " + it.token()
        principal = it.recognise(field)
        assert (principal.user_id, principal.roles) == ("1", {"staff"})
        assert principal.session_id is not None
        assert set(principal.identity.split(b"\r\n")) == {
            b"X-User-Id: 1",
            b"Remote-User: %C3%A4lice",
            b"Remote-Groups: staff",
            b"X-Name: %C3%A4lice",
        }
        assert it.admission.recognise(REQUIRED, [b"Bearer " + it.token()], NOW) is None
        it.revocations.add(Revocation(kind=RevokedKind.SESSION, id=principal.session_id, expires_at=2**40))
        with pytest.raises(Refused) as refused:
            it.recognise(field)
        assert refused.value.reason is Reason.TOKEN_REVOKED


async def test_values_that_are_not_safe_are_refused_on_request(tmp_path: Path) -> None:
    sections = {
        "tokens": "{signing_key: {env: KEY}, claims: {extra: {name: username}}}",
        "identity": "{fields: {X-Name: name}, unsafe_values: refuse}",
    }
    async with world(tmp_path, **sections) as it:
        with pytest.raises(Refused) as refused:
            it.recognise(b"Bearer " + it.token())
        assert refused.value.reason is Reason.TOKEN_INVALID


async def test_s44_leeway_counts_for_known_tokens_too(tmp_path: Path) -> None:
    tokens = "{signing_key: {env: KEY}, access_lifetime: 10s, leeway: 5s}"
    async with world(tmp_path, tokens=tokens) as it:
        field = b"Bearer " + it.token()
        assert it.recognise(field, now=NOW + 14) == it.recognise(field, now=NOW + 14.5)
        with pytest.raises(Refused) as refused:
            it.recognise(field, now=NOW + 15)
        assert refused.value.reason is Reason.TOKEN_EXPIRED


async def test_users_are_looked_up_in_the_directory(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        policy = RoutePolicy(access=Access.REQUIRED)
        unknown = it.admission.recognise(policy, [b"Bearer " + it.token()], NOW)
        assert isinstance(unknown, UnknownUser)
        assert (await it.admission.look_up(unknown)).user_id == "1"


def test_nobody_is_trusted_unless_it_is_named() -> None:
    assert (rules().trusted_proxies, rules().listed) == (None, ())
    some = rules(listen="{trusted_proxies: [10.0.0.0/8]}")
    assert some.trusted_proxies is not None
    [(networks, _)] = some.listed
    assert parse_address("10.1.2.3") in networks
    assert parse_address("127.0.0.1") not in networks


def test_limits_are_the_configured_ones() -> None:
    limits = rules(
        limits="{max_head_bytes: 2KiB, max_target_bytes: 1KiB, head_timeout: 1s, body_timeout: 2s, min_rate: 3B,"
        " connections: {max_requests: 4, idle_timeout: 5s}}"
    ).limits
    assert (limits.max_head_bytes, limits.head_timeout, limits.body_timeout) == (2048, 1, 2)
    assert (limits.min_rate, limits.max_requests, limits.idle_timeout) == (3, 4, 5)


def test_heads_are_bounded_as_configured() -> None:
    preparation = rules(limits="{max_fields: 8, max_target_bytes: 512B}").preparation
    line = b"GET /%b HTTP/1.1\r\nHost: a\r\n"
    assert preparation.prepare(line % (b"x" * 511) + b"\r\n").refusal is None
    assert preparation.prepare(line % (b"x" * 512) + b"\r\n").refusal is Reason.TARGET_TOO_LONG
    with pytest.raises(Refused) as refused:
        preparation.prepare(line % b"" + b"a: b\r\n" * 8 + b"\r\n")
    assert refused.value.reason is Reason.HEAD_TOO_LARGE


def test_challenges_name_the_first_scheme_and_the_realm() -> None:
    replies = rules(bearer="{schemes: [JWT, Bearer], realm: home}").replies
    raw = replies.render(Reason.NOT_AUTHENTICATED, request_id=b"r", fields=b"", close=False, is_head=False)
    assert b'\r\nWWW-Authenticate: JWT realm="home"\r\n' in raw


def test_caps_are_the_configured_ones_and_trusted_proxies_are_exempt() -> None:
    caps = ConnectionCaps(
        rules(limits="{connections: {max: 2, max_per_address: 1}}", listen="{trusted_proxies: [10.0.0.1]}").caps
    )
    assert (caps.has_room(1), caps.has_room(2)) == (True, False)
    assert caps.take(parse_address("192.0.2.1"))
    assert caps.take(parse_address("192.0.2.1")) is None
    assert [caps.take(parse_address("10.0.0.1")) for _ in range(3)] == [NOT_COUNTED] * 3


def test_by_default_an_address_has_no_cap() -> None:
    caps = ConnectionCaps(rules().caps)
    assert {caps.take(parse_address("192.0.2.1")) for _ in range(1000)} == {NOT_COUNTED}


@pytest.mark.parametrize(
    ("request_in", "head"),
    [
        ("fields", b"GET /ask HTTP/1.1\r\nHost: a\r\nX-Forwarded-Method: PUT\r\nX-Forwarded-Uri: /x\r\n"),
        ("target", b"PUT /ask/x HTTP/1.1\r\nHost: a\r\n"),
    ],
)
def test_s24_those_may_ask_who_are_listed(request_in: str, head: bytes) -> None:
    asking = f"{{path: /ask, proxies: [10.0.0.7], request_in: {request_in}}}"
    made = rules(forward_auth=asking, listen="{trusted_proxies: [10.0.0.0/8]}", identity="{fields: {X-Team: team}}")
    (networks, preparation), (others, trusted) = made.listed
    assert parse_address("10.0.0.7") in networks
    assert parse_address("10.0.0.8") not in networks
    assert parse_address("10.0.0.8") in others
    asked = preparation.prepare(head + b"\r\n")
    assert (asked.request.method, asked.request.target) == ("PUT", "/x")
    assert asked.refusal is None
    for nobody in (made.preparation, trusted):
        assert nobody.prepare(head + b"\r\n").refusal is Reason.QUESTION_DENIED
    # What it is told of users it takes out itself, and nothing else.
    assert preparation.prepare(head + b"X-Team: a\r\nX-User-Id: 1\r\n\r\n").refusal is None
    for forged in (b"X_Team: a", b"Remote-User: a"):
        assert preparation.prepare(b"%b%b\r\n\r\n" % (head, forged)).refusal is Reason.FORGED_FIELD


def test_nobody_may_ask_unless_the_file_says_so() -> None:
    made = rules(listen="{trusted_proxies: [10.0.0.0/8]}")
    assert len(made.listed) == 1
    assert made.preparation.prepare(b"GET /forward-auth HTTP/1.1\r\nHost: a\r\n\r\n").refusal is None
