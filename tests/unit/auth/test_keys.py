import base64
import json
import secrets
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway.auth.jwk import thumbprint
from gateway.auth.keys import ALGORITHMS, Key, KeyRefused, build_key, generate_key
from gateway.types import Secret

HMAC_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
ASYMMETRIC = [name for name in ALGORITHMS if name not in HMAC_BYTES]
REMEDY = "make one with `gateway key generate`"


def private_pem(
    key: object,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> str:
    pem: bytes = key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())  # type: ignore[attr-defined]
    return pem.decode()


def public_pem(key: object) -> str:
    public = key.public_key()  # type: ignore[attr-defined]
    pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
P521 = ec.generate_private_key(ec.SECP521R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
FITTING = {
    **dict.fromkeys(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], RSA),
    "ES256": P256,
    "ES384": P384,
    "ES512": P521,
    "EdDSA": ED25519,
}


def refusal(algorithm: str, signing_key: str, verifying_key: str | None = None) -> KeyRefused:
    with pytest.raises(KeyRefused) as caught:
        build_key(algorithm, Secret(signing_key), verifying_key)
    # Also in a traceback: no context that quotes the key.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    for key in (signing_key, verifying_key):
        assert not key or len(key) < 8 or key not in str(caught.value)
    return caught.value


def test_the_algorithms_are_the_documented_ones() -> None:
    documented = {family + bits for family in ("HS", "RS", "PS", "ES") for bits in ("256", "384", "512")} | {"EdDSA"}
    assert set(ALGORITHMS) == documented
    assert documented <= set(jwt.algorithms.get_default_algorithms())


@pytest.mark.parametrize("algorithm", ["none", "None", "", "hs256", "HS128", "ES256K", "ES521", "HS256 "])
def test_s31_any_other_algorithm_is_refused(algorithm: str) -> None:
    fault = refusal(algorithm, "x" * 64)
    assert fault.setting == "algorithm"
    assert "HS256" in str(fault)
    assert "EdDSA" in str(fault)
    with pytest.raises(KeyRefused, match="There is no algorithm"):
        generate_key(algorithm)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "RS256", "PS512", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_generated_key_is_accepted_signs_and_checks(algorithm: str) -> None:
    text = generate_key(algorithm)
    key = build_key(algorithm, Secret(text), None)

    token = jwt.encode({"a": 1}, key.signing_key, algorithm=algorithm)
    assert jwt.decode(token, key.verifying_key, algorithms=[algorithm]) == {"a": 1}
    assert key.algorithm == algorithm
    assert text[:20] not in repr(key)
    assert "PRIVATE" not in repr(key)


@pytest.mark.parametrize(("algorithm", "size"), HMAC_BYTES.items())
def test_s91_a_generated_hmac_key_has_the_full_entropy_as_url_safe_text(algorithm: str, size: int) -> None:
    texts = {generate_key(algorithm) for _ in range(50)}

    assert len(texts) == 50
    for text in texts:
        assert len(base64.urlsafe_b64decode(text + "==")) == size
        assert "=" not in text
        build_key(algorithm, Secret(text), None)


def test_the_hmac_key_is_the_texts_utf8_as_in_django() -> None:
    text = "ключ-" + secrets.token_urlsafe(32)
    key = build_key("HS256", Secret(text), None)

    assert key.signing_key == key.verifying_key == text.encode()


@pytest.mark.parametrize(("algorithm", "size"), HMAC_BYTES.items())
def test_s31_a_short_hmac_key_is_refused(algorithm: str, size: int) -> None:
    text = (secrets.token_hex(64))[:size]
    build_key(algorithm, Secret(text), None)

    fault = refusal(algorithm, text[:-1])
    assert fault.setting == "signing_key"
    assert f"has {size - 1} bytes; {algorithm} needs at least {size}" in str(fault)
    assert REMEDY in str(fault)


WELL_KNOWN = [
    "secret",
    "changeme",
    "a" * 64,
    "secret" * 12,
    "secret" * 11 + "sec",
    "0123456789" * 7,
    "change-me-" * 7,
    "Zk3qPw9xTn7vRb2m" * 2,
    "your-256-bit-secret",
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-384-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    "please-change-this-secret-key-in-production",
    "Your_Super_Secret_Signing_Key_For_JWT_Tokens_1234567890",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
]


@pytest.mark.parametrize("text", WELL_KNOWN)
def test_s31_a_well_known_text_is_refused_as_hmac_key(text: str) -> None:
    fault = refusal("HS256", text)
    assert "can be guessed" in str(fault)
    assert REMEDY in str(fault)


def test_s31_random_keys_in_the_company_of_words_are_not_called_well_known() -> None:
    for _ in range(300):
        for prefix in ("", "prod-secret-", "django-insecure-"):
            build_key("HS256", Secret(prefix + secrets.token_urlsafe(32)), None)
            build_key("HS256", Secret(prefix + secrets.token_hex(32)), None)


