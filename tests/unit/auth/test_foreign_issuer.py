"""Whose keys are tried, what is demanded besides, and what of a foreign token is said in our own words."""

import json
from typing import Any

import pytest

from gateway.auth.foreign_issuer import ForeignIssuer, ForeignIssuers, OwnNames, Translation
from gateway.auth.jwk import jwk_members
from gateway.auth.key_set import KeySet, parse_key_set
from gateway.errors import Reason, Refused
from tests.conformance.jws_signer import NOW, Signer, b64

ISS = "https://login.example.org/"
EC, OTHER = Signer.new("ES256"), Signer.new("ES256")
OWN = OwnNames(user_id="user_id", token_type="token_type", jti="jti", session_id="sid")


def keys(**signers: Signer) -> KeySet:
    published = [{"kid": kid, **jwk_members(signer.key.public_key())} for kid, signer in signers.items()]
    return parse_key_set(json.dumps({"keys": published}).encode(), ("ES256",))[0]


def issuer(*, name: str = "corp", iss: str = ISS, prefix: str = "corp:", **changes: Any) -> ForeignIssuer:
    translation = Translation(
        own=OWN,
        user_id_claim="sub",
        user_id_prefix=prefix,
        id_prefix=f"{name}:",
        taken={"roles": "groups", "mail": "e"},
    )
    usual: dict[str, Any] = {"audience": ("api",), "algorithms": ("ES256",), "leeway": 0, "header_type": None}
    one = ForeignIssuer(issuer=iss, translation=translation, is_local=False, **{**usual, **changes})
    one.replace_keys(keys(k=EC))
    return one


def token(signer: Signer = EC, *, header: dict[str, Any] | None = None, **changes: Any) -> bytes:
    claims = {"iss": ISS, "aud": "api", "sub": "carol", "exp": NOW + 60, **changes}
    payload = {name: value for name, value in claims.items() if value is not ...}
    return signer.token({"alg": "ES256", "kid": "k", **(header or {})}, json.dumps(payload).encode())


def refusal(one: ForeignIssuer, bearer: bytes, now: float = NOW) -> Reason:
    with pytest.raises(Refused) as refused:
        one.decode(bearer, now)
    return refused.value.reason


def test_only_what_is_named_is_taken_over_and_ids_say_whose_they_are() -> None:
    bearer = token(jti="j", sid="s", iat=NOW, e="c@x", user_id="1", roles=["admin"], groups=["staff"], username="alice")
    assert issuer().decode(bearer, NOW) == {
        "user_id": "corp:carol",
        "token_type": "access",
        "jti": "corp:j",
        "sid": "corp:s",
        "exp": NOW + 60,
        "iat": NOW,
        "mail": "c@x",
        "roles": ["staff"],
    }
    assert issuer().decode(token(), NOW) == {
        "user_id": "corp:carol", "token_type": "access", "jti": "corp:", "exp": NOW + 60,
    }  # fmt: skip
    assert issuer(prefix="").decode(token(), NOW)["user_id"] == "carol"


@pytest.mark.parametrize(
    ("value", "expected"), [(7, "corp:7"), ("", ""), (True, True), (1.5, 1.5), ([1], [1]), ({}, {})]
)
def test_what_is_no_id_gets_no_prefix_that_would_make_it_one(value: Any, expected: Any) -> None:
    translation = Translation(own=OWN, user_id_claim="uid", user_id_prefix="corp:", id_prefix="", taken={})
    assert translation.apply({"uid": value})["user_id"] == expected
    assert "user_id" not in translation.apply({"uid": None})
    assert "user_id" not in translation.apply({"user_id": "1"})


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": ISS[:-1]},
        {"iss": ...},
        {"iss": [ISS]},
        {"aud": ...},
        {"aud": "x"},
        {"aud": []},
        {"nbf": NOW + 1},
        {"jti": 7},
    ],
)
def test_issuer_and_audience_are_demanded(changes: dict[str, Any]) -> None:
    assert refusal(issuer(), token(**changes)) is Reason.TOKEN_INVALID


