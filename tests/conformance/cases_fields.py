"""The Authorization field in front of a view, and the fields of the refresh, verify and blacklist bodies."""

import dataclasses
from collections.abc import Iterator
from typing import Final

from tests.conformance.case import (
    ACCEPTED,
    ACCESS,
    ANONYMOUS,
    BAD_HEADER,
    NO_BODY,
    NO_NULLS,
    NO_USER_CLAIM,
    NOT_A_STRING,
    NOT_BLANK,
    NOT_NULL,
    REQUIRED,
    USER_INACTIVE,
    USER_NOT_FOUND,
    Case,
    Expected,
    detail,
    endpoint_fault,
    hello,
    html,
    invalid_fields,
    not_an_object,
    unauthorized,
    view_fault,
)
from tests.conformance.forging import MISSING, NOW, token
from tests.conformance.wire import post, post_json, request

INVALID_HERE: Final = view_fault("Token is invalid")
HELLO: Final = b"/api/hello/"
OPEN: Final = b"/api/open/"
STATELESS: Final = b"/api/stateless/"


def _authorizations_of_nobody(good: bytes) -> Iterator[tuple[str, tuple[bytes, ...], Expected]]:
    """Without our scheme the field counts for nothing."""
    field = b"Authorization: "
    yield "absent", (), ANONYMOUS
    yield "empty", (b"Authorization:",), ANONYMOUS
    yield "blanks-only", (b"Authorization:   ",), ANONYMOUS
    yield "basic", (field + b"Basic YWxpY2U6YWxpY2UtcGFzcy0x",), ANONYMOUS
    yield "token-scheme", (field + b"Token " + good,), ANONYMOUS
    yield "jwt-scheme", (field + b"JWT " + good,), ANONYMOUS
    yield "lower-case-scheme", (field + b"bearer " + good,), ANONYMOUS
    yield "upper-case-scheme", (field + b"BEARER " + good,), ANONYMOUS
    yield "no-blank", (field + b"Bearer" + good,), ANONYMOUS
    yield "colon", (field + b"Bearer: " + good,), ANONYMOUS
    yield "comma-first", (field + b", Bearer " + good,), ANONYMOUS
    yield "bare-token", (field + good,), ANONYMOUS
    yield "unknown-scheme-three-words", (field + b"Digest a b",), ANONYMOUS
    yield "non-ascii-scheme", (field + b"B\xc3\xa9arer " + good,), ANONYMOUS
    yield "proxy-authorization", (b"Proxy-Authorization: Bearer " + good,), ANONYMOUS
    yield "x-access-token", (b"X-Access-Token: Bearer " + good,), ANONYMOUS
    yield "cookie", (b"Cookie: access=" + good + b"; Authorization=Bearer " + good,), ANONYMOUS
    yield "claimed-user-id", (b"X-User-Id: 1",), ANONYMOUS


