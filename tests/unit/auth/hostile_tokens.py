"""Tokens for the verifier, good and hostile, most of them well signed. What they should be answered, SimpleJWT says."""

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.auth.keys import generate_key
from gateway.auth.verifier import MAX_TOKEN_BYTES

NOW = 1_800_000_000.5
KEY = generate_key("HS256")
OTHER_KEY = generate_key("HS256").encode()
CLAIMS: dict[str, Any] = {
    "token_type": "access",
    "exp": int(NOW) + 300,
    "iat": int(NOW),
    "jti": "0123456789abcdef0123456789abcdef",
    "user_id": "1",
}
HEADER = {"alg": "HS256", "typ": "JWT"}


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def raw(header: bytes, payload: bytes, key: bytes = KEY.encode(), hash_name: str = "SHA256") -> bytes:
    """A token with a good signature over whatever is given."""
    signed = b64(header) + b"." + b64(payload)
    algorithm = jwt.algorithms.HMACAlgorithm(getattr(jwt.algorithms.HMACAlgorithm, hash_name))
    return signed + b"." + b64(algorithm.sign(signed, key))


def token(change: Mapping[str, Any] | None = None, without: str = "", header: Mapping[str, Any] = HEADER) -> bytes:
    claims = {name: value for name, value in {**CLAIMS, **(change or {})}.items() if name != without}
    return raw(json.dumps(header).encode(), json.dumps(claims).encode())


def with_text(claims: str) -> bytes:
    """`claims` is the JSON text of further members, for what json.dumps does not write."""
    return raw(json.dumps(HEADER).encode(), (json.dumps(CLAIMS)[:-1] + "," + claims + "}").encode())


def signed_text(payload: bytes) -> bytes:
    return raw(json.dumps(HEADER).encode(), payload)


def without_claim_and_signature() -> bytes:
    return token().rpartition(b".")[0] + b"."


def other_spelling() -> bytes:
    """The same signature bytes with other unused bits: 32 bytes are 43 characters, two bits of the last are unused."""
    good = token()
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return good[:-1] + alphabet[alphabet.index(good[-1]) + 1 :][:1]


def with_public_key_as_secret() -> bytes:
    public = rsa.generate_private_key(65537, 2048).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return raw(json.dumps(HEADER).encode(), json.dumps(CLAIMS).encode(), key=pem)


def damaged(index: int) -> bytes:
    segments = token().split(b".")
    segments[index] = (b"B" if segments[index][:1] != b"B" else b"C") + segments[index][1:]
    return b".".join(segments)


def unsigned(header: Mapping[str, Any]) -> bytes:
    return b64(json.dumps(header).encode()) + b"." + b64(json.dumps(CLAIMS).encode()) + b"."


