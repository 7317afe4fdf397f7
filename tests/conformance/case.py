"""What a row of the tables is."""

import dataclasses
from typing import Any, Final

# A body that holds freshly issued tokens is written with this in their place.
ISSUED: Final = "<token>"
NO_BODY: Final = "<no body>"
NOT_JSON: Final = "<not JSON>"
REQUEST_ID: Final = "<request id>"
CHALLENGE: Final = 'Bearer realm="api"'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expected:
    """An answer as far as the contract fixes it. `body` is its JSON; a token in it is written `ISSUED`."""

    status: int
    body: Any
    challenge: str | None = None
    allow: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """The bytes of a request, and the library's answer to them."""

    id: str
    request: bytes
    expected: Expected


def unauthorized(body: dict[str, Any]) -> Expected:
    return Expected(status=401, body=body, challenge=CHALLENGE)


def detail(status: int, text: str) -> Expected:
    return Expected(status=status, body={"detail": text})


def invalid_fields(**errors: str) -> Expected:
    return Expected(status=400, body={name: [text] for name, text in errors.items()})


def not_an_object(python_type: str) -> Expected:
    text = f"Invalid data. Expected a dictionary, but got {python_type}."
    return Expected(status=400, body={"non_field_errors": [text]})


def endpoint_fault(message: str) -> Expected:
    """A bad token in the body of a token endpoint."""
    return unauthorized({"detail": message, "code": "token_not_valid"})


def view_fault(message: str) -> Expected:
    """A bad token in the Authorization field of any other request."""
    entry = {"token_class": "AccessToken", "token_type": "access", "message": message}
    text = "Given token not valid for any token type"
    return unauthorized({"detail": text, "code": "token_not_valid", "messages": [entry]})


def html(status: int) -> Expected:
    """A page that is no JSON: one of Django's own, outside the library."""
    return Expected(status=status, body=NOT_JSON)


CRASH: Final = html(500)
NOT_AN_OBJECT_NULL: Final = Expected(status=400, body={"non_field_errors": ["No data provided"]})
PAIR: Final = Expected(status=200, body={"refresh": ISSUED, "access": ISSUED})
ACCESS: Final = Expected(status=200, body={"access": ISSUED})
ACCEPTED: Final = Expected(status=200, body={})
WRONG_CREDENTIALS: Final = unauthorized({"detail": "No active account found with the given credentials"})
NO_ACTIVE_ACCOUNT: Final = unauthorized({"detail": "No active account found for the given token."})
ANONYMOUS: Final = unauthorized({"detail": "Authentication credentials were not provided."})
BAD_HEADER: Final = unauthorized(
    {"detail": "Authorization header must contain two space-delimited values", "code": "bad_authorization_header"}
)
NO_USER_CLAIM: Final = unauthorized(
    {"detail": "Token contained no recognizable user identification", "code": "token_not_valid"}
)
USER_NOT_FOUND: Final = unauthorized({"detail": "User not found", "code": "user_not_found"})
USER_INACTIVE: Final = unauthorized({"detail": "User is inactive", "code": "user_inactive"})

REQUIRED: Final = "This field is required."
NOT_NULL: Final = "This field may not be null."
NOT_BLANK: Final = "This field may not be blank."
NOT_A_STRING: Final = "Not a valid string."
NO_NULLS: Final = "Null characters are not allowed."


def hello(user_id: str | None) -> Expected:
    """The protected backend was reached as this user; the bodies behind the two servers are their own."""
    return Expected(status=200, body={"user_id": user_id})