def _authorizations_that_count(good: bytes) -> Iterator[tuple[str, tuple[bytes, ...], Expected]]:
    """The scheme is ours, so the field must be right."""
    field = b"Authorization: "
    yield "scheme-only", (field + b"Bearer",), BAD_HEADER
    yield "scheme-and-blank", (field + b"Bearer ",), BAD_HEADER
    yield "three-words", (field + b"Bearer a b",), BAD_HEADER
    yield "token-and-word", (field + b"Bearer " + good + b" x",), BAD_HEADER
    yield "two-in-one", (field + b"Bearer " + good + b", Bearer " + good,), BAD_HEADER
    yield "two-fields", (field + b"Bearer " + good, field + b"Bearer " + good), BAD_HEADER
    yield "two-fields-basic-first", (field + b"Basic YTpi", field + b"Bearer " + good), ANONYMOUS
    yield "two-fields-basic-last", (field + b"Bearer " + good, field + b"Basic YTpi"), BAD_HEADER
    yield "two-fields-one-empty", (field + b"Bearer " + good, b"Authorization:"), INVALID_HERE
    yield "word", (field + b"Bearer x",), INVALID_HERE
    yield "null", (field + b"Bearer null",), INVALID_HERE
    yield "undefined", (field + b"Bearer undefined",), INVALID_HERE
    yield "object-object", (field + b"Bearer [object Object]",), BAD_HEADER
    yield "quoted", (field + b'Bearer "' + good + b'"',), INVALID_HERE
    yield "non-ascii", (field + b"Bearer \xff\xfe\x80",), INVALID_HERE
    yield "non-ascii-in-token", (field + b"Bearer " + good + b"\xc3\xa9",), INVALID_HERE
    yield "no-break-space", (field + b"Bearer\xa0" + good,), ANONYMOUS
    yield "comma-last", (field + b"Bearer " + good + b",",), INVALID_HERE
    yield "long-token", (field + b"Bearer " + b"a" * 7000,), INVALID_HERE
    yield "two-blanks", (field + b"Bearer  " + good,), hello("1")
    yield "tab", (field + b"Bearer\t" + good,), hello("1")
    yield "trailing-blank", (field + b"Bearer " + good + b" \t ",), hello("1")
    yield "no-blank-after-colon", (b"Authorization:Bearer " + good,), hello("1")
    yield "field-name-case", (b"aUTHORIZATION: Bearer " + good,), hello("1")
    yield "claimed-other-user", (field + b"Bearer " + good, b"X-User-Id: 2", b"x_user_id: 2"), hello("1")


