"""A key (or key pair) that tokens are signed and checked with, parsed and judged once, at start.

Checklist 30 and 31: one algorithm a key; a key that is too short, guessable or of the wrong kind does not start. PyJWT
only warns about short keys and parses PEM text again on each call, so both are settled here: what a `Key` holds is
ready for PyJWT's algorithm classes and strong enough for its algorithm.
"""

import base64
import binascii
import re
import secrets
from typing import Final, NoReturn, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)
from jwt import InvalidKeyError, PyJWS
from jwt.algorithms import HMACAlgorithm

from gateway.auth.jwk import PublicKey, thumbprint
from gateway.errors import GatewayError
from gateway.types import Secret

PrivateKey: TypeAlias = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey
SigningKey: TypeAlias = bytes | PrivateKey
VerifyingKey: TypeAlias = bytes | PublicKey

# RFC 7518 §3.2: an HMAC key is at least as long as the hash's output.
_HMAC_KEY_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
_CURVES: Final[dict[str, type[EllipticCurve]]] = {"ES256": SECP256R1, "ES384": SECP384R1, "ES512": SECP521R1}
_CURVE_NAMES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")

ALGORITHMS: Final = (*_HMAC_KEY_BYTES, *_RSA_ALGORITHMS, *_CURVES, "EdDSA")

_MIN_RSA_BITS: Final = 2048  # RFC 7518 §3.3
_NEW_RSA_BITS: Final = 3072  # NIST SP 800-57 wants 128 bits of strength for keys that live past 2030.

_GENERATE: Final = "make one with `gateway key generate`"

# The HMAC keys of RFC 7515 appendix A.1 and RFC 7520 §3.5: random, and in every JWT library's tests.
_PUBLISHED_KEYS: Final = frozenset(
    {
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
    }
)
# What placeholders are written of ("please-change-this-secret-key-in-production", jwt.io's
# "a-string-secret-at-least-256-bits-long"). Judged by what is left without these words, so that a random key in words'
# company ("prod-secret-" + 64 hex digits) stays good, and a random one that happens to spell "key" loses three letters.
_PLACEHOLDER_WORDS: Final = re.compile(
    "abcdefghijklmnopqrstuvwxyz|0123456789|1234567890|123456|qwertyuiop|qwerty|"
    "administrator|admin|algorithm|api|app|auth|backend|bits|bit|bytes|byte|change|chars|characters|correcthorsebatterystaple|"
    "default|demo|development|dev|django|do|dummy|environment|env|example|for|foobar|foo|gateway|generate|generated|hmac|"
    "hs256|hs384|hs512|insecure|insert|instead|in|is|it|jwt|keyboardcat|keep|key|least|letmein|long|lorem|ipsum|me|must|my|"
    "never|not|one|only|password|passphrase|phrase|placeholder|please|private|prod|production|random|really|real|replace|"
    "safe|sample|secrets|secret|secure|security|server|sha256|sha384|sha512|should|signing|sign|simple|some|string|strong|"
    "super|test|tests|testing|text|that|the|this|to|token|tokens|top|unsafe|use|valid|value|very|we|web|which|with|"
    "you|your|256|384|512|at|be|a"
)
_MIN_UNGUESSED_CHARACTERS: Final = 16
_NOT_WORD: Final = re.compile(r"[\W_]+")


class KeyRefused(GatewayError):
    """A key cannot be used. `setting` names the one at fault; the text says why and what to do, never the key."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


class Key:
    """The key material of one algorithm, as PyJWT's algorithm class for it takes it, and what tokens call it.

    An HMAC key is bytes and both keys are the same; else they are `cryptography`'s private and public key objects, or
    the public one alone, which only checks. `kid` is what the operator calls it; where he does not, `published_kid` is
    the thumbprint of an asymmetric key. Made by `build_key`; the constructor itself judges nothing.
    """

    __slots__ = (
        "_modulus_bytes",
        "_verify",
        "algorithm",
        "kid",
        "published_kid",
        "signing_key",
        "verifying_key",
    )

    def __init__(
        self,
        algorithm: str,
        signing_key: SigningKey | None,
        verifying_key: VerifyingKey,
        *,
        kid: str | None = None,
    ) -> None:
        self.algorithm = algorithm
        self.signing_key = signing_key
        self.verifying_key = verifying_key
        self.kid = kid
        self.published_kid = kid if kid is not None or isinstance(verifying_key, bytes) else thumbprint(verifying_key)
        # One algorithm, chosen here and never by the token (RFC 8725 §3.1).
        self._verify = PyJWS(algorithms=[algorithm]).get_algorithm_by_name(algorithm).verify
        self._modulus_bytes = (verifying_key.key_size + 7) // 8 if isinstance(verifying_key, RSAPublicKey) else None

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Whether this key made the signature over these bytes."""
        # RFC 8017 §8.1.2: as long as the modulus. OpenSSL takes one of PSS without its leading zero bytes for the same.
        if self._modulus_bytes is not None and len(signature) != self._modulus_bytes:
            return False
        is_good: bool = self._verify(signed, self.verifying_key, signature)
        return is_good

    def __repr__(self) -> str:
        return f"Key({self.algorithm!r}, kid={self.kid!r}, …)"


