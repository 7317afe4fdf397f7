"""Tokens of every shape, made without a JWT library: a library would refuse to write most of these."""

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from typing import Any

# The text that both servers sign with: 64 characters, long enough for HS512.
SIGNING_KEY = secrets.token_urlsafe(48)
OTHER_KEY = secrets.token_urlsafe(48)
NOW = int(time.time())
ALICE_ID = "1"

_DIGESTS = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
HEADER: dict[str, Any] = {"alg": "HS256", "typ": "JWT"}
MISSING = object()


def segment(content: bytes) -> bytes:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def unsegment(text: bytes | str) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))


def sign(header: bytes, payload: bytes, *, key: str = SIGNING_KEY, digest: str = "HS256") -> bytes:
    """A compact JWS over exactly these bytes."""
    signed = segment(header) + b"." + segment(payload)
    signature = hmac.new(key.encode(), signed, _DIGESTS[digest]).digest()
    return signed + b"." + segment(signature)


def claims(kind: str, /, **changes: Any) -> dict[str, Any]:
    """What the library issues for user 1; a change to MISSING removes the claim."""
    usual = {"token_type": kind, "exp": NOW + 3600, "iat": NOW - 10, "jti": uuid.uuid4().hex, "user_id": ALICE_ID}
    return {name: value for name, value in {**usual, **changes}.items() if value is not MISSING}


def token(kind: str, /, **changes: Any) -> bytes:
    """A properly signed token of this type with these claims changed."""
    return sign(json.dumps(HEADER).encode(), json.dumps(claims(kind, **changes)).encode())


def header_of(encoded: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(unsegment(encoded.split(".")[0]))
    return header


def claims_of(encoded: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(unsegment(encoded.split(".")[1]))
    return payload


def is_signed(encoded: str, *, key: str = SIGNING_KEY, digest: str = "HS256") -> bool:
    signed, _, signature = encoded.rpartition(".")
    expected = hmac.new(key.encode(), signed.encode(), _DIGESTS[digest]).digest()
    return hmac.compare_digest(unsegment(signature), expected)
