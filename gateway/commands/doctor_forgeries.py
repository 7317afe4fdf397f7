"""Tokens that nobody may believe, made by hand: a JWT library would refuse to write most of them."""

import base64
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

Claims = Mapping[str, object]

# Placeholders of tutorials, frameworks and jwt.io; `gateway run` starts with none of them.
COMMON_SECRETS: Final = (
    "secret",
    "changeme",
    "password",
    "test",
    "key",
    "jwt",
    "jwt-secret",
    "secretkey",
    "secret-key",
    "your-256-bit-secret",
    "your-secret-key",
    "a-string-secret-at-least-256-bits-long",
    "django-insecure",
    "please-change-this-secret-key-in-production",
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
)
_DIGESTS: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
# Where a `kid` is put into a path or a query, the key is what the attacker says: nothing, a known file, a constant.
_KIDS: Final = (
    ("../../../../../../../../dev/null", b""),
    ("/dev/null", b""),
    ("/proc/sys/kernel/randomize_va_space", b"2\n"),
    ("doctor' UNION SELECT 'doctor' -- ", b"doctor"),
)
_MAX_PUBLISHED_KEYS: Final = 8


def forged_token(header: Mapping[str, object], claims: Claims, secret: bytes | None) -> str:
    """A compact JWS, signed as `alg` of the header says (an HMAC), or with an empty signature."""
    signed = _signed_part(header, claims)
    signature = b"" if secret is None else hmac.digest(secret, signed, _DIGESTS[str(header["alg"])])
    return (signed + b"." + _base64url(signature)).decode("ascii")


def part_of(token: str, index: int) -> dict[str, Any] | None:
    """What the header (0) or the payload (1) of a token says, unverified; None when it cannot be read."""
    try:
        part = json.loads(base64.urlsafe_b64decode(token.split(".")[index] + "=="))
    except (IndexError, ValueError):
        return None
    return part if isinstance(part, dict) else None


def unsigned(claims: Claims, kid: str | None) -> Iterator[tuple[str, str]]:
    """(what it is, token) without a signature, or with one that says nothing."""
    yield "garbage", "garbage"
    for name in ("none", "None", "NONE", "nOnE", "", *_DIGESTS, "RS256", "ES256"):
        yield f"alg {name or 'empty'} unsigned", forged_token(_header(name, kid), claims, None)
    yield "no alg", forged_token({"typ": "JWT"}, claims, None)
    # Zeros, which are a signature for whoever forgets to look whether r and s are in their range (CVE-2022-21449).
    signed = _signed_part(_header("ES256", kid), claims)
    yield "ES256 of zeros", (signed + b"." + _base64url(bytes(64))).decode("ascii")


def guessed(claims: Claims, kid: str | None) -> Iterator[tuple[str, str]]:
    """Signed with keys that everybody knows."""
    for algorithm in _DIGESTS:
        yield f"{algorithm} with an empty key", forged_token(_header(algorithm, kid), claims, b"")
        for secret in COMMON_SECRETS:
            token = forged_token(_header(algorithm, kid), claims, secret.encode())
            yield f"{algorithm} with the key {secret!r}", token


def misdirected(claims: Claims) -> Iterator[tuple[str, str]]:
    """Whose header says where the key is: in a file, in a database, in the header itself."""
    for kid, secret in _KIDS:
        yield f"kid {kid!r}", forged_token(_header("HS256", kid), claims, secret)
    yield "a jwk of its own", _with_own_key(claims)


def confused(claims: Claims, published: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Signed with the HMAC whose secret is a public key of the JWK set, in each form that a program may hold it in."""
    for position, jwk in enumerate(published):
        if position == _MAX_PUBLISHED_KEYS:
            return
        kid = jwk.get("kid")
        for form, secret in _forms(jwk):
            for algorithm in _DIGESTS:
                header = _header(algorithm, kid if isinstance(kid, str) else None)
                yield f"{algorithm} with a public key as {form}", forged_token(header, claims, secret)


def published_keys(body: bytes) -> list[Mapping[str, Any]]:
    """The members of a JWK set; none of what is no such set."""
    try:
        keys = json.loads(body)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [jwk for jwk in keys if isinstance(jwk, dict)] if isinstance(keys, list) else []


def altered(token: str) -> Iterator[tuple[str, str]]:
    """A good token of which one part is no longer the one that was signed."""
    parts = token.split(".")
    claims = part_of(token, 1)
    header = part_of(token, 0)
    if len(parts) != 3 or claims is None or header is None:
        return
    payload = _base64url(json.dumps({**claims, "doctor": True}).encode()).decode()
    yield "another payload", f"{parts[0]}.{payload}.{parts[2]}"
    yield "no signature", f"{parts[0]}.{parts[1]}."
    yield "half a signature", f"{parts[0]}.{parts[1]}.{parts[2][: len(parts[2]) // 2]}"
    yield "alg none", f"{_base64url(json.dumps({**header, 'alg': 'none'}).encode()).decode()}.{parts[1]}."


def _forms(jwk: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from gateway.auth.jwk import JwkRefused, jwk_members, parse_jwk

    try:
        key = parse_jwk(jwk)
    except JwkRefused:
        return
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    yield "PEM", pem
    yield "PEM without its last line end", pem.rstrip()
    yield "DER", key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if jwk["kty"] == "RSA":
        yield "PKCS #1", key.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
        yield "its modulus", str(jwk["n"]).encode()
    yield "JWK", json.dumps(jwk, separators=(",", ":")).encode()
    yield "JWK with blanks", json.dumps(jwk).encode()
    yield "JWK without further members", json.dumps(jwk_members(key), separators=(",", ":")).encode()


def _with_own_key(claims: Claims) -> str:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.hashes import SHA256

    from gateway.auth.jwk import jwk_members

    key = generate_private_key(public_exponent=65537, key_size=2048)
    signed = _signed_part({"alg": "RS256", "typ": "JWT", "jwk": jwk_members(key.public_key())}, claims)
    return (signed + b"." + _base64url(key.sign(signed, PKCS1v15(), SHA256()))).decode("ascii")


def _header(algorithm: str, kid: str | None) -> dict[str, object]:
    named = {} if kid is None else {"kid": kid}
    return {"alg": algorithm, "typ": "JWT", **named}


def _signed_part(header: Mapping[str, object], claims: Claims) -> bytes:
    return b".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
