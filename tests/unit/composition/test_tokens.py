"""Keys, and what checks and issues tokens, as configured."""

from pathlib import Path

import pytest

from gateway.auth.keys import build_key, generate_key
from gateway.composition.tokens import build_issuer, build_verifier, keyring_of
from gateway.config.load import Document, loads
from gateway.errors import ConfigError, Reason, Refused
from gateway.types import Claims, Secret, User
from tests.unit.auth.test_keys import public_pem
from tests.unit.composition.documents import document_with
from tests.unit.config.sample import text_with

NOW = 1_800_000_000.0
ALICE = User(id="7", username="alice", email="alice@example.org", roles=("staff",), is_active=True)
ROUNDABOUT = (
    "{signing_key: {env: KEY}, access_lifetime: 10s, refresh_lifetime: 20s, leeway: 5s, issuer: me, audience: [you],"
    " claims: {user_id: uid, token_type: kind, jti: id, session_id: session, roles: groups, extra: {mail: email}}}"
)


def issued(document: Document) -> tuple[Claims, Claims]:
    """The claims of a pair of tokens, as the verifier of the same configuration has them."""
    keyring = keyring_of(document)
    pair = build_issuer(document.config, keyring).pair(
        ALICE, session_id="s", token_id="t", now=NOW, ends_at=float("inf")
    )
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
    token = (
        build_issuer(document.config, keyring)
        .pair(ALICE, session_id="s", token_id="t", now=NOW, ends_at=float("inf"))
        .access.encode()
    )
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


# --- Several keys ------------------------------------------------------------------------------------------------------

ENVIRON = {
    "KEY": generate_key("HS256"),
    "OTHER": generate_key("HS256"),
    "LONG": generate_key("HS512"),
    "EC": generate_key("ES256"),
    "RSA": generate_key("RS256"),
    "SHORT": generate_key("HS256")[:31],
}


def file_with(*further: str, own: str = "") -> str:
    """A file whose further keys stand on the lines from 4 on."""
    entries = "".join(f"\n    - {{{entry}}}" for entry in further)
    return text_with(tokens=f"\n  signing_key: {{env: KEY}}{own}\n  further_keys:{entries or ' []'}")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        keyring_of(loads(text, "c.yaml", ENVIRON))
    return [str(problem) for problem in caught.value.problems]


def test_the_keys_are_those_of_the_file() -> None:
    ring = keyring_of(
        loads(
            file_with(
                "signing_key: {env: OTHER}", "kid: e, algorithm: ES256, signing_key: {env: EC}", own="\n  kid: new"
            ),
            "c.yaml",
            ENVIRON,
        )
    )
    assert [(key.kid, key.algorithm) for key in ring.keys] == [("new", "HS256"), (None, "HS256"), ("e", "ES256")]
    assert ring.active.signing_key == ENVIRON["KEY"].encode()


def test_a_public_key_alone_is_enough_for_a_further_key(tmp_path: Path) -> None:
    private = build_key("ES256", Secret(ENVIRON["EC"]), None).signing_key
    (tmp_path / "old.pem").write_text(public_pem(private))
    text = file_with("kid: old, algorithm: ES256, verifying_key: {file: old.pem}")
    ring = keyring_of(loads(text, str(tmp_path / "c.yaml"), ENVIRON))
    assert ring.further[0].signing_key is None


@pytest.mark.parametrize(
    ("entry", "at", "sentence"),
    [
        ("kid: a, signing_key: {env: SHORT}", "signing_key", "The signing key has 31 bytes; HS256 needs at least 32"),
        ("kid: a, algorithm: HS512, signing_key: {env: OTHER}", "signing_key", "HS512 needs at least 64"),
        ("kid: a, signing_key: {env: EC}", "signing_key", "The signing key is a PEM, DER, SSH or JWK key"),
        ("kid: a, algorithm: RS256, signing_key: {env: EC}", "signing_key", "is no RSA key, which RS256 needs"),
        ("kid: a, algorithm: ES256, signing_key: {env: OTHER}", "signing_key", "is no private key in PEM"),
        ("kid: a, algorithm: ES256, verifying_key: {env: RSA}", "verifying_key", "is a private key; give the public"),
        ("kid: a", "signing_key", "There is no key: HS256 checks with the secret that it signs with"),
        ("kid: a, algorithm: ES256", "signing_key", "There is no key: give a signing_key, or a verifying_key"),
        ("signing_key: {env: OTHER}", "kid", "There is another HS256 key without a kid"),
    ],
)
def test_s31_a_further_key_that_cannot_be_used_is_refused(entry: str, at: str, sentence: str) -> None:
    (problem,) = problems(file_with(entry))
    assert problem.startswith(f"c.yaml:4: tokens.further_keys[0].{at}: ")
    assert sentence in problem


def test_s32_the_same_kid_twice_is_refused() -> None:
    further = ["kid: a, algorithm: HS512, signing_key: {env: LONG}", "kid: new, signing_key: {env: OTHER}"]
    assert problems(file_with(*further, own="\n  kid: new")) == [
        "c.yaml:6: tokens.further_keys[1].kid: The kid 'new' is that of another key; each key needs its own."
    ]


def test_every_key_that_is_refused_is_told_at_once() -> None:
    found = problems(
        file_with("kid: a, signing_key: {env: SHORT}", "kid: b, algorithm: ES256, signing_key: {env: SHORT}")
    )
    assert [problem.split(": ")[0] for problem in found] == ["c.yaml:4", "c.yaml:5"]
    assert not any(secret in problem for problem in found for secret in ENVIRON.values())
