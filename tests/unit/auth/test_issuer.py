import base64
import json
import math
import re
from typing import Any

import jwt
import pytest

from gateway.auth.issuer import IssuedClaims, Lifetimes, TokenIssuer, new_session_id, new_token_id
from gateway.auth.keyring import Keyring
from gateway.auth.keys import ALGORITHMS, Key, build_key, generate_key
from gateway.errors import Reason, Refused
from gateway.types import Claims, Secret, TokenPair, User
from tests.unit.auth.simplejwt_library import SimpleJwtLibrary, library_keys
from tests.unit.auth.verifiers import verifier_of

NOW = 1_800_000_000.75
SECOND = 1_800_000_000
KEYRING = Keyring(build_key("HS256", Secret(generate_key("HS256")), None))
ALICE = User(id="7", username="alice", email="alice@example.org", roles=("admin", "staff"), is_active=True)


def names(**change: Any) -> IssuedClaims:
    plain: dict[str, Any] = {
        "user_id": "user_id",
        "token_type": "token_type",
        "jti": "jti",
        "session_id": "sid",
        "extra": {},
        "numeric_user_id": False,
    }
    return IssuedClaims(**{**plain, **change})


def issuer(keyring: Keyring = KEYRING, **change: Any) -> TokenIssuer:
    plain: dict[str, Any] = {
        "keyring": keyring,
        "lifetimes": Lifetimes(access=300.0, refresh=86400.0),
        "audience": (),
        "issuer": None,
        "names": names(),
    }
    return TokenIssuer(**{**plain, **change})


def pair_of(issuer: TokenIssuer, user: User = ALICE, ends_at: float = float("inf")) -> TokenPair:
    return issuer.pair(user, session_id=new_session_id(), token_id=new_token_id(), now=NOW, ends_at=ends_at)


def access_of(issuer: TokenIssuer, claims: Claims, now: float) -> str:
    return issuer.access_from(claims, now, ends_at=float("inf"))


def refresh_of(issuer: TokenIssuer, claims: Claims, now: float) -> str:
    return issuer.refresh_from(claims, token_id=new_token_id(), issued_at=int(now), ends_at=float("inf"))


def segment(token: str, index: int) -> str:
    part = token.split(".")[index]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(segment(token, 1))
    return claims


def test_a_pair_has_the_contracts_claims_in_the_contracts_order() -> None:
    pair = pair_of(
        issuer(names=names(extra={"roles": "roles", "email": "email", "name": "username", "uid": "id"})), ALICE
    )
    extra = {"roles": ["admin", "staff"], "email": "alice@example.org", "name": "alice", "uid": "7"}
    refresh, access = claims_of(pair.refresh), claims_of(pair.access)

    assert list(refresh.items()) == [
        ("token_type", "refresh"),
        ("exp", SECOND + 86400),
        ("iat", SECOND),
        ("jti", refresh["jti"]),
        ("user_id", "7"),
        ("sid", refresh["sid"]),
        *extra.items(),
    ]
    assert list(access.items()) == [
        ("token_type", "access"),
        ("exp", SECOND + 300),
        ("iat", SECOND),
        ("jti", access["jti"]),
        ("user_id", "7"),
        ("sid", refresh["sid"]),
        *extra.items(),
    ]


def test_the_header_and_the_form_are_the_librarys() -> None:
    pair = pair_of(issuer(), ALICE)

    for token in (pair.access, pair.refresh):
        assert segment(token, 0) == '{"alg":"HS256","typ":"JWT"}'
        assert " " not in segment(token, 1)
        assert re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", token)


