"""A reply, reduced to what the contract fixes, so that two servers' replies can be compared by `==`."""

import dataclasses
import json
import re
import time
from collections.abc import Callable
from typing import Any, Final

from tests.conformance.case import ISSUED, NO_BODY, NOT_JSON, REQUEST_ID, Expected
from tests.conformance.forging import claims_of, header_of, is_signed
from tests.conformance.wire import Reply, exchange

# Claims that only the gateway issues; `test_issued_tokens_carry_a_session_id` sees that it does.
GATEWAY_CLAIMS: Final = frozenset({"sid"})
_JTI: Final = re.compile(r"[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class IssuedToken:
    """What a client can tell of an issued token; `lifetime` in seconds, to the nearest 5.

    exp counts from the refresh token's clock reading and iat from the access token's own, so one second is missing now
    and then.
    """

    header: tuple[tuple[str, Any], ...]
    claims: tuple[tuple[str, Any], ...]
    lifetime: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observation:
    """What was seen: `answer` is comparable with a row's `Expected`, whose `allow` is left to `shows`."""

    answer: Expected
    allow: str | None
    content_type: str | None
    tokens: tuple[tuple[str, IssuedToken], ...]

    def shows(self, expected: Expected) -> bool:
        """Whether this is what a row asks for; rows without `allow` leave that field open."""
        seen = self.answer if expected.allow is None else dataclasses.replace(self.answer, allow=self.allow)
        return seen == expected


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a variant's tokens are checked and what they call their id."""

    is_signed: Callable[[str], bool] = is_signed
    jti: str = "jti"


DEFAULT_DIALECT: Final = Dialect()


def issued_token(encoded: str, dialect: Dialect) -> IssuedToken:
    """Fails on a token that is not signed with the shared key, or whose id or times are none."""
    assert dialect.is_signed(encoded), encoded
    claims = claims_of(encoded)
    assert _JTI.fullmatch(claims[dialect.jti]), claims
    assert abs(claims["iat"] - time.time()) < 10, claims
    assert type(claims["exp"]) is type(claims["iat"]) is int, claims
    varying = {"exp": "<exp>", "iat": "<iat>", dialect.jti: "<jti>"}
    shown = tuple((name, varying.get(name, value)) for name, value in claims.items() if name not in GATEWAY_CLAIMS)
    lifetime = round((claims["exp"] - claims["iat"]) / 5) * 5
    return IssuedToken(header=tuple(header_of(encoded).items()), claims=shown, lifetime=lifetime)


def _read_body(reply: Reply) -> Any:
    if not reply.body:
        return NO_BODY
    if not (reply.field("content-type") or "").startswith("application/json"):
        return NOT_JSON
    body = json.loads(reply.body)
    if isinstance(body, dict) and "request_id" in body:
        body["request_id"] = REQUEST_ID
    return body


def observe(reply: Reply, *, target: bytes, dialect: Dialect = DEFAULT_DIALECT) -> Observation:
    body = _read_body(reply)
    is_token_endpoint = target.startswith(b"/api/token")
    tokens = {}
    if is_token_endpoint and reply.status == 200 and isinstance(body, dict):
        tokens = {name: issued_token(body[name], dialect) for name in ("access", "refresh") if name in body}
        body = {name: ISSUED if name in tokens else value for name, value in body.items()}
    if not is_token_endpoint and reply.status == 200:
        body = {"user_id": _seen_user_id(body)}
    return Observation(
        answer=Expected(status=reply.status, body=body, challenge=reply.field("www-authenticate")),
        allow=reply.field("allow") if is_token_endpoint else None,
        content_type=reply.field("content-type"),
        tokens=tuple(tokens.items()),
    )


def ask(port: int, request: bytes, dialect: Dialect = DEFAULT_DIALECT) -> Observation:
    """Send a request and observe the answer."""
    return observe(exchange(port, request), target=request.split(b" ", 2)[1], dialect=dialect)


def _seen_user_id(body: Any) -> str | None:
    """Whom the view saw: Django says it itself, the echoing backend shows the X-User-Id fields it got."""
    if "fields" not in body:
        user_id: str | None = body["user_id"]
        return user_id
    values = [value for name, value in body["fields"] if re.sub("[^a-z0-9]", "-", name) == "x-user-id"]
    return ", ".join(values) if values else None
