"""Methods, content negotiation and paths at the token endpoints."""

from collections.abc import Iterator
from typing import Final

from tests.conformance.case import (
    NO_BODY,
    PAIR,
    WRONG_CREDENTIALS,
    Case,
    Expected,
    detail,
    html,
)
from tests.conformance.cases_bodies import ALICE, GOOD, OBTAIN
from tests.conformance.wire import post, post_json, request

ALLOW: Final = "POST, OPTIONS"
PATHS: Final = {
    "obtain": OBTAIN,
    "refresh": b"/api/token/refresh/",
    "verify": b"/api/token/verify/",
    "blacklist": b"/api/token/blacklist/",
}


def _not_allowed(method: str) -> Expected:
    return Expected(status=405, body={"detail": f'Method "{method}" not allowed.'}, allow=ALLOW)


def _methods() -> Iterator[Case]:
    for place, path in PATHS.items():
        yield Case(id=f"{place}-get", request=request(b"GET", path), expected=_not_allowed("GET"))
        head = Expected(status=405, body=NO_BODY, allow=ALLOW)
        yield Case(id=f"{place}-head", request=request(b"HEAD", path), expected=head)
    for method in (b"PUT", b"PATCH", b"DELETE"):
        sent = request(method, OBTAIN, b"Content-Type: application/json", body=GOOD)
        yield Case(id=f"obtain-{method.decode().lower()}", request=sent, expected=_not_allowed(method.decode()))
    yield Case(id="obtain-lower-case-post", request=b"post" + post(OBTAIN, GOOD)[4:], expected=html(400))
    bearer = b"Authorization: Bearer x"
    yield Case(id="obtain-get-stale-bearer", request=request(b"GET", OBTAIN, bearer), expected=_not_allowed("GET"))
    yield Case(id="obtain-options", request=request(b"OPTIONS", OBTAIN), expected=_options())
    basic = request(b"GET", OBTAIN + b"?format=json")
    yield Case(id="obtain-get-format", request=basic, expected=_not_allowed("GET"))


def _options() -> Expected:
    """DRF's description of the endpoint."""
    field = {"type": "string", "required": True, "read_only": False}
    return Expected(
        status=200,
        body={
            "name": "Token Obtain Pair",
            "description": "Takes a set of user credentials and returns an access and refresh JSON web\n"
            "token pair to prove the authentication of those credentials.",
            "renders": ["application/json", "text/html"],
            "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
            "actions": {
                "POST": {"username": {**field, "label": "Username"}, "password": {**field, "label": "Password"}}
            },
        },
        allow=ALLOW,
    )


def _accepts() -> Iterator[Case]:
    not_acceptable = detail(406, "Could not satisfy the request Accept header.")
    browser = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    for name, accept, expected in (
        ("any", b"*/*", PAIR),
        ("json", b"application/json", PAIR),
        ("axios", b"application/json, text/plain, */*", PAIR),
        ("httpie", b"application/json, */*;q=0.5", PAIR),
        ("application-any", b"application/*", PAIR),
        ("json-indent", b"application/json; indent=2", PAIR),
        ("empty", b"", not_acceptable),
        ("html", b"text/html", html(200)),
        ("browser", browser, html(200)),
        ("xml", b"application/xml", not_acceptable),
        ("garbage", b"garbage", not_acceptable),
        ("json-refused-by-q", b"application/json;q=0", PAIR),
        ("upper-case", b"APPLICATION/JSON", PAIR),
        ("text-any", b"text/*", html(200)),
        ("json-later", b"application/xml, application/json;q=0.1", PAIR),
    ):
        sent = post(OBTAIN, GOOD, b"Accept: " + accept)
        yield Case(id=f"accept-{name}", request=sent, expected=expected)
    wrong = post_json(OBTAIN, {**ALICE, "password": "wrong"}, b"Accept: text/plain, */*")
    yield Case(id="accept-wrong-password", request=wrong, expected=WRONG_CREDENTIALS)
    yield Case(id="accept-format-json", request=post(OBTAIN + b"?format=json", GOOD), expected=PAIR)
    yield Case(id="accept-format-empty", request=post(OBTAIN + b"?format=", GOOD), expected=PAIR)
    yield Case(id="accept-format-api", request=post(OBTAIN + b"?format=api", GOOD), expected=html(200))
    not_found = detail(404, "Not found.")
    yield Case(id="accept-format-xml", request=post(OBTAIN + b"?format=xml", GOOD), expected=not_found)


CASES: Final = (*_methods(), *_accepts())
