"""Tokens of every shape at the four places that take one: refresh, verify, blacklist, and a protected view."""

import dataclasses
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.conformance.case import (
    ACCEPTED,
    ACCESS,
    CRASH,
    NO_ACTIVE_ACCOUNT,
    NO_USER_CLAIM,
    USER_INACTIVE,
    USER_NOT_FOUND,
    Case,
    Expected,
    endpoint_fault,
    hello,
    view_fault,
)
from tests.conformance.forging import HEADER, MISSING, NOW, OTHER_KEY, claims, segment, sign, token
from tests.conformance.wire import post_json, request

INVALID: Final = "Token is invalid"
EXPIRED: Final = "Token is expired"
WRONG_TYPE: Final = "Token has wrong type"

Forge = Callable[[str], bytes]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A shape of token (made for the type that a place asks for) and the library's answers at the four places."""

    name: str
    forge: Forge
    refresh: Expected
    verify: Expected
    blacklist: Expected
    view: Expected


def _good(name: str, forge: Forge, **others: Expected) -> Row:
    answers: dict[str, Expected] = {
        "refresh": ACCESS,
        "verify": ACCEPTED,
        "blacklist": ACCEPTED,
        "view": hello("1"),
        **others,
    }
    return Row(name=name, forge=forge, **answers)


def _bad(name: str, message: str, forge: Forge, **others: Expected) -> Row:
    fault = endpoint_fault(message)
    answers: dict[str, Expected] = {
        "refresh": fault,
        "verify": fault,
        "blacklist": fault,
        "view": view_fault(message),
        **others,
    }
    return Row(name=name, forge=forge, **answers)


def _crash(name: str, forge: Forge, **others: Expected) -> Row:
    answers: dict[str, Expected] = {"refresh": CRASH, "verify": CRASH, "blacklist": CRASH, "view": CRASH, **others}
    return Row(name=name, forge=forge, **answers)


def _with(**changes: Any) -> Forge:
    """A properly signed token with these claims changed."""
    return lambda token_type: token(token_type, **changes)


def _with_header(*, digest: str = "HS256", **changes: Any) -> Forge:
    """A token whose header is changed, signed by HMAC all the same."""
    header = {name: value for name, value in {**HEADER, **changes}.items() if value is not MISSING}
    return lambda token_type: sign(json.dumps(header).encode(), json.dumps(claims(token_type)).encode(), digest=digest)


def _with_payload(template: bytes) -> Forge:
    """A token whose payload is this text, `%(type)s` replaced by the type."""
    return lambda token_type: sign(json.dumps(HEADER).encode(), template.replace(b"%(type)s", token_type.encode()))


def _rewritten(change: Callable[[bytes], bytes]) -> Forge:
    """A good token whose encoded form is changed afterwards."""
    return lambda token_type: change(token(token_type))


def _raw_claim(name: str, text: bytes) -> Forge:
    """A claim whose value is this JSON text, which `json.dumps` would not write."""

    def forge(token_type: str) -> bytes:
        rest = json.dumps(claims(token_type, **{name: MISSING})).encode()
        return sign(json.dumps(HEADER).encode(), rest[:-1] + b', "' + name.encode() + b'": ' + text + b"}")

    return forge


def _unsigned(alg: str) -> Forge:
    header = segment(json.dumps({"alg": alg, "typ": "JWT"}).encode())
    return lambda token_type: header + b"." + segment(json.dumps(claims(token_type)).encode()) + b"."


def _flip_last(encoded: bytes) -> bytes:
    """Change the first character of the signature: the last one has bits that count for nothing."""
    head, _, signature = encoded.rpartition(b".")
    return head + b"." + (b"B" if signature[:1] == b"A" else b"A") + signature[1:]


def _swap_signature(encoded: bytes) -> bytes:
    return encoded.rpartition(b".")[0] + b"." + token("access").rpartition(b".")[2]


