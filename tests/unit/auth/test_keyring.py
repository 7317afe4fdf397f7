import json
from typing import Any

import jwt
import pytest

from gateway.auth.keyring import Keyring, KeysClash, jwk_set
from gateway.auth.keys import Key, build_key, generate_key
from gateway.types import Secret

RSA = generate_key("RS256")


def hmac_key(kid: str | None = None, algorithm: str = "HS256") -> Key:
    return build_key(algorithm, Secret(generate_key(algorithm)), None, kid=kid)


def pair(kid: str | None = None, algorithm: str = "ES256") -> Key:
    return build_key(algorithm, Secret(generate_key(algorithm)), None, kid=kid)


def rsa_key(kid: str | None = None, algorithm: str = "RS256") -> Key:
    return build_key(algorithm, Secret(RSA), None, kid=kid)


def test_s32_a_kid_finds_its_key_and_nothing_else_does() -> None:
    active, other = hmac_key("new"), pair("old")
    ring = Keyring(active, [other])
    assert ring.find("new", "HS256") is active
    assert ring.find("old", "ES256") is other
    # The kid alone finds it: that the algorithm is the key's own is for the caller to compare.
    assert ring.find("old", "HS256") is other
    for kid in ("", "New", "new ", "../new", "none"):
        assert ring.find(kid, "HS256") is None
    assert ring.find(None, "HS256") is None
    assert ring.keys == (active, other)


def test_a_key_without_a_kid_takes_the_tokens_without_one_of_its_algorithm() -> None:
    active, django, rsa = pair("new"), hmac_key(), rsa_key()
    ring = Keyring(active, [django, rsa])
    assert ring.find(None, "HS256") is django
    assert ring.find(None, "RS256") is rsa
    assert ring.find(None, "ES256") is None
    assert ring.find(None, "none") is None


def test_an_asymmetric_key_without_a_kid_is_found_by_its_thumbprint() -> None:
    nameless = pair()
    assert nameless.published_kid is not None
    assert Keyring(hmac_key("new"), [nameless]).find(nameless.published_kid, "ES256") is nameless


@pytest.mark.parametrize("key", [hmac_key(), rsa_key()], ids=["hmac", "rsa"])
def test_s32_one_key_without_a_kid_takes_any_as_in_the_library(key: Key) -> None:
    for kid in (None, "", "../../etc/passwd"):
        assert Keyring(key).find(kid, key.algorithm) is key


def test_s32_one_key_with_a_kid_takes_no_other() -> None:
    key = hmac_key("only")
    assert Keyring(key).find("only", "HS256") is key
    assert Keyring(key).find(None, "HS256") is None
    assert Keyring(key).find("other", "HS256") is None


def test_one_key_may_take_both_as_two_entries() -> None:
    secret = Secret(generate_key("HS256"))
    named, nameless = build_key("HS256", secret, None, kid="a"), build_key("HS256", secret, None)
    ring = Keyring(named, [nameless])
    assert ring.find("a", "HS256") is named
    assert ring.find(None, "HS256") is nameless


CLASHES: dict[str, tuple[list[Key], int, str]] = {
    "same kid": ([hmac_key("a"), hmac_key("b"), pair("a")], 1, "The kid 'a' is that of another key"),
    "same kid as the active one": ([hmac_key("a"), hmac_key("a")], 0, "The kid 'a' is that of another key"),
    "same key twice": ([rsa_key(), hmac_key(), rsa_key(algorithm="PS256")], 1, "is that of another key"),
    "two without": ([hmac_key(), pair("b"), hmac_key()], 1, "another HS256 key without a kid"),
}


@pytest.mark.parametrize("name", CLASHES)
def test_s32_no_token_may_belong_to_two_keys(name: str) -> None:
    (active, *further), position, sentence = CLASHES[name]
    with pytest.raises(KeysClash, match=sentence) as caught:
        Keyring(active, further)
    assert caught.value.position == position


def test_a_repr_tells_no_key() -> None:
    ring = Keyring(hmac_key("a"), [pair("b")])
    assert repr(ring) == "Keyring(Key('HS256', kid='a', …), Key('ES256', kid='b', …))"


def test_s45_the_set_has_the_public_keys_the_active_one_first() -> None:
    nameless = rsa_key()
    public_alone = Key("ES384", None, pair(algorithm="ES384").verifying_key, kid="old")
    ring = Keyring(pair("new"), [hmac_key("secret"), nameless, public_alone, pair("ed", "EdDSA")])
    published: Any = jwk_set(ring)

    kids = [(entry["kid"], entry["alg"], entry["use"]) for entry in published["keys"]]
    assert kids == [
        ("new", "ES256", "sig"),
        (nameless.published_kid, "RS256", "sig"),
        ("old", "ES384", "sig"),
        ("ed", "EdDSA", "sig"),
    ]
    private = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
    assert all(private.isdisjoint(entry) for entry in published["keys"])
    assert {entry.key_id for entry in jwt.PyJWKSet.from_json(json.dumps(published)).keys} == {kid for kid, _, _ in kids}


def test_s45_hmac_keys_alone_are_no_set() -> None:
    assert jwk_set(Keyring(hmac_key("a"), [hmac_key()])) is None