def der(key: object) -> bytes:
    encoded: bytes = key.public_key().public_bytes(  # type: ignore[attr-defined]
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


NO_SECRETS: dict[str, Callable[[], str]] = {
    "private pem": lambda: private_pem(RSA),
    "public pem": lambda: public_pem(P256),
    "pem cut": lambda: public_pem(RSA)[:-30],
    "pem tail": lambda: public_pem(RSA)[30:],
    "pem in one line": lambda: public_pem(RSA).replace("\n", "\\n"),
    "ssh": lambda: (
        ED25519.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " alice@example"
    ),
    "jwk": lambda: json.dumps(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True)),
    "jwk set": lambda: json.dumps({"keys": [{"kty": "oct", "k": secrets.token_urlsafe(32)}]}),
    "public der in base64": lambda: base64.b64encode(der(P256)).decode(),
    "public der in base64url": lambda: base64.urlsafe_b64encode(der(RSA)).decode(),
    "private der in base64": lambda: base64.b64encode(
        P256.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    ).decode(),
    "encrypted der in base64": lambda: base64.b64encode(
        P256.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    ).decode(),
}


@pytest.mark.parametrize("name", NO_SECRETS)
def test_s31_asymmetric_key_material_is_refused_as_hmac_key(name: str) -> None:
    fault = refusal("HS256", NO_SECRETS[name]())
    assert "PEM, DER, SSH or JWK" in str(fault)
    assert REMEDY in str(fault)


@pytest.mark.parametrize(("text", "sentence"), [("", "is empty"), ("\udcff" * 40, "is not UTF-8 text")])
def test_an_hmac_key_that_is_no_text_is_refused(text: str, sentence: str) -> None:
    fault = refusal("HS256", text)
    assert sentence in str(fault)
    assert REMEDY in str(fault)


def test_s30_an_hmac_algorithm_takes_no_verifying_key() -> None:
    fault = refusal("HS256", generate_key("HS256"), public_pem(RSA))
    assert fault.setting == "verifying_key"
    assert "remove verifying_key" in str(fault)


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_the_verifying_key_is_derived_or_checked(algorithm: str) -> None:
    key = FITTING[algorithm]
    derived = build_key(algorithm, Secret(private_pem(key)), None)
    given = build_key(algorithm, Secret(private_pem(key)), public_pem(key))

    assert derived.verifying_key == given.verifying_key == key.public_key()


def test_ed448_is_eddsa_too() -> None:
    key = ed448.Ed448PrivateKey.generate()
    key = build_key("EdDSA", Secret(private_pem(key)), public_pem(key))

    token = jwt.encode({}, key.signing_key, algorithm="EdDSA")
    assert jwt.decode(token, key.verifying_key, algorithms=["EdDSA"]) == {}


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("written", [str, lambda pem: "\n  " + pem.replace("\n", "\r\n")])
def test_a_private_key_is_read_in_its_usual_spellings(form: PrivateFormat, written: Callable[[str], str]) -> None:
    key = build_key("ES256", Secret(written(private_pem(P256, form))), None)
    assert key.verifying_key == P256.public_key()


def x25519_pem() -> str:
    return private_pem(x25519.X25519PrivateKey.generate())


SIGNING_FAULTS: dict[str, tuple[str, Callable[[], str], str]] = {
    "text": ("RS256", lambda: secrets.token_urlsafe(40), "is no private key in PEM, which RS256 needs"),
    "empty": ("ES256", lambda: "", "is no private key in PEM"),
    "surrogates": ("ES256", lambda: "\udcff", "is no private key in PEM"),
    "public": ("ES256", lambda: public_pem(P256), "is a public key; ES256 signs with the private one"),
    "certificate": (
        "RS256",
        lambda: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "is a certificate",
    ),
    "encrypted": (
        "ES256",
        lambda: private_pem(P256, encryption=BestAvailableEncryption(b"x")),
        "encrypted with a passphrase",
    ),
    "encrypted, traditional": (
        "ES256",
        lambda: private_pem(P256, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"x")),
        "encrypted with a passphrase",
    ),
    "openssh": ("ES256", lambda: private_pem(P256, PrivateFormat.OpenSSH), "ssh-keygen -p -m PKCS8"),
    "cut": ("RS256", lambda: private_pem(RSA)[:-200], "cut or damaged"),
    "one line": ("RS256", lambda: private_pem(RSA).replace("\n", "\\n"), "two characters \\n"),
    "rsa for ec": ("ES256", lambda: private_pem(RSA), "is no elliptic-curve key, which ES256 needs"),
    "ec for rsa": ("PS256", lambda: private_pem(P256), "is no RSA key, which PS256 needs"),
    "ec for eddsa": ("EdDSA", lambda: private_pem(P256), "is no Ed25519 or Ed448 key"),
    "rsa for eddsa": ("EdDSA", lambda: private_pem(RSA), "is no Ed25519 or Ed448 key"),
    "eddsa for rsa": ("RS256", lambda: private_pem(ED25519), "is no RSA key"),
    "curve": ("ES256", lambda: private_pem(P384), "is on the curve secp384r1; ES256 needs P-256"),
    "secp256k1": ("ES256", lambda: private_pem(ec.generate_private_key(ec.SECP256K1())), "curve secp256k1"),
    "curve of ES512": ("ES512", lambda: private_pem(P256), "ES512 needs P-521"),
    "dsa": ("RS256", lambda: private_pem(dsa.generate_private_key(1024)), "of a kind that tokens are not signed with"),
    "x25519": ("EdDSA", x25519_pem, "of a kind that tokens are not signed with"),
    "short rsa": ("RS256", lambda: private_pem(rsa.generate_private_key(65537, 1024)), "has 1024 bits; RS256 needs"),
}


