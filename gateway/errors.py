"""Every refusal this program knows, and the exceptions that carry one.

A `Reason` is the one stable code of a refusal: the access log's `reason`, the metric's label and, where the wire
contract gives a body a `code` and SimpleJWT has no other for it, that `code`. `ANSWERS` is the one table from a reason
to what a client sees. Texts and statuses of the token faults are djangorestframework-simplejwt 5.5.1's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final


@unique
class Reason(StrEnum):
    """Why a request was refused. Never shown with anything of the request beside it."""

    # The request cannot be cut or read in one way only (RFC 9112 §2.2, §5, §6.3, §7.1).
    BAD_REQUEST = "bad_request"
    BAD_TARGET = "bad_target"
    BAD_HOST = "bad_host"
    BAD_FRAMING = "bad_framing"
    HEAD_TOO_LARGE = "head_too_large"
    TARGET_TOO_LONG = "target_too_long"
    HEAD_TIMEOUT = "head_timeout"
    BODY_TIMEOUT = "body_timeout"
    BODY_TOO_LARGE = "body_too_large"
    EXPECTATION_FAILED = "expectation_failed"
    METHOD_NOT_SUPPORTED = "method_not_supported"
    HTTP_VERSION_NOT_SUPPORTED = "http_version_not_supported"

    # Routing and policy.
    NO_ROUTE = "no_route"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    PERMISSION_DENIED = "permission_denied"
    THROTTLED = "throttled"

    # Questions of other proxies.
    QUESTION_DENIED = "question_denied"
    QUESTION_UNCLEAR = "question_unclear"
    FORGED_FIELD = "forged_field"

    # WebSocket handshakes (RFC 6455 §4.2).
    BAD_HANDSHAKE = "bad_handshake"
    WEBSOCKET_VERSION = "websocket_version"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    TOO_MANY_WEBSOCKETS = "too_many_websockets"

    # Admission: SimpleJWT's authenticated view.
    NOT_AUTHENTICATED = "not_authenticated"
    BAD_AUTHORIZATION_HEADER = "bad_authorization_header"
    TOKEN_INVALID = "token_invalid"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_WRONG_TYPE = "token_wrong_type"
    TOKEN_NO_TYPE = "token_no_type"
    TOKEN_NO_EXP = "token_no_exp"
    TOKEN_NO_JTI = "token_no_jti"
    TOKEN_REVOKED = "token_revoked"
    TOKEN_NO_USER = "token_no_user"
    USER_NOT_FOUND = "user_not_found"
    USER_INACTIVE = "user_inactive"
    PASSWORD_CHANGED = "password_changed"
    TOKEN_OUTDATED = "token_outdated"

    # The token endpoints only.
    WRONG_CREDENTIALS = "wrong_credentials"
    NO_ACTIVE_ACCOUNT = "no_active_account"

    # "Cannot tell" is never 401 and never a pass.
    STORE_UNAVAILABLE = "store_unavailable"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    OVERLOADED = "overloaded"
    UPSTREAM_BUSY = "upstream_busy"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_TLS_FAILED = "upstream_tls_failed"
    UPSTREAM_CONNECT_TIMEOUT = "upstream_connect_timeout"
    UPSTREAM_SEND_TIMEOUT = "upstream_send_timeout"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_STALLED = "upstream_stalled"
    UPSTREAM_BROKEN = "upstream_broken"
    INTERNAL_ERROR = "internal_error"

    # For the log alone: nobody is there to be answered.
    CLIENT_GONE = "client_gone"

    # For the log and a Close frame: why the gateway ended a tunnel. The token's and the user's reasons stand above.
    TUNNEL_IDLE = "tunnel_idle"
    MESSAGE_TOO_BIG = "message_too_big"
    BAD_FRAME = "bad_frame"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client sees of a reason.

    `code` is the JSON body's `code`; None where SimpleJWT's or DRF's body has no such key. `message` marks the token
    faults: the data plane puts it into `messages`, the token endpoints make it their `detail`. `challenge` asks for
    `WWW-Authenticate`, `close` ends the connection because what follows on it cannot be trusted.
    """

    status: int
    detail: str
    code: str | None = None
    message: str | None = None
    challenge: bool = False
    close: bool = False


def _own(status: int, reason: Reason, detail: str, *, close: bool = False) -> Answer:
    """A refusal that SimpleJWT does not know: the code is the reason itself."""
    return Answer(status=status, detail=detail, code=reason.value, close=close)