def test_its_keys_alone_count() -> None:
    one = issuer()
    assert refusal(one, token(OTHER)) is Reason.TOKEN_INVALID
    assert refusal(one, token(header={"kid": "x"})) is Reason.TOKEN_INVALID
    assert refusal(one, token(), NOW + 60) is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("access", None),
        ("Bearer", None),
        (..., None),
        ("refresh", Reason.TOKEN_WRONG_TYPE),
        (7, Reason.TOKEN_WRONG_TYPE),
    ],
)
def test_s37_a_token_that_says_what_else_it_is_does_not_pass(kind: Any, reason: Reason | None) -> None:
    bearer = token(token_type=kind)
    if reason is None:
        assert issuer().decode(bearer, NOW)["token_type"] == "access"
    else:
        assert refusal(issuer(), bearer) is reason


def test_s37_the_header_may_have_to_say_it() -> None:
    one = issuer(header_type="application/at+jwt")
    for typ in ("at+jwt", "AT+JWT", "application/at+jwt"):
        assert one.decode(token(header={"typ": typ}), NOW)
    for typ in ("JWT", None, 7, "", "xat+jwt"):
        assert refusal(one, token(header={"typ": typ})) is Reason.TOKEN_WRONG_TYPE
    assert refusal(one, token()) is Reason.TOKEN_WRONG_TYPE


def test_without_keys_nobody_can_tell() -> None:
    one = issuer()
    assert one.replace_keys(None)
    assert refusal(one, token()) is Reason.ISSUER_UNAVAILABLE
    one.replace_keys(KeySet([]))
    assert refusal(one, token()) is Reason.TOKEN_INVALID


def test_s45_it_is_told_when_a_key_is_gone() -> None:
    one = issuer()
    assert not one.replace_keys(keys(k=EC))
    assert not one.replace_keys(keys(k=EC, more=OTHER))
    assert one.decode(token(OTHER, header={"kid": "more"}), NOW)
    assert one.replace_keys(keys(k=OTHER)), "the same name and another key"
    assert refusal(one, token()) is Reason.TOKEN_INVALID
    assert one.decode(token(OTHER), NOW)


def test_unknown_keys_are_told_and_what_cannot_be_its_key_is_not() -> None:
    one = issuer()
    told: list[int] = []
    one.on_unknown_key = lambda: told.append(1)
    one.decode(token(), NOW)
    for bad in (
        token(OTHER),
        token(aud="x"),
        token(header={"alg": "HS256"}),
        token(header={"alg": "none", "kid": "x"}),
    ):
        refusal(one, bad)
    assert not told
    refusal(one, token(header={"kid": "new"}))
    assert told == [1]


def test_the_claimed_issuer_chooses_the_keys_and_does_nothing_else() -> None:
    one, two = issuer(), issuer(iss="https://two/")
    all_of_them = ForeignIssuers([one, two])
    assert all_of_them.find(token()) is one
    assert all_of_them.find(token(OTHER, iss="https://two/")) is two
    for iss in (..., "https://three/", "", None, [ISS], {ISS: 1}, ISS[:-1], ISS.upper()):
        assert all_of_them.find(token(iss=iss)) is None, iss


def test_no_spelling_of_the_name_hides_the_issuer() -> None:
    """The verifier of our own tokens would see it, too."""
    issuers = ForeignIssuers([issuer()])
    for plain, escaped in (('"iss"', '"\\u0069ss"'), ("/", "\\/"), ("login", "\\u006cogin")):
        hidden = json.dumps({"iss": ISS}).replace(plain, escaped).encode()
        assert issuers.find(b"e30." + b64(hidden) + b".x") is not None
    twice = b'{"iss": "x", "iss": "%b"}' % ISS.encode()
    assert issuers.find(b"e30." + b64(twice) + b".x") is not None


@pytest.mark.parametrize("junk", [b"", b".", b"..", b"a", b"a.b", b"a.!.c", b"a." + b64(b"{") + b".c", b"a" * 9000, b"\xff.\xff.\xff",
    b"a." + b64(b'{"iss":' + b"[" * 5000) + b".c", b"a." + b64(b'"iss"') + b".c"])  # fmt: skip
def test_s84_anything_else_is_nobodys(junk: bytes) -> None:
    assert ForeignIssuers([issuer()]).find(junk) is None
