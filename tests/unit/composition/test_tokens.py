"""Keys, and what checks and issues tokens, as configured."""

import pytest

from gateway.composition.tokens import build_issuer, build_verifier, keyring_of
from gateway.config.load import Document
from gateway.errors import ConfigError, Reason, Refused
from gateway.types import Claims, User
from tests.unit.composition.documents import document_with

NOW = 1_800_000_000.0
ALICE = User(id="7", username="alice", email="alice@example.org", roles=("staff",), is_active=True)
ROUNDABOUT = (
    "{signing_key: {env: KEY}, access_lifetime: 10s, refresh_lifetime: 20s, leeway: 5s, issuer: me, audience: [you],"
    " claims: {user_id: uid, token_type: kind, jti: id, session_id: session, roles: groups, extra: {mail: email}}}"
)


def issued(document: Document) -> tuple[Claims, Claims]:
    """The claims of a pair of tokens, as the verifier of the same configuration has them."""
    keyring = keyring_of(document)
    pair = build_issuer(document.config, keyring).pair(ALICE, NOW)
    verifier = build_verifier(document.config, keyring)
    return verifier.decode(pair.access.encode(), NOW), verifier.decode(pair.refresh.encode(), NOW)


def test_defaults_are_the_librarys() -> None:
    access, refresh = issued(document_with())
    assert {name: access[name] for name in ("token_type", "user_id", "exp")} == {
        "token_type": "access",
        "user_id": "7",
        "exp": NOW + 300,
    }
    assert (refresh["token_type"], refresh["exp"]) == ("refresh", NOW + 86400)
    assert access.keys() == {"token_type", "exp", "iat", "jti", "user_id", "sid"}


def test_names_lifetimes_and_parties_are_the_configured_ones() -> None:
    access, refresh = issued(document_with(tokens=ROUNDABOUT))
    assert (access["exp"], refresh["exp"]) == (NOW + 10, NOW + 20)
    assert access.keys() == {"kind", "exp", "iat", "id", "uid", "session", "iss", "aud", "mail"}
    assert (access["iss"], access["aud"], access["mail"]) == ("me", "you", "alice@example.org")


def test_the_verifier_asks_for_what_the_issuer_gives() -> None:
    document = document_with(tokens=ROUNDABOUT)
    keyring = keyring_of(document)
    verifier = build_verifier(document.config, keyring)
    claims, _ = issued(document)
    verifier.require(claims, "access")
    assert (verifier.user_id(claims), verifier.token_id(claims)) == ("7", claims["id"])
    token = build_issuer(document.config, keyring).pair(ALICE, NOW).access.encode()
    assert verifier.decode(token, NOW + 14.5), "within the leeway"
    with pytest.raises(Refused) as refused:
        verifier.decode(token, NOW + 16)
    assert refused.value.reason is Reason.TOKEN_EXPIRED
    with pytest.raises(Refused):
        build_verifier(document_with(tokens="{signing_key: {env: KEY}, issuer: other}").config, keyring).decode(
            token, NOW
        )


@pytest.mark.parametrize(
    ("preset", "claims"),
    [
        ("x-user-id", set()),
        ("x-forwarded-user", {"username", "email", "groups"}),
        ("remote-user", {"username", "email", "groups"}),
        ("x-auth-request", {"username", "email", "groups"}),
    ],
)
def test_claims_that_a_preset_reads_are_issued(preset: str, claims: set[str]) -> None:
    tokens = "{signing_key: {env: KEY}, claims: {roles: groups}}"
    access, _ = issued(document_with(tokens=tokens, identity=f"{{preset: {preset}}}"))
    assert access.keys() - {"token_type", "exp", "iat", "jti", "user_id", "sid"} == claims


def test_extra_claims_win_over_those_of_the_preset() -> None:
    tokens = "{signing_key: {env: KEY}, claims: {extra: {username: email}}}"
    access, _ = issued(document_with(tokens=tokens, identity="{preset: remote-user}"))
    assert access["username"] == "alice@example.org"


def test_old_clients_get_a_number() -> None:
    access, _ = issued(document_with(login="{compat: 3.3}"))
    assert access["user_id"] == 7


def test_an_asymmetric_key_derives_its_other_half() -> None:
    issued(document_with(tokens="{signing_key: {env: EC_KEY}, algorithm: ES256}"))


@pytest.mark.parametrize(
    ("tokens", "path"),
    [
        ("{signing_key: {env: OTHER}}", "tokens.signing_key"),
        ("{signing_key: {env: KEY}, algorithm: ES256}", "tokens.signing_key"),
        ("{signing_key: {env: EC_KEY}, algorithm: ES256, verifying_key: no key}", "tokens.verifying_key"),
    ],
)
def test_s31_a_key_that_is_refused_is_named_with_its_line(tokens: str, path: str) -> None:
    with pytest.raises(ConfigError) as refused:
        keyring_of(document_with(tokens=tokens))
    (problem,) = refused.value.problems
    assert (problem.file, problem.line, problem.path) == ("gateway.yaml", 1, path)