def build_key(
    algorithm: str,
    signing_key: Secret | None,
    verifying_key: str | None,
    *,
    kid: str | None = None,
) -> Key:
    """Parse and judge a configured key.

    `signing_key` is an HMAC secret (its UTF-8 bytes are the key, as in Django) or an unencrypted private key in PEM;
    `verifying_key` a public key in PEM, derived when None. An asymmetric key may be the public one alone. Raises
    `KeyRefused` on the first fault.
    """
    if algorithm not in ALGORITHMS:
        raise KeyRefused("algorithm", f"There is no algorithm {algorithm!r}; use one of {', '.join(ALGORITHMS)}.")
    signing: SigningKey | None
    verifying: VerifyingKey
    if algorithm in _HMAC_KEY_BYTES:
        signing = verifying = _secret_alone(algorithm, signing_key, verifying_key)
    elif signing_key is None:
        if verifying_key is None:
            raise KeyRefused("signing_key", "There is no key: give a signing_key, or a verifying_key to check with.")
        signing, verifying = None, _public_key(algorithm, verifying_key)
    else:
        signing, verifying = _pair(algorithm, signing_key, verifying_key)
    return Key(algorithm, signing, verifying, kid=kid)


def _secret_alone(algorithm: str, signing_key: Secret | None, verifying_key: str | None) -> bytes:
    if verifying_key is not None:
        raise KeyRefused(
            "verifying_key", f"{algorithm} signs and checks with the signing key alone; remove verifying_key."
        )
    if signing_key is None:
        raise KeyRefused("signing_key", f"There is no key: {algorithm} checks with the secret that it signs with.")
    return _hmac_key(algorithm, signing_key.reveal())


def _pair(algorithm: str, signing_key: Secret, verifying_key: str | None) -> tuple[PrivateKey, PublicKey]:
    private = _private_key(algorithm, signing_key.reveal())
    public = private.public_key()
    if verifying_key is not None and _public_key(algorithm, verifying_key) != public:
        raise KeyRefused(
            "verifying_key",
            "The verifying key does not belong to the signing key, so no token would pass; give its public half, or "
            "remove verifying_key to have it derived.",
        )
    return private, public


def generate_key(algorithm: str) -> str:
    """A new signing key: URL-safe text with the algorithm's full entropy for HS*, else a PKCS #8 private key in PEM.

    Raises `KeyRefused` for an unknown algorithm.
    """
    if algorithm in _HMAC_KEY_BYTES:
        return secrets.token_urlsafe(_HMAC_KEY_BYTES[algorithm])
    key: PrivateKey
    if algorithm in _RSA_ALGORITHMS:
        key = generate_rsa_key(public_exponent=65537, key_size=_NEW_RSA_BITS)
    elif algorithm in _CURVES:
        key = generate_private_key(_CURVES[algorithm]())
    elif algorithm == "EdDSA":
        key = Ed25519PrivateKey.generate()
    else:
        raise KeyRefused("algorithm", f"There is no algorithm {algorithm!r}; use one of {', '.join(ALGORITHMS)}.")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _refuse_signing_key(message: str) -> NoReturn:
    # `from None` at every use: a parser's own message may quote what it could not read.
    raise KeyRefused("signing_key", message) from None


def _hmac_key(algorithm: str, text: str) -> bytes:
    try:
        key = text.encode("utf-8")
    except UnicodeEncodeError:
        _refuse_signing_key(f"The signing key is not UTF-8 text; {_GENERATE}.")
    if not key:
        _refuse_signing_key(f"The signing key is empty; {_GENERATE}.")
    if _is_asymmetric_key(key):
        _refuse_signing_key(
            f"The signing key is a PEM, DER, SSH or JWK key, but {algorithm} takes a random text: with a public "
            f"key as the secret anyone could sign. Choose the algorithm of that key, or for {algorithm} {_GENERATE}."
        )
    if _is_guessable(text):
        _refuse_signing_key(f"The signing key is a well-known or made-up text that can be guessed; {_GENERATE}.")
    if len(key) < _HMAC_KEY_BYTES[algorithm]:
        _refuse_signing_key(
            f"The signing key has {len(key)} bytes; {algorithm} needs at least {_HMAC_KEY_BYTES[algorithm]} "
            f"(RFC 7518 §3.2): {_GENERATE}."
        )
    return key


