"""Where the gateway answers otherwise than the library, on purpose. The only such table: the tests and
`docs/simplejwt-compatibility.md` are made from it."""

import dataclasses
from collections.abc import Mapping
from typing import Final

from tests.conformance.case import (
    ACCEPTED,
    ANONYMOUS,
    BAD_HEADER,
    NO_ACTIVE_ACCOUNT,
    NO_USER_CLAIM,
    PAIR,
    REQUEST_ID,
    USER_NOT_FOUND,
    Expected,
    detail,
    endpoint_fault,
    invalid_fields,
    view_fault,
)
from tests.conformance.case import REQUIRED as FIELD_REQUIRED


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deviation:
    """`subject` and `reason` are the words of the page; `answers` are the gateway's, by the id of the case."""

    subject: str
    reason: str
    answers: Mapping[str, Expected]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneralDeviation:
    """What no single answer shows; `test` is the name of the test that holds it."""

    subject: str
    reason: str
    test: str


def _each(place: str, names: str, answer: Expected) -> dict[str, Expected]:
    return {f"{place}-{name}": answer for name in names.split()}


def _everywhere(names: str, message: str) -> dict[str, Expected]:
    """The same fault at the three token endpoints and in front of the backend."""
    fault = endpoint_fault(message)
    endpoints = {key: fault for place in ("refresh", "verify", "blacklist") for key in _each(place, names, fault)}
    return {**endpoints, **_each("view", names, view_fault(message))}


_TOO_LARGE: Final = detail(413, "The request body is larger than 65536 bytes.")

DEVIATIONS: Final = (
    Deviation(
        subject="A refresh token of a user who was deleted or never existed",
        reason="The library fails. Its unreleased main branch answers as the gateway does.",
        answers=_each("refresh", "user-deleted user-unknown user-negative user-huge", NO_ACTIVE_ACCOUNT),
    ),
    Deviation(
        subject="A user id that no user can have: a word, a list, an object, a text with a line break",
        reason="The library fails. Such a token names nobody, and a log-out needs no user.",
        answers={
            **_each("refresh", "user-word user-list user-object user-line-break", NO_ACTIVE_ACCOUNT),
            **_each("blacklist", "user-empty user-word user-list user-object user-line-break", ACCEPTED),
            **_each("view", "user-empty user-word user-list user-object user-line-break", USER_NOT_FOUND),
        },
    ),
    Deviation(
        subject="A user id in another spelling: `01`, `1.0`, `true`, ` 1`, `１`",
        reason="Django's ORM takes all of them for user 1. The backend gets the id as it stands in the token, and there "
        "two spellings are two users.",
        answers={
            **_each(
                "refresh",
                "user-leading-zero user-float user-true user-blank-before user-fullwidth-digit",
                NO_ACTIVE_ACCOUNT,
            ),
            **_each(
                "view", "user-leading-zero user-float user-true user-blank-before user-fullwidth-digit", USER_NOT_FOUND
            ),
        },
    ),
    Deviation(
        subject="A refresh token without a user, or with the user null, 0 or empty",
        reason="The library checks no user then and issues an access token that no view accepts.",
        answers={
            "refresh-user-missing": NO_USER_CLAIM,
            **_each("refresh", "user-null user-zero user-empty", NO_ACTIVE_ACCOUNT),
        },
    ),
    Deviation(
        subject="A refresh token without `jti`",
        reason="The library fails when its blacklist application is installed, and answers as the gateway when not.",
        answers={
            "refresh-jti-missing": endpoint_fault("Token has no id"),
            "blacklist-jti-missing": endpoint_fault("Token has no id"),
        },
    ),
    Deviation(
        subject="`exp` as a text of digits, or past the year 9999",
        reason="The library fails.",
        answers=_everywhere("exp-digits exp-past-9999 exp-400-digits", "Token is invalid"),
    ),
    Deviation(
        subject="`iat` as a text of digits",
        reason="RFC 7519 §2 wants a number. No library issues such a token.",
        answers=_everywhere("iat-digits", "Token is invalid"),
    ),
    Deviation(
        subject="A token with `=` padding",
        reason="RFC 7515 §2 knows no padding, and one token must have one spelling.",
        answers=_everywhere("padded-signature", "Token is invalid"),
    ),
    Deviation(
        subject="Two Authorization fields, one of them empty or of another scheme",
        reason="WSGI servers join the two with a comma. Which one the backend would take cannot be told.",
        answers=_each("bearer", "two-fields-basic-first two-fields-one-empty", BAD_HEADER),
    ),
    Deviation(
        subject="A body of more than 64 KiB at a token endpoint",
        reason="Django takes 2.5 MiB and then answers with a page. No log-in needs that much, and anybody may send it.",
        answers=_each("obtain", "65-kib too-large json-deep", _TOO_LARGE),
    ),
    Deviation(
        subject="JSON nested thousands of levels deep",
        reason="The library fails.",
        answers={
            "obtain-json-deep-unknown-field-20000": detail(400, "JSON parse error - Too many levels of nesting"),
        },
    ),
    Deviation(
        subject="A form of more than 1000 fields",
        reason="Django refuses it, too, but with a page.",
        answers={"obtain-form-too-many-fields": detail(400, "The form has more than 1000 fields.")},
    ),
    Deviation(
        subject="A multipart form of more than 50 parts",
        reason="Reading the head of a part costs more than the whole rest of a log-in's body.",
        answers={"obtain-multipart-62-parts": detail(400, "Multipart form parse error - Too many parts.")},
    ),
    Deviation(
        subject="A body in a charset that is none for text, or that is slow to decode (punycode, idna)",
        reason="The library decodes some of them.",
        answers={
            "obtain-type-json-punycode": detail(400, 'Unsupported charset "punycode" in request Content-Type header.'),
        },
    ),
    Deviation(
        subject="A body with a Content-Encoding",
        reason="The library ignores the field and reads the packed bytes as they are.",
        answers={
            "obtain-content-encoding": detail(415, "A request body with a Content-Encoding is not accepted here."),
        },
    ),
    Deviation(
        subject="A chunked body without a Content-Length",
        reason="Under WSGI the library sees no body. That is the server's doing, not the library's.",
        answers={"obtain-chunked": PAIR},
    ),
    Deviation(
        subject="A path without its trailing slash",
        reason="Clients follow Django's redirect with a GET and get a 405.",
        answers={
            "obtain-no-slash": PAIR,
            "obtain-no-slash-bad-body": invalid_fields(username=FIELD_REQUIRED, password=FIELD_REQUIRED),
        },
    ),
    Deviation(
        subject="A client that asks for HTML, as browsers do",
        reason="The library shows DRF's browsable pages. The gateway has none; its JSON is the same for everybody.",
        answers={
            **_each("accept", "html browser text-any format-api", PAIR),
            "view-anonymous-accept-html": ANONYMOUS,
        },
    ),
    Deviation(
        subject="An Accept field that admits no JSON, in front of a backend",
        reason="What the backend can render is the backend's business; that the token is missing comes first.",
        answers={"view-anonymous-accept-xml": ANONYMOUS},
    ),
    Deviation(
        subject="OPTIONS at a token endpoint",
        reason="The same members as DRF's description, in the gateway's own words, without HTML among the renderers.",
        answers={
            "obtain-options": Expected(
                status=200,
                body={
                    "name": "Token Obtain Pair",
                    "description": "Exchanges the credentials of a user for an access and a refresh token.",
                    "renders": ["application/json"],
                    "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
                    "actions": {
                        "POST": {
                            name: {"type": "string", "required": True, "read_only": False, "label": name.capitalize()}
                            for name in ("username", "password")
                        }
                    },
                },
                allow="POST, OPTIONS",
            ),
        },
    ),
    Deviation(
        subject="A method in lower case",
        reason="Both refuse it. The gateway's refusal is JSON.",
        answers={
            "obtain-lower-case-post": Expected(
                status=400,
                body={
                    "detail": "The request is not valid HTTP/1.1.",
                    "code": "bad_request",
                    "request_id": REQUEST_ID,
                },
            ),
        },
    ),
)