@pytest.mark.parametrize("name", SIGNING_FAULTS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # cryptography on making DSA and short RSA keys
def test_s31_a_signing_key_that_does_not_fit_is_refused_with_the_reason(name: str) -> None:
    algorithm, key, sentence = SIGNING_FAULTS[name]
    fault = refusal(algorithm, key())
    assert fault.setting == "signing_key"
    assert sentence in str(fault)


VERIFYING_FAULTS: dict[str, tuple[str, Callable[[], str], str]] = {
    "empty": ("ES256", lambda: "", "is no public key in PEM, which ES256 needs"),
    "text": ("ES256", lambda: "key", "is no public key in PEM"),
    "cut": ("RS256", lambda: public_pem(RSA)[:-60], "is no public key in PEM"),
    "private": ("ES256", lambda: private_pem(P256), "is a private key; give the public one"),
    "another": ("ES256", lambda: public_pem(ec.generate_private_key(ec.SECP256R1())), "does not belong to the signing"),
    "curve": ("ES256", lambda: public_pem(P384), "is on the curve secp384r1"),
    "family": ("ES256", lambda: public_pem(RSA), "is no elliptic-curve key"),
    "kind": ("EdDSA", lambda: public_pem(x25519.X25519PrivateKey.generate()), "of a kind that tokens"),
}


@pytest.mark.parametrize("name", VERIFYING_FAULTS)
def test_s30_a_verifying_key_that_does_not_belong_is_refused_with_the_reason(name: str) -> None:
    algorithm, key, sentence = VERIFYING_FAULTS[name]
    fault = refusal(algorithm, private_pem(FITTING[algorithm]), key())
    assert fault.setting == "verifying_key"
    assert sentence in str(fault)


def test_the_repr_shows_the_algorithm_and_no_key() -> None:
    assert repr(Key("HS256", b"very secret", b"very secret")) == "Key('HS256', kid=None, …)"


def test_generated_private_keys_are_pkcs8() -> None:
    assert generate_key("ES256").startswith("-----BEGIN PRIVATE KEY-----\n")
    assert generate_key("ES256").endswith("-----END PRIVATE KEY-----\n")


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_public_key_alone_checks(algorithm: str) -> None:
    pair = build_key(algorithm, Secret(private_pem(FITTING[algorithm])), None, kid="a")
    public = build_key(algorithm, None, public_pem(FITTING[algorithm]), kid="a")

    assert public.signing_key is None
    assert public.verifying_key == pair.verifying_key
    signed, _, signature = jwt.encode({}, pair.signing_key, algorithm=algorithm).rpartition(".")  # type: ignore[arg-type]
    decoded = base64.urlsafe_b64decode(signature + "==")
    assert public.verifies(signed.encode(), decoded)
    assert not public.verifies(signed.encode() + b".", decoded)


@pytest.mark.parametrize(
    ("algorithm", "sentence"), [("HS256", "HS256 checks with the secret"), ("ES256", "give a sig")]
)
def test_no_key_at_all_is_refused(algorithm: str, sentence: str) -> None:
    with pytest.raises(KeyRefused, match=sentence) as caught:
        build_key(algorithm, None, None)
    assert caught.value.setting == "signing_key"


@pytest.mark.parametrize(
    ("algorithm", "pem", "sentence"),
    [
        ("HS256", public_pem(RSA), "remove verifying_key"),
        ("ES256", public_pem(RSA), "is no elliptic-curve key"),
        ("ES256", private_pem(P256), "is a private key"),
        ("EdDSA", "text", "is no public key in PEM"),
    ],
    ids=["hmac", "kind", "private", "text"],
)
def test_s30_a_public_key_that_does_not_fit_is_refused(algorithm: str, pem: str, sentence: str) -> None:
    with pytest.raises(KeyRefused, match=sentence) as caught:
        build_key(algorithm, None, pem)
    assert caught.value.setting == "verifying_key"


def test_what_a_key_is_called() -> None:
    assert build_key("HS256", Secret(generate_key("HS256")), None).published_kid is None
    nameless = build_key("ES256", Secret(private_pem(P256)), None)
    assert nameless.kid is None
    assert nameless.published_kid == thumbprint(P256.public_key())
    assert build_key("ES256", Secret(private_pem(P256)), None, kid="a").published_kid == "a"