def test_s91_ids_are_random_and_never_shared() -> None:
    pairs = [pair_of(issuer(), ALICE) for _ in range(100)]
    ids = [claims_of(token)["jti"] for pair in pairs for token in (pair.access, pair.refresh)]
    sessions = {claims_of(pair.refresh)["sid"] for pair in pairs}

    assert len(set(ids)) == 200
    assert all(re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", token_id) for token_id in ids)
    assert len(sessions) == 100
    assert all(re.fullmatch(r"[0-9a-f]{32}", session) for session in sessions)  # 128 bits
    assert all(claims_of(pair.refresh)["sid"] == claims_of(pair.access)["sid"] for pair in pairs)


def test_times_are_cut_to_whole_seconds_after_adding() -> None:
    pair = pair_of(issuer(lifetimes=Lifetimes(access=0.5, refresh=10.2)), ALICE)

    assert (claims_of(pair.access)["iat"], claims_of(pair.access)["exp"]) == (SECOND, SECOND + 1)
    assert (claims_of(pair.refresh)["iat"], claims_of(pair.refresh)["exp"]) == (SECOND, SECOND + 10)


@pytest.mark.parametrize(
    ("user_id", "issued"),
    [
        ("7", 7),
        ("0", 0),
        ("9" * 20, 10**20 - 1),
        ("007", "007"),
        ("٣", "٣"),
        ("²", "²"),
        ("-1", "-1"),
        ("a", "a"),
        ("", ""),
    ],
)
def test_compat_issues_a_number_only_for_a_numbers_plain_spelling(user_id: str, issued: object) -> None:
    user = User(id=user_id, username="u", email="", roles=(), is_active=True)

    assert claims_of(pair_of(issuer(names=names(numeric_user_id=True)), user).access)["user_id"] == issued
    assert claims_of(pair_of(issuer(), user).access)["user_id"] == user_id


def test_claims_can_be_renamed() -> None:
    renamed = names(user_id="sub", token_type="typ", jti="tid", session_id="session")
    pair = pair_of(issuer(names=renamed), ALICE)
    refresh, access = claims_of(pair.refresh), claims_of(pair.access)

    assert list(access) == list(refresh) == ["typ", "exp", "iat", "tid", "sub", "session"]
    assert (access["typ"], refresh["typ"], access["sub"]) == ("access", "refresh", "7")
    assert access["tid"] != refresh["tid"]


def test_a_further_claim_replaces_none_that_validity_hangs_on() -> None:
    extra = dict.fromkeys(["exp", "iat", "jti", "token_type", "sid", "user_id", "aud", "iss"], "email")
    pair = pair_of(issuer(names=names(extra=extra), audience=("a",), issuer="i"), ALICE)

    assert "alice@example.org" not in claims_of(pair.refresh).values()
    assert "alice@example.org" not in claims_of(pair.access).values()


def test_an_unknown_attribute_is_refused_at_construction() -> None:
    with pytest.raises(ValueError, match="no attribute 'password_hash'; there are id, username, email, roles"):
        issuer(names=names(extra={"x": "password_hash"}))


@pytest.mark.parametrize(("audience", "expected"), [(("a",), "a"), (("a", "b"), ["a", "b"])])
def test_audience_and_issuer_stand_at_the_end(audience: tuple[str, ...], expected: object) -> None:
    pair = pair_of(issuer(audience=audience, issuer="https://gateway"), ALICE)

    for token in (pair.access, pair.refresh):
        assert list(claims_of(token).items())[-2:] == [("aud", expected), ("iss", "https://gateway")]


# --- Against the library ----------------------------------------------------------------------------------------------

DETERMINISTIC = [name for name in ALGORITHMS if name[:2] in ("HS", "RS") or name == "EdDSA"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_library_accepts_our_tokens_with_every_algorithm(
    library: SimpleJwtLibrary, keyrings: dict[str, Keyring], algorithm: str
) -> None:
    keys = library_keys(keyrings[algorithm])
    pair = pair_of(issuer(keyrings[algorithm]), ALICE)

    assert library.read([pair.access.encode()], kind="access", now=NOW, **keys) == ["ok"]
    assert library.read([pair.refresh.encode()], kind="refresh", now=NOW, **keys) == ["ok"]
    assert library.read([pair.refresh.encode()], kind="access", now=NOW, **keys) == ["Token has wrong type"]


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
def test_a_key_with_a_kid_names_itself_and_the_library_accepts_that(library: SimpleJwtLibrary, algorithm: str) -> None:
    ring = Keyring(
        build_key(algorithm, Secret(generate_key(algorithm)), None, kid="key-2026"),
        [build_key("HS256", Secret(generate_key("HS256")), None)],
    )
    pair = pair_of(issuer(ring), ALICE)
    for token in (pair.access, pair.refresh, access_of(issuer(ring), claims_of(pair.refresh), NOW)):
        assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT", "kid": "key-2026"}
        assert library.read([token.encode()], kind="any", now=NOW, **library_keys(ring)) == ["ok"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_without_a_kid_leaves_the_header_as_the_librarys(keyrings: dict[str, Keyring], algorithm: str) -> None:
    header = pair_of(issuer(keyrings[algorithm]), ALICE).access.partition(".")[0]
    assert base64.urlsafe_b64decode(header + "==") == b'{"alg":"%b","typ":"JWT"}' % algorithm.encode()


def test_a_public_key_issues_nothing() -> None:
    public = Key("ES256", None, build_key("ES256", Secret(generate_key("ES256")), None).verifying_key)
    with pytest.raises(ValueError, match="signs nothing"):
        issuer(Keyring(public))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_our_tokens_are_the_librarys_byte_for_byte(
    library: SimpleJwtLibrary, keyrings: dict[str, Keyring], algorithm: str
) -> None:
    user = User(id="1", username="ål\u2028 \U0001f600<&>", email="", roles=("a",), is_active=True)
    pair = pair_of(issuer(keyrings[algorithm], names=names(extra={"n": "username", "r": "roles"})), user)
    for token in (pair.access, pair.refresh):
        theirs = library.encode(claims_of(token), **library_keys(keyrings[algorithm]))
        if algorithm in DETERMINISTIC:
            assert token == theirs
        else:
            assert token.split(".")[:2] == theirs.split(".")[:2]


def without_ids(token: str) -> list[tuple[str, Any]]:
    return [(name, "…" if name == "jti" else value) for name, value in claims_of(token).items()]


def decoded(token: str) -> Any:
    reader = verifier_of(KEYRING)
    return reader.decode(token.encode(), NOW)


PARTIES: list[dict[str, Any]] = [{}, {"audience": ("a",)}, {"audience": ("a", "b"), "issuer": "i"}, {"issuer": "i"}]


def backend(parties: dict[str, Any]) -> dict[str, Any]:
    audience = list(parties.get("audience", ())) or None
    return {
        **library_keys(KEYRING),
        "issuer": parties.get("issuer"),
        "audience": audience[0] if audience and len(audience) == 1 else audience,
    }


@pytest.mark.parametrize("parties", PARTIES, ids=str)
def test_a_first_pair_looks_like_the_librarys(library: SimpleJwtLibrary, parties: dict[str, Any]) -> None:
    theirs = library.issue("7", now=NOW, **backend(parties))
    ours = pair_of(issuer(**parties), ALICE)

    for our_token, their_token in ((ours.access, theirs["access"]), (ours.refresh, theirs["refresh"])):
        assert [item for item in without_ids(our_token) if item[0] != "sid"] == without_ids(their_token)


FOREIGN: list[dict[str, Any]] = [
    {},
    {"nbf": SECOND - 5, "sub": "x", "custom": {"a": [1, None, 1.5, "é"]}},
    {"user_id": 7},
    {"iat": SECOND - 50},
    {"exp": SECOND + 77, "refresh_exp": 5, "hash_password": "ABC"},
    {"aud": "a", "iss": "i", "last": 1},
    {"first": 10**4000},
]


@pytest.mark.parametrize("change", FOREIGN, ids=range(len(FOREIGN)))
@pytest.mark.parametrize("parties", PARTIES, ids=str)
def test_refreshing_copies_what_the_library_copies(
    library: SimpleJwtLibrary, change: dict[str, Any], parties: dict[str, Any]
) -> None:
    plain = {"token_type": "refresh", "exp": SECOND + 9, "iat": SECOND, "jti": "x", "user_id": "1"}
    refresh = library.encode({**plain, "aud": "a", "iss": "i", **change}, **library_keys(KEYRING))
    theirs = library.refresh(refresh, now=NOW, **backend(parties))
    claims = decoded(refresh)
    one = issuer(**parties)

    assert without_ids(access_of(one, claims, NOW)) == without_ids(theirs["access"])
    assert without_ids(refresh_of(one, claims, NOW)) == without_ids(theirs["refresh"])


def test_refreshing_a_token_of_an_old_release_without_iat(library: SimpleJwtLibrary) -> None:
    plain = {"token_type": "refresh", "exp": SECOND + 9, "jti": "x", "user_id": 1}
    refresh = library.encode(plain, **library_keys(KEYRING))
    theirs = library.refresh(refresh, now=NOW, **library_keys(KEYRING))

    assert without_ids(access_of(issuer(), decoded(refresh), NOW)) == without_ids(theirs["access"])
    assert without_ids(refresh_of(issuer(), decoded(refresh), NOW)) == without_ids(theirs["refresh"])


def test_successors_keep_the_session_and_get_ids_of_their_own() -> None:
    first = pair_of(issuer(), ALICE)
    claims = claims_of(first.refresh)
    access = claims_of(access_of(issuer(), claims, NOW + 60))
    refresh = claims_of(refresh_of(issuer(), claims, NOW + 60))

    assert access["sid"] == refresh["sid"] == claims["sid"]
    assert len({claims["jti"], access["jti"], refresh["jti"], claims_of(first.access)["jti"]}) == 4
    assert (access["exp"], access["iat"]) == (SECOND + 360, SECOND + 60)
    assert (refresh["exp"], refresh["iat"]) == (SECOND + 86460, SECOND + 60)
    assert claims == claims_of(first.refresh)  # untouched


def test_neither_id_is_copied_when_the_id_claim_is_renamed() -> None:
    claims = {"token_type": "refresh", "exp": SECOND, "jti": "old", "tid": "old too", "user_id": "1"}
    access = claims_of(access_of(issuer(names=names(jti="tid")), claims, NOW))

    assert "jti" not in access
    assert access["tid"] != "old too"


@pytest.mark.parametrize("value", [7, None, ["i"]])
def test_an_issuer_that_is_no_text_is_refused_and_no_crash(value: object) -> None:
    claims = {"token_type": "refresh", "exp": SECOND, "jti": "x", "user_id": "1", "iss": value}
    for successor in (access_of, refresh_of):
        with pytest.raises(Refused) as caught:
            successor(issuer(), claims, NOW)
        assert caught.value.reason is Reason.TOKEN_INVALID

    assert claims_of(access_of(issuer(issuer="i"), claims, NOW))["iss"] == "i"


def test_the_deepest_claims_that_pass_can_be_issued_again() -> None:
    deep: Any = 1
    for _ in range(63):
        deep = [deep]
    refresh = refresh_of(issuer(), {"exp": 1, "deep": deep}, NOW)

    assert claims_of(access_of(issuer(), decoded(refresh), NOW))["deep"] == deep


def test_no_token_outlasts_its_session() -> None:
    pair = pair_of(issuer(), ends_at=NOW + 100.9)
    assert [claims_of(token)["exp"] for token in (pair.refresh, pair.access)] == [math.floor(NOW + 100.9)] * 2
    claims = claims_of(pair.refresh)
    access = issuer().access_from(claims, NOW, ends_at=SECOND + 50)
    refresh = issuer().refresh_from(claims, token_id="t", issued_at=SECOND, ends_at=SECOND + 60)
    assert (claims_of(access)["exp"], claims_of(refresh)["exp"]) == (SECOND + 50, SECOND + 60)


def test_s55_a_successor_can_be_given_once_more() -> None:
    claims = claims_of(pair_of(issuer()).refresh)
    successor = issuer().refresh_from(claims, token_id="t1", issued_at=SECOND, ends_at=float("inf"))
    assert successor == issuer().refresh_from(claims, token_id="t1", issued_at=SECOND, ends_at=float("inf"))
    assert claims_of(successor) == claims | {"jti": "t1"}


def test_access_tokens_end_early_at_random_within_the_jitter_and_refresh_tokens_never() -> None:
    jittering = issuer(lifetimes=Lifetimes(access=1000, refresh=2000, access_jitter=0.05))
    pairs = [pair_of(jittering) for _ in range(300)]
    ends = {claims_of(pair.access)["exp"] - SECOND for pair in pairs}
    assert len(ends) > 20
    assert min(ends) >= 949
    assert max(ends) <= 1000
    assert {claims_of(pair.refresh)["exp"] for pair in pairs} == {SECOND + 2000}


def test_a_renewed_token_says_what_is_so_of_its_user_now() -> None:
    ours = issuer(names=names(extra={"roles": "roles", "name": "username", "exp": "email", "user_id": "email"}))
    claims = {**claims_of(pair_of(ours).refresh), "tenant": "north"}
    now = User(id="7", username="alicia", email="x", roles=(), is_active=True)
    renewed = ours.renewed(claims, now, claims["sid"])
    assert renewed == claims | {"roles": [], "name": "alicia"}
    assert list(renewed) == list(claims)


def test_a_renewed_token_of_another_issuer_gets_a_session() -> None:
    claims = {"token_type": "refresh", "exp": SECOND + 9, "jti": "a", "user_id": 7}
    assert issuer(names=names(extra={"name": "username"})).renewed(claims, ALICE, "s") == claims | {"sid": "s"}