HOSTILE: dict[str, bytes] = {
    # Structure.
    "empty": b"",
    "one word": b"null",
    "two segments": token().rpartition(b".")[0],
    "four segments": token() + b".e30",
    "empty segments": b"..",
    "no header": b"." + token().partition(b".")[2],
    "no payload": b64(json.dumps(HEADER).encode()) + b".." + b"AAAA",
    "signature stripped": without_claim_and_signature(),
    "signature cut": token()[:-4],
    "one character too many": token() + b"A",
    "blank inside": token().replace(b".", b" ."),
    "line end after": token() + b"\n",
    "nul after": token() + b"\0",
    "quotes": b'"' + token() + b'"',
    "bytes over 127": token() + b"\xff",
    "latin": "é.é.é".encode("latin-1"),
    "standard alphabet": b"a+b/.a+b/.a+b/",
    "junk inside the signature": token()[:-10] + b"!!!!" + token()[-10:],
    "signature in another spelling": other_spelling(),
    "header damaged": damaged(0),
    "payload damaged": damaged(1),
    "signature damaged": damaged(2),
    "jwe": b"e30.e30.e30.e30.e30",
    "40,000 dots": b"." * 40_000,
    # Header.
    "alg none": unsigned({"alg": "none"}),
    "alg NoNe": unsigned({"alg": "NoNe"}),
    "alg none, good hmac": token(header={"alg": "none", "typ": "JWT"}),
    "alg lower case": token(header={"alg": "hs256"}),
    "alg missing": token(header={"typ": "JWT"}),
    "alg empty": token(header={"alg": ""}),
    "alg null": token(header={"alg": None}),
    "alg list": token(header={"alg": ["HS256"]}),
    "alg object": token(header={"alg": {}}),
    "alg HS384": raw(b'{"alg":"HS384"}', json.dumps(CLAIMS).encode(), hash_name="SHA384"),
    "alg RS256": token(header={"alg": "RS256"}),
    "alg twice, the last ours": raw(b'{"alg":"none","alg":"HS256"}', json.dumps(CLAIMS).encode()),
    "alg twice, the first ours": raw(b'{"alg":"HS256","alg":"none"}', json.dumps(CLAIMS).encode()),
    "crit": token(header={**HEADER, "crit": ["exp"], "exp": 1}),
    "crit empty": token(header={**HEADER, "crit": []}),
    "crit null": token(header={**HEADER, "crit": None}),
    "b64 false": token(header={**HEADER, "b64": False}),
    "b64 false and critical": token(header={**HEADER, "b64": False, "crit": ["b64"]}),
    "b64 true": token(header={**HEADER, "b64": True}),
    "kid string": token(header={**HEADER, "kid": "../../etc/passwd"}),
    "kid number": token(header={**HEADER, "kid": 1}),
    "kid null": token(header={**HEADER, "kid": None}),
    "typ odd": token(header={"alg": "HS256", "typ": 5}),
    "no typ": token(header={"alg": "HS256"}),
    "zip, jku, jwk, x5u": token(header={**HEADER, "zip": "DEF", "jku": "http://x/", "jwk": {}, "x5u": 1, "x5c": []}),
    "header list": raw(b'["HS256"]', json.dumps(CLAIMS).encode()),
    "header no json": raw(b"HS256", json.dumps(CLAIMS).encode()),
    "header nested deep": raw(b"[" * 3000, b"{}"),
    "header invalid utf-8": raw(b'{"alg":"HS256","x":"\xff"}', json.dumps(CLAIMS).encode()),
    # Key.
    "other key": raw(json.dumps(HEADER).encode(), json.dumps(CLAIMS).encode(), key=OTHER_KEY),
    "a public key as secret": with_public_key_as_secret(),
    # Payload.
    "good": token(),
    "payload list": signed_text(b"[1]"),
    "payload text": signed_text(b'"a"'),
    "payload null": signed_text(b"null"),
    "payload no json": signed_text(b"token_type=access"),
    "payload cut": signed_text(json.dumps(CLAIMS).encode()[:-1]),
    "payload trailing": signed_text(json.dumps(CLAIMS).encode() + b"{}"),
    "payload nested deep": signed_text(b'{"a":' * 1500),
    "payload invalid utf-8": with_text('"a":"x"').replace(b"x", b"x"),
    "names twice": with_text('"user_id":"2"'),
    "4,000 digits": with_text('"n":' + "9" * 4000),
    "5,000 digits": with_text('"n":' + "9" * 5000),
    # Times.
    "expired": token({"exp": NOW - 100}),
    "expires this second": token({"exp": int(NOW)}),
    "expires next second": token({"exp": int(NOW) + 1}),
    "exp fractional, cut to now": token({"exp": int(NOW) + 0.9}),
    "exp fractional": token({"exp": int(NOW) + 1.9}),
    "exp zero": token({"exp": 0}),
    "exp negative": token({"exp": -(10**12)}),
    "exp true": token({"exp": True}),
    "exp false": token({"exp": False}),
    "exp null": token({"exp": None}),
    "exp list": token({"exp": [NOW + 100]}),
    "exp object": token({"exp": {}}),
    "exp word": token({"exp": "never"}),
    "exp NaN": token({"exp": math.nan}),
    "exp Infinity": token({"exp": math.inf}),
    "exp -Infinity": token({"exp": -math.inf}),
    "exp 1e400": with_text('"exp":1e400'),
    "exp last second of 9999": token({"exp": 253_402_300_799}),
    "no exp": token(without="exp"),
    "iat one second ahead": token({"iat": int(NOW) + 1}),
    "iat fraction of a second ahead": token({"iat": NOW + 0.4}),
    "iat past": token({"iat": -5}),
    "iat true": token({"iat": True}),
    "iat null": token({"iat": None}),
    "iat word": token({"iat": "now"}),
    "iat list": token({"iat": []}),
    "iat 400 digits": token({"iat": 10**400}),
    "no iat": token(without="iat"),
    "nbf ahead": token({"nbf": int(NOW) + 1}),
    "nbf now": token({"nbf": int(NOW)}),
    "nbf fraction": token({"nbf": NOW + 0.4}),
    "nbf true": token({"nbf": True}),
    "nbf word": token({"nbf": "x"}),
    "nbf null": token({"nbf": None}),
    "nbf NaN": token({"nbf": math.nan}),
    "nbf 400 digits": token({"nbf": 10**400}),
    "expired and iat ahead": token({"exp": 5, "iat": NOW + 100}),
    "expired and nbf ahead": token({"exp": 5, "nbf": NOW + 100}),
    "expired and sub a number": token({"exp": 5, "sub": 1}),
    "expired and jti a number": token({"exp": 5, "jti": 1}),
    "expired of the wrong type": token({"exp": 5, "token_type": "refresh"}),
    # Parties and ids.
    "sub number": token({"sub": 1}),
    "sub null": token({"sub": None}),
    "sub string": token({"sub": "x"}),
    "jti number": token({"jti": 1}),
    "jti null": token({"jti": None}),
    "jti empty": token({"jti": ""}),
    "no jti": token(without="jti"),
    "aud unasked": token({"aud": "x"}),
    "aud odd and unasked": token({"aud": 7}),
    "iss odd and unasked": token({"iss": 7}),
    # Type.
    "refresh": token({"token_type": "refresh"}),
    "sliding": token({"token_type": "sliding"}),
    "type null": token({"token_type": None}),
    "type list": token({"token_type": ["access"]}),
    "type upper case": token({"token_type": "ACCESS"}),
    "no type": token(without="token_type"),
    "no type, no jti": raw(json.dumps(HEADER).encode(), json.dumps({"exp": NOW + 5}).encode()),
    "nothing": signed_text(b"{}"),
}

