"""JSON answers with the fields that every one of them carries, and the one way from an error to an answer."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import hdrs, web

from gateway.errors import ANSWERS, GatewayError, Reason, Refused, StoreUnavailable, throttled_detail

LOGGER: Final = logging.getLogger("gateway.endpoints")

FIXED_FIELDS: Final[Mapping[str, str]] = {
    # Django's and DRF's set (contract §7).
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Not Django's: bodies hold tokens (RFC 6749 §5.1).
    "Cache-Control": "no-store",
}

# JSON text is also JavaScript only if these two are escaped; DRF does the same.
_LINE_SEPARATORS: Final = {0x2028: "\\u2028", 0x2029: "\\u2029"}


class RequestError(GatewayError):
    """A request is refused in words of DRF that no `Reason` stands for: `body` is the whole JSON answer.

    `close` is for answers given before the body was read to its end.
    """

    def __init__(self, status: int, body: Mapping[str, Any], *, close: bool = False) -> None:
        super().__init__(f"answered {status}")
        self.status = status
        self.body = body
        self.close = close


def json_answer(status: int, body: Mapping[str, Any] | Sequence[Any]) -> web.Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_LINE_SEPARATORS)
    # What came from the request may hold a lone surrogate; its backslash form is JSON's own escape for it.
    payload = text.encode("utf-8", "backslashreplace")
    # `headers` and not `content_type`, which would make aiohttp parse the constant again.
    return web.Response(status=status, body=payload, headers={hdrs.CONTENT_TYPE: "application/json"})


def error_answer(error: GatewayError, *, challenge: str) -> web.Response:
    """What a client sees of `error`; `challenge` is the value of WWW-Authenticate."""
    match error:
        case RequestError():
            answer = json_answer(error.status, error.body)
            if error.close:
                answer.force_close()
            return answer
        case Refused():
            return _refusal(error.reason, challenge, error.retry_after)
        case StoreUnavailable():
            LOGGER.error("store_unavailable error=%s", error)
            return _refusal(Reason.STORE_UNAVAILABLE, challenge)
        case _:
            raise error


def _refusal(reason: Reason, challenge: str, retry_after: int = 0) -> web.Response:
    known = ANSWERS[reason]
    body = {"detail": throttled_detail(retry_after) if retry_after else known.message or known.detail}
    if known.code is not None:
        body["code"] = known.code
    answer = json_answer(known.status, body)
    if known.challenge:
        answer.headers[hdrs.WWW_AUTHENTICATE] = challenge
    if retry_after or known.status == 503:
        answer.headers[hdrs.RETRY_AFTER] = str(retry_after or 1)
    if known.close:
        answer.force_close()
    return answer


async def add_fixed_fields(_request: web.Request, response: web.StreamResponse) -> None:
    """`on_response_prepare`: runs after aiohttp has added its own fields, so `Server` with its versions can go."""
    for name, value in FIXED_FIELDS.items():
        response.headers.setdefault(name, value)  # the public keys may be kept, and say so themselves
    response.headers.popall(hdrs.SERVER, None)
