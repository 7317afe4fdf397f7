from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from gateway.auth.jwk import PublicKey, jwk_members, thumbprint

# RFC 7638 §3.1 and RFC 8037 appendix A.3: the keys and their thumbprints.
PUBLISHED: dict[str, tuple[dict[str, str], str]] = {
    "RSA": (
        {
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
            "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6"
            "qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJ"
            "zKnqDKgw",
            "e": "AQAB",
        },
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    ),
    "Ed25519": (
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_thumbprint_is_that_of_the_rfc(name: str) -> None:
    members, expected = PUBLISHED[name]
    key: Any = jwt.PyJWK({**members, "alg": "RS256" if name == "RSA" else "EdDSA"}).key
    assert jwk_members(key) == members
    assert thumbprint(key) == expected


@pytest.mark.parametrize(
    ("key", "algorithm", "names"),
    [
        (rsa.generate_private_key(65537, 2048), "RS256", {"kty", "n", "e"}),
        (ec.generate_private_key(ec.SECP384R1()), "ES384", {"kty", "crv", "x", "y"}),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA", {"kty", "crv", "x"}),
        (ed448.Ed448PrivateKey.generate(), "EdDSA", {"kty", "crv", "x"}),
    ],
    ids=["rsa", "ec", "ed25519", "ed448"],
)
def test_s45_nothing_of_the_private_key_is_in_it_and_it_checks_what_that_signs(
    key: Any, algorithm: str, names: set[str]
) -> None:
    members = jwk_members(key.public_key())
    assert set(members) == names
    token = jwt.encode({"a": 1}, key, algorithm=algorithm)
    assert jwt.decode(token, jwt.PyJWK({**members, "alg": algorithm}), algorithms=[algorithm]) == {"a": 1}


def test_coordinates_keep_their_leading_zeros() -> None:
    """RFC 7518 §6.2.1.2: as long as the curve's size, or the thumbprint would depend on who wrote it."""
    key: PublicKey = ec.derive_private_key(
        1, ec.SECP521R1()
    ).public_key()  # the generator: both start with a zero octet
    members = jwk_members(key)
    assert len(members["x"]) == len(members["y"]) == 88  # 66 bytes
    assert members["x"].startswith("AM")