INVALID = "Token is invalid"
# Where we answer otherwise than the library, and why: its answer and ours.
DEVIATIONS: dict[str, tuple[str, str]] = {
    # Checklist 29: one spelling of a token.
    "padded": ("ok", INVALID),
    "over 8 KiB": ("ok", INVALID),
    # Checklist 33: no critical extension at all.
    "crit b64": ("ok", INVALID),
    "b64 odd": ("ok", INVALID),
    # Checklist 36, RFC 8259 §8.1: UTF-8 without a mark, JSON's numbers.
    "utf-16 payload": ("ok", INVALID),
    "utf-32 payload": ("ok", INVALID),
    "utf-16 header": ("ok", INVALID),
    "byte order mark": ("ok", INVALID),
    "NaN claim": ("ok", INVALID),
    "1e400 claim": ("ok", INVALID),
    # Would fail later: stores and encoders cannot take them.
    "surrogate claim": ("ok", INVALID),
    "surrogate name": ("ok", INVALID),
    "surrogate in jti": ("ok", INVALID),
    "nested 500 levels": ("ok", INVALID),
    # Contract §13.
    "exp numeric text": ("500 TypeError", INVALID),
    "exp expired numeric text": ("Token is expired", INVALID),
    "exp year 10000": ("500 ValueError", INVALID),
    "exp 400 digits": ("500 OverflowError", INVALID),
    "iat numeric text": ("ok", INVALID),
    "nbf numeric text": ("ok", INVALID),
}
DEVIATING: dict[str, bytes] = {
    "padded": token() + b"=",
    "over 8 KiB": token({"x": "x" * MAX_TOKEN_BYTES}),
    "crit b64": token(header={**HEADER, "b64": True, "crit": ["b64"]}),
    "b64 odd": token(header={**HEADER, "b64": "no"}),
    "utf-16 payload": signed_text(json.dumps(CLAIMS).encode("utf-16")),
    "utf-32 payload": signed_text(json.dumps(CLAIMS).encode("utf-32-le")),
    "utf-16 header": raw(json.dumps(HEADER).encode("utf-16-le"), json.dumps(CLAIMS).encode()),
    "byte order mark": signed_text(b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode()),
    "NaN claim": token({"x": math.nan}),
    "1e400 claim": with_text('"x":[1e400]'),
    "surrogate claim": with_text(r'"x":["\ud800"]'),
    "surrogate name": with_text(r'"\uDFFF":1'),
    "surrogate in jti": token({"jti": "\ud800"}),
    "nested 500 levels": with_text('"x":' + "[" * 500 + "]" * 500),
    "exp numeric text": token({"exp": str(int(NOW) + 100)}),
    "exp expired numeric text": token({"exp": "5"}),
    "exp year 10000": token({"exp": 253_402_300_800}),
    "exp 400 digits": token({"exp": 10**400}),
    "iat numeric text": token({"iat": "5"}),
    "nbf numeric text": token({"nbf": "5"}),
}
