"""What an issuer publishes → keys: each with one algorithm, and nothing that is no public key for signatures."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.jwk import jwk_members
from gateway.auth.key_set import KeySet, KeySetRefused, parse_key_set
from tests.conformance.jws_signer import b64

RSA = dict(jwk_members(rsa.generate_private_key(65537, 2048).public_key()))
SHORT_RSA = dict(jwk_members(rsa.generate_private_key(65537, 1024).public_key()))
P256 = dict(jwk_members(ec.generate_private_key(ec.SECP256R1()).public_key()))
P521 = dict(jwk_members(ec.generate_private_key(ec.SECP521R1()).public_key()))
ED = dict(jwk_members(ed25519.Ed25519PrivateKey.generate().public_key()))
HUGE_RSA = {**RSA, "n": b64(b"\xff" * 1025).decode()}
USUAL = ("RS256", "ES256")


def read(*keys: Any, algorithms: tuple[str, ...] = USUAL) -> tuple[KeySet, list[str]]:
    found, faults = parse_key_set(json.dumps({"keys": keys, "more": 1}).encode(), algorithms)
    return found, list(faults)


def test_a_key_is_found_by_its_name_and_its_algorithm_alone() -> None:
    keys, faults = read({**RSA, "kid": "a", "alg": "RS256"}, {**P256, "kid": "b", "use": "sig"})
    assert not faults
    assert {pair for pair in (("a", "RS256"), ("b", "ES256")) if keys.find(*pair)} == {("a", "RS256"), ("b", "ES256")}
    for kid, algorithm in (("a", "ES256"), ("b", "RS256"), ("c", "RS256"), ("", "RS256"), ("a", "HS256")):
        assert keys.find(kid, algorithm) is None


def test_two_keys_of_one_name_differ_by_their_algorithm() -> None:
    """RFC 7517 §4.5."""
    keys, faults = read({**RSA, "kid": "a"}, {**P256, "kid": "a"}, {**P256, "kid": "a"})
    assert len(keys) == 2
    assert keys.find("a", "RS256") is not keys.find("a", "ES256")
    assert faults == ["keys[2] has the kid and the algorithm of another one"]


def test_a_token_without_a_name_gets_the_only_key_that_there_is() -> None:
    keys, _ = read({**RSA, "kid": "a"}, {**P256}, {**P256, "kid": "b"})
    assert keys.find(None, "RS256") is keys.find("a", "RS256") is not None
    assert keys.find(None, "ES256") is None, "there are two"


@pytest.mark.parametrize(
    ("key", "algorithms", "algorithm"),
    [
        (RSA, USUAL, "RS256"),
        (RSA, ("PS256", "RS256"), "PS256"),
        ({**RSA, "alg": "RS256"}, ("PS256", "RS256"), "RS256"),
        (P256, USUAL, "ES256"),
        (P521, ("ES256", "ES512"), "ES512"),
        (ED, ("EdDSA",), "EdDSA"),
    ],
)
def test_s30_a_key_has_one_algorithm(key: dict[str, str], algorithms: tuple[str, ...], algorithm: str) -> None:
    keys, faults = read({**key, "kid": "k"}, algorithms=algorithms)
    assert not faults
    assert [name for name in algorithms if keys.find("k", name)] == [algorithm]


@pytest.mark.parametrize("key", [{**RSA, "use": "enc"}, {**RSA, "key_ops": ["wrapKey"]}, {**RSA, "key_ops": "verify"}])
def test_keys_for_something_else_are_passed_over(key: dict[str, Any]) -> None:
    keys, faults = read(key)
    assert (len(keys), faults) == (0, [])


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("text", "is no JSON object"),
        ({}, "is of no kind that can be published to check signatures with (RSA, EC, OKP)"),
        ({"kty": ["RSA"]}, "is of no kind that can be published to check signatures with (RSA, EC, OKP)"),
        ({"kty": "oct", "k": "AAAA"}, "is of no kind that can be published to check signatures with (RSA, EC, OKP)"),
        ({**RSA, "d": "AQAB"}, "is a private key, which everybody can sign with now that it is published"),
        ({**P256, "x": "AAAA"}, "cannot be read"),
        ({**P256, "x": P256["y"]}, "cannot be read"),
        ({**P256, "crv": "secp256k1"}, "cannot be read"),
        ({"kty": "RSA", "e": "AQAB"}, "cannot be read"),
        ({**RSA, "n": 7}, "cannot be read"),
        (HUGE_RSA, "has more than 8192 bits or a huge exponent"),
        ({**RSA, "e": b64(b"\x01" * 9).decode()}, "has more than 8192 bits or a huge exponent"),
        (SHORT_RSA, "fits none of the algorithms that are allowed"),
        ({**SHORT_RSA, "alg": "RS256"}, "has 1024 bits; RS256 needs at least 2048 (RFC 7518 §3.3)"),
        (P521, "fits none of the algorithms that are allowed"),
        ({**RSA, "alg": "HS256"}, "is for HS256, which is not allowed"),
        ({**RSA, "alg": "none"}, "is for none, which is not allowed"),
        ({**RSA, "alg": ["RS256"]}, "is for ['RS256'], which is not allowed"),
        ({**RSA, "alg": "ES256"}, "is no elliptic-curve key, which ES256 needs"),
        ({**P256, "alg": "RS256"}, "is no RSA key, which RS256 needs"),
        ({**RSA, "alg": "\x1b[2J"}, "is for \\x1b[2J, which is not allowed"),
        ({**RSA, "kid": 7}, "has a kid that is no text of a reasonable length"),
        ({**RSA, "kid": "k" * 257}, "has a kid that is no text of a reasonable length"),
    ],
)
def test_s31_a_bad_key_is_skipped_and_costs_no_other(key: Any, fault: str) -> None:
    keys, faults = read(key, {**P256, "kid": "good"})
    assert faults == [f"keys[0] {fault}"]
    assert keys.find("good", "ES256") is not None
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "It is no JSON object."),
        (b"[]", "It is no JSON object."),
        (b"\xff{}", "It is no JSON object."),
        (b"[" * 100_000, "It is no JSON object."),
        (b"{}", "It has no list `keys`."),
        (b'{"keys": {}}', "It has no list `keys`."),
        (json.dumps({"keys": [{}] * 101}).encode(), "It has 101 keys; 100 are read at most."),
    ],
)
def test_what_is_no_set_is_refused_as_a_whole(data: bytes, message: str) -> None:
    with pytest.raises(KeySetRefused) as refused:
        parse_key_set(data, USUAL)
    assert str(refused.value) == message


def test_a_set_without_keys_is_one() -> None:
    keys, faults = read()
    assert (len(keys), faults, keys.find("a", "RS256"), keys.find(None, "RS256")) == (0, [], None, None)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda x: st.lists(x, max_size=2)
)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["kty", "kid", "alg", "use", "key_ops", "n", "e", "x", "y", "crv"]),
            VALUES | st.sampled_from(["RSA", "EC", "OKP", "AQAB", "P-256", "sig", "RS256"]),
        )
    )
)
def test_no_set_makes_anything_but_keys_and_sentences(keys: list[Any]) -> None:
    found, faults = read(*keys)
    assert len(found) + len(faults) <= len(keys)