def _noncanonical(encoded: bytes) -> bytes:
    """Set a bit of the signature's last character that no octet uses (RFC 4648 §3.5)."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return encoded[:-1] + bytes([alphabet[alphabet.index(encoded[-1:]) ^ 1]])


def _other_key(token_type: str) -> bytes:
    return sign(json.dumps(HEADER).encode(), json.dumps(claims(token_type)).encode(), key=OTHER_KEY)


def _structure() -> Iterator[Row]:
    yield _good("good", _with())
    yield _bad("word", INVALID, lambda _: b"x")
    yield _bad("two-segments", INVALID, _rewritten(lambda t: t.rpartition(b".")[0]))
    yield _bad("four-segments", INVALID, _rewritten(lambda t: t + b".e30"))
    yield _bad("five-segments", INVALID, _rewritten(lambda t: t + b".a.b"))
    yield _bad("dots", INVALID, lambda _: b"..")
    yield _bad("empty-header", INVALID, _rewritten(lambda t: t[t.index(b".") :]))
    yield _bad("empty-payload", INVALID, _rewritten(lambda t: b"..".join(t.split(b".")[::2])))
    yield _bad("cut", INVALID, _rewritten(lambda t: t[:-10]))
    yield _bad("quoted", INVALID, _rewritten(lambda t: b'"' + t + b'"'))
    yield _bad("percent-encoded", INVALID, _rewritten(lambda t: t.replace(b".", b"%2E")))
    yield _bad("standard-base64", INVALID, _rewritten(lambda t: t.replace(b".", b".+/", 1)))
    yield _good("padded-signature", _rewritten(lambda t: t + b"="))
    yield _bad("noncanonical-signature", INVALID, _rewritten(_noncanonical))
    yield _bad("payload-list", INVALID, _with_payload(b"[]"))
    yield _bad("payload-string", INVALID, _with_payload(b'"a"'))
    yield _bad("payload-null", INVALID, _with_payload(b"null"))
    yield _bad("payload-not-json", INVALID, _with_payload(b"{"))
    yield _bad("payload-not-utf8", INVALID, _with_payload(b'{"a": "\xff"}'))
    yield _bad("payload-deep", INVALID, _with_payload(b"[" * 2_000))
    yield _bad("header-list", INVALID, lambda _: sign(b"[]", b"{}"))
    yield _bad("header-not-json", INVALID, lambda _: sign(b"{", b"{}"))


def _algorithms() -> Iterator[Row]:
    for alg in ("none", "None", "NoNe", "NONE", ""):
        yield _bad(f"alg-{alg or 'empty'}-unsigned", INVALID, _unsigned(alg))
    for alg in ("none", "hs256", "HS384", "HS512", "RS256", "ES256", "EdDSA", "HS256 ", "dir"):
        yield _bad(f"alg-{alg.strip() or alg}-with-hs256{'-blank' * alg.endswith(' ')}", INVALID, _with_header(alg=alg))
    yield _bad("alg-hs384", INVALID, _with_header(alg="HS384", digest="HS384"))
    yield _bad("alg-hs512", INVALID, _with_header(alg="HS512", digest="HS512"))
    yield _bad("alg-missing", INVALID, _with_header(alg=MISSING))
    yield _bad("alg-null", INVALID, _with_header(alg=None))
    yield _bad("alg-list", INVALID, _with_header(alg=["HS256"]))
    yield _bad("other-key", INVALID, _other_key)
    yield _bad("signature-removed", INVALID, _rewritten(lambda t: t.rpartition(b".")[0] + b"."))
    yield _bad("signature-changed", INVALID, _rewritten(_flip_last))
    yield _bad("signature-of-another", INVALID, _rewritten(_swap_signature))
    yield _bad("crit", INVALID, _with_header(crit=["exp"], exp=1))
    yield _bad("crit-empty", INVALID, _with_header(crit=[]))
    yield _bad("crit-b64", INVALID, _with_header(crit=["b64"], b64=False))
    yield _bad("kid-int", INVALID, _with_header(kid=1))
    yield _good("kid-string", _with_header(kid="../../dev/null"))
    yield _good("typ-odd", _with_header(typ="at+jwt"))
    yield _good("typ-missing", _with_header(typ=MISSING))
    yield _good("jku", _with_header(jku="http://127.0.0.1:1/keys", x5u="http://127.0.0.1:1/cert"))
    yield _good("jwk", _with_header(jwk={"kty": "oct", "k": "AA"}))
    yield _good("zip", _with_header(zip="DEF"))


def _times() -> Iterator[Row]:
    yield _bad("exp-past", EXPIRED, _with(exp=NOW - 1))
    yield _bad("exp-zero", EXPIRED, _with(exp=0))
    yield _bad("exp-negative", EXPIRED, _with(exp=-1))
    yield _bad("exp-true", EXPIRED, _with(exp=True))
    yield _good("exp-fraction", _with(exp=NOW + 3600.5))
    yield _bad("exp-missing", "Token has no 'exp' claim", _with(exp=MISSING))
    yield _bad("exp-null", INVALID, _with(exp=None))
    yield _bad("exp-list", INVALID, _with(exp=[NOW + 3600]))
    yield _bad("exp-word", INVALID, _with(exp="tomorrow"))
    yield _crash("exp-digits", _with(exp=str(NOW + 3600)))
    yield _crash("exp-past-9999", _with(exp=10**15))
    yield _crash("exp-400-digits", _with(exp=10**400))
    yield _bad("exp-nan", INVALID, _raw_claim("exp", b"NaN"))
    yield _bad("exp-infinity", INVALID, _raw_claim("exp", b"Infinity"))
    yield _bad("exp-overflowing-float", INVALID, _raw_claim("exp", b"1e400"))
    yield _bad("iat-future", INVALID, _with(iat=NOW + 86400))
    yield _good("iat-missing", _with(iat=MISSING))
    yield _good("iat-zero", _with(iat=0))
    yield _good("iat-fraction", _with(iat=NOW - 10.5))
    yield _good("iat-digits", _with(iat=str(NOW - 10)))
    yield _bad("iat-null", INVALID, _with(iat=None))
    yield _bad("iat-word", INVALID, _with(iat="now"))
    yield _bad("iat-nan", INVALID, _raw_claim("iat", b"NaN"))
    yield _bad("iat-infinity", INVALID, _raw_claim("iat", b"Infinity"))
    yield _bad("nbf-future", INVALID, _with(nbf=NOW + 86400))
    yield _good("nbf-past", _with(nbf=NOW - 10))
    yield _bad("nbf-word", INVALID, _with(nbf="now"))
    yield _bad("nbf-null", INVALID, _with(nbf=None))


def _names() -> Iterator[Row]:
    """jti, type, audience and the rest."""
    no_type = {"verify": ACCEPTED}
    yield _bad("jti-missing", "Token has no id", _with(jti=MISSING), refresh=CRASH, blacklist=CRASH)
    yield _bad("jti-int", INVALID, _with(jti=1))
    yield _bad("jti-null", INVALID, _with(jti=None))
    yield _bad("jti-list", INVALID, _with(jti=["a"]))
    yield _good("jti-uuid", lambda kind: token(kind, jti=str(uuid.uuid4())))
    yield _bad("sub-int", INVALID, _with(sub=1))
    yield _good("sub-string", _with(sub="somebody"))
    yield _good("aud-string", _with(aud="other"))
    yield _good("aud-list", _with(aud=["a", "b"]))
    yield _good("iss", _with(iss="https://issuer.example"))
    yield _good("extra-claims", _with(roles=["editor"], name="Alice", nested={"a": [1, None]}))
    yield _bad("type-missing", "Token has no type", _with(token_type=MISSING), **no_type)
    yield _bad("type-null", WRONG_TYPE, _with(token_type=None), **no_type)
    yield _bad("type-unknown", WRONG_TYPE, _with(token_type="id"), **no_type)
    yield _bad("type-list", WRONG_TYPE, _with(token_type=["access", "refresh"]), **no_type)
    yield _bad("type-sliding", WRONG_TYPE, _with(token_type="sliding"), **no_type)
    swapped = {"access": "refresh", "refresh": "access"}
    yield _bad("type-other", WRONG_TYPE, lambda t: token(swapped[t]), **no_type)
    yield _bad("expired-and-other-type", EXPIRED, lambda t: token(swapped[t], exp=NOW - 1))
    yield _good(
        "claims-reordered",
        lambda t: sign(b'{"typ": "JWT", "alg": "HS256"}', json.dumps(dict(reversed(claims(t).items()))).encode()),
    )
    yield _good("claims-doubled", _doubled)


def _doubled(token_type: str) -> bytes:
    """Names that occur twice: the last one wins."""
    first = b'{"token_type": "x", "exp": 0, "jti": "x", "user_id": "2", '
    return sign(json.dumps(HEADER).encode(), first + json.dumps(claims(token_type)).encode()[1:])


def _users() -> Iterator[Row]:
    yield _good("user-int", _with(user_id=1))
    yield _good("user-other", _with(user_id="2"), view=hello("2"))
    yield _good("user-inactive", _with(user_id="3"), refresh=NO_ACTIVE_ACCOUNT, view=USER_INACTIVE)
    yield _good("user-deleted", _with(user_id="4"), refresh=CRASH, view=USER_NOT_FOUND)
    yield _good("user-unknown", _with(user_id="987654"), refresh=CRASH, view=USER_NOT_FOUND)
    yield _good("user-negative", _with(user_id=-1), refresh=CRASH, view=USER_NOT_FOUND)
    yield _good("user-missing", _with(user_id=MISSING), view=NO_USER_CLAIM)
    yield _good("user-null", _with(user_id=None), view=USER_NOT_FOUND)
    yield _good("user-zero", _with(user_id=0), view=USER_NOT_FOUND)
    yield _good("user-empty", _with(user_id=""), blacklist=CRASH, view=CRASH)
    yield _good("user-word", _with(user_id="abc"), refresh=CRASH, blacklist=CRASH, view=CRASH)
    yield _good("user-list", _with(user_id=["1"]), refresh=CRASH, blacklist=CRASH, view=CRASH)
    yield _good("user-object", _with(user_id={"id": 1}), refresh=CRASH, blacklist=CRASH, view=CRASH)
    yield _good("user-leading-zero", _with(user_id="01"))
    yield _good("user-float", _with(user_id=1.0))
    yield _good("user-true", _with(user_id=True))
    yield _good("user-blank-before", _with(user_id=" 1"))
    yield _good("user-line-break", _with(user_id="1\r\nX-Admin: 1"), refresh=CRASH, blacklist=CRASH, view=CRASH)
    yield _good("user-fullwidth-digit", _with(user_id="１"))
    yield _good("user-huge", _with(user_id=10**30), refresh=CRASH, view=USER_NOT_FOUND)


ROWS: Final = (*_structure(), *_algorithms(), *_times(), *_names(), *_users())


def _cases() -> Iterator[Case]:
    for row in ROWS:
        at = {
            "refresh": post_json(b"/api/token/refresh/", {"refresh": row.forge("refresh").decode("latin-1")}),
            "verify": post_json(b"/api/token/verify/", {"token": row.forge("access").decode("latin-1")}),
            "blacklist": post_json(b"/api/token/blacklist/", {"refresh": row.forge("refresh").decode("latin-1")}),
            "view": request(b"GET", b"/api/hello/", b"Authorization: Bearer " + row.forge("access")),
        }
        for place, sent in at.items():
            yield Case(id=f"{place}-{row.name}", request=sent, expected=getattr(row, place))


CASES: Final = tuple(_cases())