def _token_fault(message: str) -> Answer:
    return Answer(
        status=401,
        detail="Given token not valid for any token type",
        code="token_not_valid",
        message=message,
        challenge=True,
    )


def _unauthenticated(detail: str, code: str | None) -> Answer:
    return Answer(status=401, detail=detail, code=code, challenge=True)


ANSWERS: Final[dict[Reason, Answer]] = {
    Reason.BAD_REQUEST: _own(400, Reason.BAD_REQUEST, "The request is not valid HTTP/1.1.", close=True),
    Reason.BAD_TARGET: _own(
        400, Reason.BAD_TARGET, "The request target has more than one reading and was refused.", close=True
    ),
    Reason.BAD_HOST: _own(400, Reason.BAD_HOST, "The request needs exactly one valid Host field.", close=True),
    Reason.BAD_FRAMING: _own(
        400, Reason.BAD_FRAMING, "The length of the request body cannot be told for certain.", close=True
    ),
    Reason.HEAD_TOO_LARGE: _own(431, Reason.HEAD_TOO_LARGE, "The request head is too large.", close=True),
    Reason.TARGET_TOO_LONG: _own(414, Reason.TARGET_TOO_LONG, "The request target is too long.", close=True),
    Reason.HEAD_TIMEOUT: _own(408, Reason.HEAD_TIMEOUT, "The request head did not arrive in time.", close=True),
    Reason.BODY_TIMEOUT: _own(408, Reason.BODY_TIMEOUT, "The request body did not arrive in time.", close=True),
    Reason.BODY_TOO_LARGE: _own(413, Reason.BODY_TOO_LARGE, "The request body is larger than is allowed here."),
    Reason.EXPECTATION_FAILED: _own(
        417, Reason.EXPECTATION_FAILED, "Only the expectation 100-continue is supported.", close=True
    ),
    Reason.METHOD_NOT_SUPPORTED: _own(
        501, Reason.METHOD_NOT_SUPPORTED, "This method is not passed on by the gateway.", close=True
    ),
    Reason.HTTP_VERSION_NOT_SUPPORTED: _own(
        505, Reason.HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.0 and HTTP/1.1 are supported.", close=True
    ),
    Reason.NO_ROUTE: _own(404, Reason.NO_ROUTE, "Not found."),
    Reason.METHOD_NOT_ALLOWED: _own(405, Reason.METHOD_NOT_ALLOWED, "This method is not allowed here."),
    Reason.PERMISSION_DENIED: _own(403, Reason.PERMISSION_DENIED, "You do not have permission to perform this action."),
    Reason.THROTTLED: Answer(status=429, detail="Request was throttled."),
    Reason.QUESTION_DENIED: _own(403, Reason.QUESTION_DENIED, "Only listed proxies may ask here what may pass."),
    Reason.QUESTION_UNCLEAR: _own(
        503, Reason.QUESTION_UNCLEAR, "The proxy did not say plainly which request it asks about."
    ),
    Reason.FORGED_FIELD: _own(400, Reason.FORGED_FIELD, "A field that only the gateway may set came with the request."),
    Reason.BAD_HANDSHAKE: _own(400, Reason.BAD_HANDSHAKE, "This is not a valid WebSocket handshake."),
    Reason.WEBSOCKET_VERSION: _own(426, Reason.WEBSOCKET_VERSION, "Only version 13 of WebSocket is supported."),
    Reason.ORIGIN_NOT_ALLOWED: _own(403, Reason.ORIGIN_NOT_ALLOWED, "Pages of this origin may not connect here."),
    Reason.TOO_MANY_WEBSOCKETS: _own(
        429, Reason.TOO_MANY_WEBSOCKETS, "You have too many WebSockets open. Close one and try again."
    ),
    Reason.NOT_AUTHENTICATED: _unauthenticated("Authentication credentials were not provided.", None),
    Reason.BAD_AUTHORIZATION_HEADER: _unauthenticated(
        "Authorization header must contain two space-delimited values", "bad_authorization_header"
    ),
    Reason.TOKEN_INVALID: _token_fault("Token is invalid"),
    Reason.TOKEN_EXPIRED: _token_fault("Token is expired"),
    Reason.TOKEN_WRONG_TYPE: _token_fault("Token has wrong type"),
    Reason.TOKEN_NO_TYPE: _token_fault("Token has no type"),
    Reason.TOKEN_NO_EXP: _token_fault("Token has no 'exp' claim"),
    Reason.TOKEN_NO_JTI: _token_fault("Token has no id"),
    Reason.TOKEN_REVOKED: _token_fault("Token is blacklisted"),
    Reason.TOKEN_NO_USER: _unauthenticated("Token contained no recognizable user identification", "token_not_valid"),
    Reason.USER_NOT_FOUND: _unauthenticated("User not found", "user_not_found"),
    Reason.USER_INACTIVE: _unauthenticated("User is inactive", "user_inactive"),
    Reason.PASSWORD_CHANGED: _unauthenticated("The user's password has been changed.", "password_changed"),
    Reason.TOKEN_OUTDATED: _token_fault("Token is outdated"),
    Reason.WRONG_CREDENTIALS: _unauthenticated("No active account found with the given credentials", None),
    Reason.NO_ACTIVE_ACCOUNT: _unauthenticated("No active account found for the given token.", None),
    Reason.STORE_UNAVAILABLE: _own(
        503, Reason.STORE_UNAVAILABLE, "The gateway cannot check this right now. Try again."
    ),
    Reason.ISSUER_UNAVAILABLE: _own(
        503, Reason.ISSUER_UNAVAILABLE, "The gateway cannot check this right now. Try again."
    ),
    Reason.OVERLOADED: _own(503, Reason.OVERLOADED, "The gateway is too busy for this right now. Try again."),
    Reason.UPSTREAM_UNREACHABLE: _own(502, Reason.UPSTREAM_UNREACHABLE, "The backend cannot be reached."),
    Reason.UPSTREAM_BUSY: _own(503, Reason.UPSTREAM_BUSY, "The backend is too busy for this right now. Try again."),
    Reason.UPSTREAM_TLS_FAILED: _own(502, Reason.UPSTREAM_TLS_FAILED, "The backend cannot be reached."),
    Reason.UPSTREAM_CONNECT_TIMEOUT: _own(
        504, Reason.UPSTREAM_CONNECT_TIMEOUT, "The backend could not be reached in time."
    ),
    Reason.UPSTREAM_SEND_TIMEOUT: _own(
        504, Reason.UPSTREAM_SEND_TIMEOUT, "The backend did not take the request in time."
    ),
    Reason.UPSTREAM_STALLED: _own(504, Reason.UPSTREAM_STALLED, "The backend stopped inside of its answer."),
    Reason.UPSTREAM_TIMEOUT: _own(504, Reason.UPSTREAM_TIMEOUT, "The backend did not answer in time."),
    Reason.UPSTREAM_BROKEN: _own(502, Reason.UPSTREAM_BROKEN, "The backend gave an answer that is not valid HTTP."),
    Reason.INTERNAL_ERROR: _own(
        500, Reason.INTERNAL_ERROR, "The gateway failed. The operator's log says why.", close=True
    ),
}