def _view_cases() -> Iterator[Case]:
    good = token("access")
    bearer = b"Authorization: Bearer " + good
    for name, fields, expected in [*_authorizations_of_nobody(good), *_authorizations_that_count(good)]:
        yield Case(id=f"bearer-{name}", request=request(b"GET", HELLO, *fields), expected=expected)
    yield Case(id="bearer-in-query", request=request(b"GET", HELLO + b"?access=" + good), expected=ANONYMOUS)
    for method in (b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"):
        name = method.decode().lower()
        yield Case(id=f"view-anonymous-{name}", request=request(method, HELLO), expected=ANONYMOUS)
        yield Case(id=f"view-bearer-{name}", request=request(method, HELLO, bearer, body=b""), expected=hello("1"))
    head = unauthorized({})
    no_body = Expected(status=401, body=NO_BODY, challenge=head.challenge)
    yield Case(id="view-anonymous-head", request=request(b"HEAD", HELLO), expected=no_body)
    preflight = (b"Origin: https://app.example.org", b"Access-Control-Request-Method: GET")
    yield Case(id="view-anonymous-preflight", request=request(b"OPTIONS", HELLO, *preflight), expected=ANONYMOUS)
    old = request(b"GET", HELLO, bearer, version=b"HTTP/1.0")
    yield Case(id="view-http10", request=old, expected=hello("1"))
    yield Case(id="view-http10-anonymous", request=request(b"GET", HELLO, version=b"HTTP/1.0"), expected=ANONYMOUS)
    unread = post(HELLO, b'{"broken": ', content_type=b"text/plain")
    yield Case(id="view-anonymous-bad-body", request=unread, expected=ANONYMOUS)
    unauthorized_page = dataclasses.replace(html(401), challenge=ANONYMOUS.challenge)
    not_acceptable = detail(406, "Could not satisfy the request Accept header.")
    for name, accept, expected in (
        ("xml", b"application/xml", not_acceptable),
        ("json", b"application/json", ANONYMOUS),
        ("axios", b"application/json, text/plain, */*", ANONYMOUS),
        ("html", b"text/html", unauthorized_page),
    ):
        sent = request(b"GET", HELLO, b"Accept: " + accept)
        yield Case(id=f"view-anonymous-accept-{name}", request=sent, expected=expected)


def _open_cases() -> Iterator[Case]:
    """A view that lets everybody in still refuses a bad token."""
    for name, fields, expected in (
        ("anonymous", (), hello(None)),
        ("other-scheme", (b"Authorization: Basic YTpi",), hello(None)),
        ("good", (b"Authorization: Bearer " + token("access"),), hello("1")),
        ("garbage", (b"Authorization: Bearer x",), INVALID_HERE),
        ("expired", (b"Authorization: Bearer " + token("access", exp=NOW - 1),), view_fault("Token is expired")),
        ("refresh", (b"Authorization: Bearer " + token("refresh"),), view_fault("Token has wrong type")),
        ("inactive", (b"Authorization: Bearer " + token("access", user_id="3"),), USER_INACTIVE),
        ("unknown-user", (b"Authorization: Bearer " + token("access", user_id="4"),), USER_NOT_FOUND),
        ("three-words", (b"Authorization: Bearer a b",), BAD_HEADER),
    ):
        yield Case(id=f"open-{name}", request=request(b"GET", OPEN, *fields), expected=expected)


def _stateless_cases() -> Iterator[Case]:
    """A view where only the token counts."""
    for name, changes, expected in (
        ("good", {}, hello("1")),
        ("inactive", {"user_id": "3"}, hello("3")),
        ("deleted", {"user_id": "4"}, hello("4")),
        ("unknown", {"user_id": "987654"}, hello("987654")),
        ("word", {"user_id": "abc"}, hello("abc")),
        ("missing", {"user_id": MISSING}, NO_USER_CLAIM),
        ("expired", {"exp": NOW - 1}, view_fault("Token is expired")),
    ):
        bearer = b"Authorization: Bearer " + token("access", **changes)
        yield Case(id=f"stateless-{name}", request=request(b"GET", STATELESS, bearer), expected=expected)


def _body_fields() -> Iterator[Case]:
    """The one field of refresh, verify and blacklist."""
    places: tuple[tuple[str, bytes, str, str, Expected], ...] = (
        ("refresh", b"/api/token/refresh/", "refresh", "refresh", ACCESS),
        ("verify", b"/api/token/verify/", "token", "access", ACCEPTED),
        ("blacklist", b"/api/token/blacklist/", "refresh", "refresh", ACCEPTED),
    )
    form = b"application/x-www-form-urlencoded"
    invalid = endpoint_fault("Token is invalid")
    for place, path, field, token_type, good in places:

        def fresh(kind: str = token_type) -> str:
            return token(kind).decode()

        values: tuple[tuple[str, object, Expected], ...] = (
            ("missing", {}, invalid_fields(**{field: REQUIRED})),
            ("null", {field: None}, invalid_fields(**{field: NOT_NULL})),
            ("blank", {field: " \t"}, invalid_fields(**{field: NOT_BLANK})),
            ("list", {field: [fresh()]}, invalid_fields(**{field: NOT_A_STRING})),
            ("true", {field: True}, invalid_fields(**{field: NOT_A_STRING})),
            ("nul", {field: "a\x00b"}, invalid_fields(**{field: NO_NULLS})),
            ("number", {field: 123}, invalid),
            ("non-ascii", {field: "eyé.☃.x"}, invalid),
            ("blanks-around", {field: f" {fresh()}\r\n"}, good),
            ("bearer-before", {field: f"Bearer {fresh()}"}, invalid),
            ("unknown-fields", {field: fresh(), "username": None, "all": True}, good),
            ("body-list", [fresh()], not_an_object("list")),
        )
        for name, value, expected in values:
            yield Case(id=f"{place}-field-{name}", request=post_json(path, value), expected=expected)
        encoded = f"{field}={fresh()}".encode()
        yield Case(id=f"{place}-form", request=post(path, encoded, content_type=form), expected=good)
        stale = post_json(path, {field: fresh()}, b"Authorization: Bearer x")
        yield Case(id=f"{place}-stale-bearer", request=stale, expected=good)
        yield Case(id=f"{place}-empty-body", request=post(path, b""), expected=invalid_fields(**{field: REQUIRED}))


CASES: Final = (*_view_cases(), *_open_cases(), *_stateless_cases(), *_body_fields())
