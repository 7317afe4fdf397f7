"""The gateway's own answers as bytes: one table from `Reason` to what a client sees, rendered once at start."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from gateway.errors import ANSWERS, Answer, Reason, throttled_detail

VERSION_LINES: Final = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
"""What a 426 says beside its status (RFC 6455 §4.4, RFC 9110 §15.5.22)."""

_FIELDS: Final = b"Content-Type: application/json\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"


def challenge(scheme: str, realm: str) -> str:
    """The WWW-Authenticate value that SimpleJWT sends: the first accepted scheme and the realm."""
    return f'{scheme} realm="{realm}"'


def body_of(answer: Answer) -> dict[str, Any]:
    """The JSON body of a refusal on the data plane, in SimpleJWT's order of keys."""
    body: dict[str, Any] = {"detail": answer.detail}
    if answer.code is not None:
        body["code"] = answer.code
    if answer.message is not None:
        body["messages"] = [{"token_class": "AccessToken", "token_type": "access", "message": answer.message}]
    return body


def to_json(body: Mapping[str, Any]) -> bytes:
    """Compact, as DRF writes it."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class _Canned:
    status: int
    head: bytes  # status line and the fields that never change
    body: bytes  # without its closing brace if the request id goes in
    shows_request_id: bool
    close: bool


class Replies:
    """Renders refusals. `challenge` is the WWW-Authenticate value of 401s."""

    __slots__ = ("_canned",)

    def __init__(self, *, challenge: str) -> None:
        self._canned = {reason: _can(reason, answer, challenge) for reason, answer in ANSWERS.items()}

    def closes(self, reason: Reason) -> bool:
        """Whether the connection must end with this answer."""
        return self._canned[reason].close

    def status(self, reason: Reason) -> int:
        return self._canned[reason].status

    def render(
        self, reason: Reason, *, request_id: bytes, fields: bytes, close: bool, is_head: bool, retry_after: int = 0
    ) -> bytes:
        """The whole answer. `fields` are further ready lines (CORS, Allow); `retry_after` is `Refused.retry_after`."""
        canned = self._canned[reason]
        body = canned.body
        if retry_after:
            body = to_json({"detail": throttled_detail(retry_after)})
            fields = b"%bRetry-After: %d\r\n" % (fields, retry_after)
        elif canned.shows_request_id:
            body = b'%b,"request_id":"%b"}' % (body, request_id)
        return b"".join(
            (
                canned.head,
                b"X-Request-Id: ",
                request_id,
                b"\r\n",
                fields,
                b"Connection: close\r\n" if close else b"",
                b"Content-Length: %d\r\n\r\n" % len(body),
                b"" if is_head else body,
            )
        )


def _can(reason: Reason, answer: Answer, challenge_value: str) -> _Canned:
    # A contract body stays exactly SimpleJWT's; the gateway's own refusals name the request for whoever reads the log.
    shows_request_id = answer.code == reason.value and not answer.challenge
    body = to_json(body_of(answer))
    challenge_line = b"WWW-Authenticate: %b\r\n" % challenge_value.encode() if answer.challenge else b""
    retry_line = b"Retry-After: 1\r\n" if answer.status == 503 else b""
    version_lines = VERSION_LINES if reason is Reason.WEBSOCKET_VERSION else b""
    return _Canned(
        status=answer.status,
        head=status_line(answer.status, HTTPStatus(answer.status).phrase.encode())
        + _FIELDS
        + challenge_line
        + retry_line
        + version_lines,
        body=body[:-1] if shows_request_id else body,
        shows_request_id=shows_request_id,
        close=answer.close,
    )


def status_line(status: int, phrase: bytes) -> bytes:
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase)


def no_content(*, request_id: bytes, fields: bytes, close: bool) -> bytes:
    """A 204, the answer to a preflight."""
    return b"HTTP/1.1 204 No Content\r\nX-Request-Id: %b\r\n%b%b\r\n" % (
        request_id,
        fields,
        b"Connection: close\r\n" if close else b"",
    )


def confirmed(*, request_id: bytes, fields: bytes, identity: bytes | None, close: bool) -> bytes:
    """A 200 that says nothing but who is there. `identity` are lines without the last line end, None for nobody."""
    return b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nX-Request-Id: %b\r\n%b%b%bContent-Length: 0\r\n\r\n" % (
        request_id,
        fields,
        b"" if identity is None else identity + b"\r\n",
        b"Connection: close\r\n" if close else b"",
    )


CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