CLIENT_CLOSED_REQUEST: Final = 499
"""nginx's status for the log and the metrics; nobody is there to receive it."""


def throttled_detail(seconds: int) -> str:
    """The `detail` of a THROTTLED request that may come again after `seconds`, in DRF's words."""
    unit = "second" if seconds == 1 else "seconds"
    return f"{ANSWERS[Reason.THROTTLED].detail} Expected available in {seconds} {unit}."


def printable(text: str) -> str:
    """Text from outside for a message: nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class GatewayError(Exception):
    """Root of what this program raises on purpose. `str()` is a sentence for the operator, free of secrets."""


class Refused(GatewayError):
    """A request (or a token, or a login) is refused; `ANSWERS[reason]` is what the client sees.

    `retry_after`: whole seconds after which a THROTTLED one may come again.
    """

    def __init__(self, reason: Reason, *, retry_after: int = 0) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.retry_after = retry_after


class StoreUnavailable(GatewayError):
    """A user directory or state store could not answer: 503, never 401 and never a pass."""


class UsageError(GatewayError):
    """A command was asked for something it cannot do; exit code 1, the text says what to do instead."""


class NotRecorded(GatewayError):
    """A command has done what it was asked for, and the audit trail will not say so; exit code 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a configuration.

    `file` and `line` (1-based; 0 where there is no line, as for a missing file) say where, `path` is the YAML path as
    in `routes[0].access`, `message` says what is wrong and what to do, and never holds a secret's value.
    """

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(GatewayError):
    """The configuration has problems, all of them in `problems`; exit code 78."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
