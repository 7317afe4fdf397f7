"""What a token says and what is wrong with it, in words. Whether it is good is the verifier's to decide, not ours."""

import base64
import datetime
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import UsageError

_MAX_TOKEN_BYTES: Final = 8 * 1024  # the verifier's own bound
_YEAR_10000: Final = 253_402_300_800
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenText:
    """A token taken apart, nothing of it verified."""

    encoded: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the gateway demands of a token's claims; None where it is not known or not demanded."""

    algorithm: str | None = None
    no_key: str | None = None  # why none of the gateway's keys can be the token's, as a sentence
    audience: Sequence[str] = ()
    issuer: str | None = None
    leeway: float = 0.0
    token_type: str | None = None
    user_id_claim: str = "user_id"
    token_type_claim: str = "token_type"
    jti_claim: str = "jti"


def parse_token(text: str) -> TokenText:
    """Take apart what an operator pastes: a token, perhaps with `Bearer` before it and white space around it.

    Raises `UsageError` that says which part is broken.
    """
    encoded = text.strip().removeprefix("Bearer").strip()
    if not encoded:
        raise UsageError("There is no token on standard input; pipe one in, paste it, or name a file.")
    parts = encoded.split(".")
    if len(parts) != 3:
        raise UsageError(f"This is not a token: a JWT has three parts separated by dots, and it has {len(parts)}.")
    return TokenText(encoded=encoded, header=_parse_part(parts[0], "header"), claims=_parse_part(parts[1], "payload"))


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _parse_part(part: str, name: str) -> Mapping[str, Any]:
    try:
        if "=" in part:  # RFC 7515 §2: without padding
            raise ValueError("padded")
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise UsageError(f"This is not a token: its {name} is not base64url. Was it cut when it was copied?") from None
    try:
        value = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise UsageError(f"This is not a token: its {name} is not JSON. Was it cut when it was copied?") from None
    if not isinstance(value, dict):
        raise UsageError(f"This is not a token: its {name} is JSON, but not an object.")
    return value


def misshapen(token: TokenText, expected: Expectation) -> list[str]:
    """Faults for which the gateway refuses a token before, or whatever, its signature is."""
    faults = []
    if len(token.encoded) > _MAX_TOKEN_BYTES:
        faults.append(f"It has {len(token.encoded)} bytes; the gateway reads {_MAX_TOKEN_BYTES}.")
    algorithm = token.header.get("alg")
    if expected.algorithm is not None and algorithm != expected.algorithm:
        faults.append(f"It is signed with {shown(algorithm)}; the gateway takes {expected.algorithm} only.")
    if expected.no_key is not None:
        faults.append(expected.no_key)
    if "crit" in token.header:
        faults.append("Its header has `crit`: it demands extensions that the gateway does not know.")
    if not isinstance(token.header.get("kid", ""), str):
        faults.append(f"Its header's kid is {shown(token.header['kid'])}, not a text.")
    faults += [
        f"Its claim {name} is {shown(token.claims[name])}, not a time in seconds."
        for name in ("iat", "nbf", "exp")
        if name in token.claims and _seconds(token.claims[name]) is None
    ]
    if (_seconds(token.claims.get("exp")) or 0) >= _YEAR_10000:
        faults.append("Its claim exp lies after the year 9999.")
    faults += [
        f"Its claim {name} is {shown(token.claims[name])}, not a text."
        for name in ("sub", expected.jti_claim)
        if name in token.claims and not isinstance(token.claims[name], str)
    ]
    return faults


def unacceptable(token: TokenText, expected: Expectation, now: float) -> list[str]:
    """Faults of a token that may well be signed properly."""
    return [*_untimely(token, expected.leeway, now), *_misdirected(token, expected), *_incomplete(token, expected)]


def _untimely(token: TokenText, leeway: float, now: float) -> list[str]:
    faults = []
    expires, issued, starts = (_seconds(token.claims.get(name)) for name in ("exp", "iat", "nbf"))
    if expires is not None and expires <= now - leeway:
        faults.append(f"It expired {_distance(now - expires)} ago, {moment(expires)}.")
    if issued is not None and issued > now + leeway:
        faults.append(
            f"It was issued {_distance(issued - now)} in the future: two clocks differ. Set them, or tokens.leeway."
        )
    if starts is not None and starts > now + leeway:
        faults.append(f"It is not valid before {moment(starts)}, in {_distance(starts - now)}.")
    return faults


def _misdirected(token: TokenText, expected: Expectation) -> list[str]:
    faults = []
    if expected.issuer is not None and token.claims.get("iss") != expected.issuer:
        faults.append(f"Its issuer is {shown(token.claims.get('iss'))}; the gateway wants {expected.issuer!r}.")
    audience = token.claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if expected.audience and not any(name in named for name in expected.audience):
        wanted = ", ".join(repr(name) for name in expected.audience)
        faults.append(f"Its audience is {shown(audience)}; the gateway wants one of {wanted}.")
    return faults


def _incomplete(token: TokenText, expected: Expectation) -> list[str]:
    faults = []
    if "exp" not in token.claims:
        faults.append("It has no claim exp, so it would never end.")
    faults += [
        f"It has no claim {name}."
        for name in (expected.jti_claim, expected.token_type_claim, expected.user_id_claim)
        if name not in token.claims
    ]
    actual = token.claims.get(expected.token_type_claim, expected.token_type)
    if expected.token_type is not None and actual != expected.token_type:
        faults.append(f"It is of type {shown(actual)} and used as {expected.token_type!r}.")
    return faults


def describe_times(token: TokenText, now: float) -> list[tuple[str, str]]:
    """The times of a token as (what, in words), for those it has."""
    rows = []
    for name, past, future in (
        ("iat", "issued", "issued"),
        ("nbf", "valid since", "valid"),
        ("exp", "expired", "expires"),
    ):
        at = _seconds(token.claims.get(name))
        if at is not None:
            is_past = at <= now
            words = f"{_distance(now - at)} ago" if is_past else f"in {_distance(at - now)}"
            rows.append((past if is_past else future, f"{words}, {moment(at)}"))
    return rows


def moment(seconds: float) -> str:
    """A time in UTC."""
    try:
        at = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return "outside the calendar"
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _distance(seconds: float) -> str:
    """A length of time in its largest whole unit."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def _seconds(value: object) -> float | None:
    if not isinstance(value, int | float):  # true counts as 1, as in the verifier
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


def shown(value: object) -> str:
    """A claim's value as JSON in ASCII, so that it can do nothing to a terminal; missing is said so."""
    return "missing" if value is None else json.dumps(value)