GENERAL_DEVIATIONS: Final = (
    GeneralDeviation(
        subject="Every token carries a session id, the claim `sid`",
        reason="It names the log-in that a token descends from. The library ignores it and copies it at a refresh.",
        test="test_issued_tokens_carry_a_session_id_that_the_library_does_not_know",
    ),
    GeneralDeviation(
        subject="Every answer of a token endpoint says `Cache-Control: no-store`",
        reason="The bodies hold tokens (RFC 6749 §5.1). The library sends no such field.",
        test="test_token_answers_are_not_to_be_stored",
    ),
    GeneralDeviation(
        subject="Every answer has an `X-Request-Id`",
        reason="The same id stands in the gateway's log and in the request that the backend gets.",
        test="test_every_answer_names_its_request",
    ),
    GeneralDeviation(
        subject="With `rotate_refresh_tokens`, a spent refresh token that comes back ends its session",
        reason="Its successor and the access tokens of the session are refused, for nobody can tell the owner from a "
        "thief (RFC 9700 §4.14.2). With the library the successor lives on, and so do the access tokens.",
        test="test_s55_spent_token_that_comes_back_ends_its_session",
    ),
    GeneralDeviation(
        subject="With `rotate_refresh_tokens`, a refresh token has one successor",
        reason="Who shows the token that was spent last once more within `sessions.rotation_grace` (two tabs, a lost "
        "answer) gets the same successor. Of eight parallel refreshes the library lets between two and seven through, "
        "each with a successor of its own.",
        test="test_s55_parallel_refreshes_get_the_same_successor",
    ),
    GeneralDeviation(
        subject="A log-out ends the access tokens of its session, too",
        reason="They are refused within a second, at every worker. With the library they live on until they expire.",
        test="test_s57_log_out_ends_the_access_tokens_too",
    ),
    GeneralDeviation(
        subject="A refresh writes anew what `tokens.claims.extra` says of the user",
        reason="A role that was taken away is not refreshed. The library copies what the refresh token says.",
        test="test_a_renewed_token_says_what_is_so_of_its_user_now",
    ),
    GeneralDeviation(
        subject="A new password, and new roles, refuse what was issued before",
        reason="As the library does with CHECK_REVOKE_TOKEN, and in its words: `password_changed`. After a change of "
        "roles, name or e-mail address access tokens are `Token is outdated`, and a refresh gives a better one.",
        test="test_s56_a_new_password_refuses_what_was_issued_before",
    ),
    GeneralDeviation(
        subject="A blacklisted id is refused in front of the backend, too",
        reason="The library looks at its blacklist at the token endpoints only. Tokens that share an id are issued by "
        "neither.",
        test="test_blacklisted_id_is_refused_in_front_of_the_backend",
    ),
    GeneralDeviation(
        subject="After five failed log-ins with one name the next has to wait: 429 and `Retry-After`",
        reason="The library lets everybody guess as long as he likes. The answer is the one of DRF's own throttling, where "
        "an application uses it; `guessing.enabled: false` switches it off.",
        test="test_s52_who_guesses_passwords_is_refused_as_by_drfs_throttle",
    ),
)