def _is_asymmetric_key(key: bytes) -> bool:
    """PyJWT's own test (PEM, SSH, DER, JSON with `kty`), and what it lets pass: half a PEM, and DER in base64."""
    try:
        HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(key)
    except InvalidKeyError:
        return True
    if b"-----BEGIN" in key or b"-----END" in key:
        return True
    try:
        der = base64.b64decode(key, altchars=b"-_" if b"-" in key or b"_" in key else None)
    except (binascii.Error, ValueError):
        return False
    return _is_der_key(der)


def _is_der_key(der: bytes) -> bool:
    try:
        load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        pass
    else:
        return True
    try:
        load_der_private_key(der, password=None)
    except TypeError:  # a private key, and encrypted
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _is_guessable(text: str) -> bool:
    if text in _PUBLISHED_KEYS:
        return True
    # A unit repeated, the last time perhaps cut short: "aaaa…", "changeme" eight times over.
    if any(text[period:] == text[:-period] for period in range(1, len(text) // 2 + 1)):
        return True
    words = _NOT_WORD.sub("", text.lower())
    return len(_PLACEHOLDER_WORDS.sub("", words)) < _MIN_UNGUESSED_CHARACTERS


def _private_key(algorithm: str, text: str) -> PrivateKey:
    pem = text.encode("utf-8", "replace")
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        _refuse_signing_key(
            "The signing key is encrypted with a passphrase, and nobody is there to type it at start; give it "
            "unencrypted in a file that only the gateway can read."
        )
    except (ValueError, UnsupportedAlgorithm):
        _refuse_signing_key(_why_no_private_key(algorithm, pem))
    if not isinstance(key, PrivateKey):
        _refuse_signing_key(f"The signing key is of a kind that tokens are not signed with; {_GENERATE}.")
    fault = misfit(algorithm, key)
    if fault:
        _refuse_signing_key(f"The signing key {fault}; {_GENERATE}.")
    return key


def _why_no_private_key(algorithm: str, pem: bytes) -> str:
    if b"-----BEGIN PUBLIC KEY-----" in pem or b"-----BEGIN RSA PUBLIC KEY-----" in pem:
        return f"The signing key is a public key; {algorithm} signs with the private one: {_GENERATE}."
    if b"-----BEGIN CERTIFICATE-----" in pem:
        return f"The signing key is a certificate; {algorithm} signs with its private key."
    if b"-----BEGIN OPENSSH PRIVATE KEY-----" in pem:
        return f"The signing key is in OpenSSH's own format; convert it with `ssh-keygen -p -m PKCS8`, or {_GENERATE}."
    if b"-----BEGIN" in pem:
        return (
            "The signing key cannot be read as PEM: it is cut or damaged (line breaks that became the two "
            f"characters \\n?); {_GENERATE}."
        )
    return f"The signing key is no private key in PEM, which {algorithm} needs; {_GENERATE}."


def _public_key(algorithm: str, text: str) -> PublicKey:
    pem = text.encode("utf-8", "replace")
    if b"PRIVATE KEY-----" in pem:
        raise KeyRefused(
            "verifying_key", "The verifying key is a private key; give the public one, or remove verifying_key."
        )
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRefused(
            "verifying_key",
            f"The verifying key is no public key in PEM, which {algorithm} needs; remove verifying_key to have it "
            "derived.",
        ) from None
    if not isinstance(key, PublicKey):
        raise KeyRefused("verifying_key", "The verifying key is of a kind that tokens are not signed with; remove it.")
    fault = misfit(algorithm, key)
    if fault:
        raise KeyRefused("verifying_key", f"The verifying key {fault}; remove verifying_key to have it derived.")
    return key


def misfit(algorithm: str, key: PrivateKey | PublicKey) -> str | None:
    """Why this key is not one of the algorithm, as the end of a sentence; None when it fits."""
    if algorithm in _RSA_ALGORITHMS:
        if not isinstance(key, RSAPrivateKey | RSAPublicKey):
            return f"is no RSA key, which {algorithm} needs"
        if key.key_size < _MIN_RSA_BITS:
            return f"has {key.key_size} bits; {algorithm} needs at least {_MIN_RSA_BITS} (RFC 7518 §3.3)"
        return None
    if algorithm in _CURVES:
        if not isinstance(key, EllipticCurvePrivateKey | EllipticCurvePublicKey):
            return f"is no elliptic-curve key, which {algorithm} needs"
        if not isinstance(key.curve, _CURVES[algorithm]):
            return f"is on the curve {key.curve.name}; {algorithm} needs {_CURVE_NAMES[algorithm]}"
        return None
    if isinstance(key, RSAPrivateKey | RSAPublicKey | EllipticCurvePrivateKey | EllipticCurvePublicKey):
        return f"is no Ed25519 or Ed448 key, which {algorithm} needs"
    return None
