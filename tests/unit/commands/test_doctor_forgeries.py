"""Forged tokens, held against the library that makes real ones."""

import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from gateway.auth.jwk import PublicKey, jwk_members
from gateway.auth.keys import KeyRefused, build_key
from gateway.commands import doctor_forgeries as forgeries
from gateway.types import Secret

CLAIMS = {"user_id": "1"}


@pytest.mark.parametrize("secret", forgeries.COMMON_SECRETS)
def test_s31_no_key_that_is_tried_starts_a_gateway(secret: str) -> None:
    with pytest.raises(KeyRefused):
        build_key("HS256", Secret(secret), None)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_forged_token_is_signed_as_pyjwt_signs(algorithm: str) -> None:
    secret = forgeries.COMMON_SECRETS[-1]
    forged = forgeries.forged_token({"alg": algorithm, "typ": "JWT"}, CLAIMS, secret.encode())
    assert jwt.decode(forged, secret, algorithms=[algorithm]) == CLAIMS
    assert forgeries.part_of(forged, 1) == CLAIMS


@pytest.mark.parametrize("token", ["", "a", "a.!.c", "a.W10.c"])
def test_claims_that_cannot_be_read(token: str) -> None:
    assert forgeries.part_of(token, 1) is None


def test_a_token_with_its_own_key_is_signed_by_it() -> None:
    token = dict(forgeries.misdirected(CLAIMS))["a jwk of its own"]
    key = jwt.PyJWK(jwt.get_unverified_header(token)["jwk"], algorithm="RS256")
    assert jwt.decode(token, key, algorithms=["RS256"]) == CLAIMS


def test_the_kid_is_that_of_real_tokens() -> None:
    tokens = [token for _, token in (*forgeries.unsigned(CLAIMS, "k1"), *forgeries.guessed(CLAIMS, "k1"))]
    named = [token for token in tokens if (forgeries.part_of(token, 0) or {}).get("kid") == "k1"]
    assert len(tokens) - len(named) == 2  # garbage, and the one without alg


@pytest.mark.parametrize(
    ("public", "forms"),
    [
        (generate_private_key(public_exponent=65537, key_size=2048).public_key(), 8),
        (generate_ec_key(SECP256R1()).public_key(), 6),
        (Ed25519PrivateKey.generate().public_key(), 6),
    ],
    ids=["RSA", "EC", "Ed25519"],
)
def test_a_public_key_is_a_secret_in_each_of_its_forms(public: PublicKey, forms: int) -> None:
    jwk = {**jwk_members(public), "kid": "k1", "use": "sig"}
    tokens = dict(forgeries.confused(CLAIMS, [jwk]))
    assert len(set(tokens.values())) == 3 * forms
    header = forgeries.part_of(tokens["HS512 with a public key as PEM"], 0)
    assert header == {"alg": "HS512", "typ": "JWT", "kid": "k1"}


@pytest.mark.parametrize("jwk", [{}, {"kty": "oct", "k": "AA"}, {"kty": "RSA", "n": "!", "e": "AQAB"}])
def test_what_is_no_public_key_gives_nothing(jwk: Mapping[str, Any]) -> None:
    assert list(forgeries.confused(CLAIMS, [jwk])) == []


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        (b"", []),
        (b"[]", []),
        (b"{}", []),
        (b'{"keys":1}', []),
        (b'{"keys":[1,{"kty":"EC"}]}', [{"kty": "EC"}]),
        (b"[" * 100_000, []),
    ],
)
def test_published_keys(body: bytes, keys: list[object]) -> None:
    assert forgeries.published_keys(body) == keys


def test_no_altered_token_is_the_good_one() -> None:
    good = jwt.encode(CLAIMS, "k" * 32, algorithm="HS256")
    tokens = dict(forgeries.altered(good))
    assert len({good, *tokens.values()}) == 5
    assert json.loads(json.dumps(forgeries.part_of(tokens["another payload"], 1))) == {**CLAIMS, "doctor": True}


@pytest.mark.parametrize("token", ["", "a.b.c", "a.b"])
def test_what_is_no_token_is_not_altered(token: str) -> None:
    assert list(forgeries.altered(token)) == []
