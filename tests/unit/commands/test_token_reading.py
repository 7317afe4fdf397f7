import base64
import json
from typing import Any

import pytest

from gateway.commands.token_reading import (
    Expectation,
    TokenText,
    describe_times,
    misshapen,
    moment,
    parse_token,
    shown,
    unacceptable,
)
from gateway.errors import UsageError

NOW = 1_800_000_000.0
GOOD = {"token_type": "access", "exp": NOW + 240, "iat": NOW - 60, "jti": "a1", "user_id": "1"}
NOT_A_NUMBER = b'{"exp": NaN}'
TOO_LONG_A_NUMBER = b'{"exp": ' + b"9" * 5000 + b"}"


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token(header: dict[str, Any] | None = None, **claims: Any) -> TokenText:
    present = {name: value for name, value in {**GOOD, **claims}.items() if value is not ...}
    return TokenText(encoded="e.e.e", header={"alg": "HS256", **(header or {})}, claims=present)


@pytest.mark.parametrize("form", ["{}", "  {}\n", "Bearer {}", "Bearer  {}\r\n"])
def test_a_token_is_taken_as_it_is_pasted(form: str) -> None:
    encoded = f"{part({'alg': 'HS256'})}.{part({'user_id': '1'})}.c2ln"
    parsed = parse_token(form.format(encoded))
    assert parsed == TokenText(encoded=encoded, header={"alg": "HS256"}, claims={"user_id": "1"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "There is no token"),
        ("Bearer \n", "There is no token"),
        ("abc", "and it has 1"),
        ("a.b.c.d.e", "and it has 5"),
        ("a.b.c", "its header is not base64url"),
        ("é.b.c", "its header is not base64url"),
        (f"{part({})}=.{part({})}.c", "its header is not base64url"),
        (f"{part({})}.{part(b'{')}.c", "its payload is not JSON"),
        (f"{part({})}.{part(bytes([0xFF, 0xFE]))}.c", "its payload is not JSON"),
        (f"{part({})}.{part(b'[' * 100_000)}.c", "its payload is not JSON"),
        (f"{part({})}.{part(NOT_A_NUMBER)}.c", "its payload is not JSON"),
        (f"{part({})}.{part(TOO_LONG_A_NUMBER)}.c", "its payload is not JSON"),
        (f"{part([1])}.{part({})}.c", "its header is JSON, but not an object"),
    ],
)
def test_what_is_no_token_is_said_to_be_none(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_token(text)


def test_a_good_token_has_no_fault() -> None:
    expected = Expectation(algorithm="HS256", token_type="access")
    assert misshapen(token(), expected) == []
    assert unacceptable(token(), expected, NOW) == []


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (token({"alg": "none"}), 'It is signed with "none"; the gateway takes HS256 only.'),
        (token({"alg": None}), "It is signed with missing; the gateway takes HS256 only."),
        (token({"crit": ["b64"]}), "Its header has `crit`: it demands extensions that the gateway does not know."),
        (token({"kid": 7}), "Its header's kid is 7, not a text."),
        (token(exp="1800000240"), 'Its claim exp is "1800000240", not a time in seconds.'),
        (token(iat=None), "Its claim iat is missing, not a time in seconds."),
        (token(nbf=10**400), f"Its claim nbf is {10**400}, not a time in seconds."),
        (token(exp=253_402_300_800), "Its claim exp lies after the year 9999."),
        (token(sub=1), "Its claim sub is 1, not a text."),
        (token(jti=["a"]), 'Its claim jti is ["a"], not a text.'),
        (
            TokenText(encoded="e" * 8193, header={"alg": "HS256"}, claims=GOOD),
            "It has 8193 bytes; the gateway reads 8192.",
        ),
    ],
)
def test_what_is_misshapen(broken: TokenText, sentence: str) -> None:
    assert misshapen(broken, Expectation(algorithm="HS256")) == [sentence]


def test_without_a_key_any_algorithm_may_be_right() -> None:
    assert misshapen(token({"alg": "ES256"}), Expectation()) == []


EXPECTED = Expectation(token_type="access", audience=("app", "admin"), issuer="https://id")


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"exp": NOW}, "It expired 0 s ago, 2027-01-15 08:00:00 UTC."),
        ({"exp": NOW - 7300}, "It expired 2 h ago, 2027-01-15 05:58:20 UTC."),
        ({"iat": NOW + 61}, "It was issued 1 min in the future: two clocks differ. Set them, or tokens.leeway."),
        ({"nbf": NOW + 90_000}, "It is not valid before 2027-01-16 09:00:00 UTC, in 1 d."),
        ({"iss": ...}, "Its issuer is missing; the gateway wants 'https://id'."),
        ({"iss": "else"}, "Its issuer is \"else\"; the gateway wants 'https://id'."),
        ({"aud": ...}, "Its audience is missing; the gateway wants one of 'app', 'admin'."),
        ({"aud": ["other"]}, "Its audience is [\"other\"]; the gateway wants one of 'app', 'admin'."),
        ({"exp": ...}, "It has no claim exp, so it would never end."),
        ({"jti": ...}, "It has no claim jti."),
        ({"token_type": ...}, "It has no claim token_type."),
        ({"user_id": ...}, "It has no claim user_id."),
        ({"token_type": "refresh"}, "It is of type \"refresh\" and used as 'access'."),
    ],
)
def test_what_is_not_acceptable(claims: dict[str, Any], sentence: str) -> None:
    good = {"iss": "https://id", "aud": ["admin"]}
    assert unacceptable(token(**{**good, **claims}), EXPECTED, NOW) == [sentence]


def test_all_faults_are_told() -> None:
    assert len(unacceptable(token(exp=1, token_type="refresh", jti=...), EXPECTED, NOW)) == 5


def test_leeway_forgives() -> None:
    broken = token(exp=NOW - 5, iat=NOW + 5, nbf=NOW + 5)
    assert unacceptable(broken, Expectation(leeway=6), NOW) == []
    assert len(unacceptable(broken, Expectation(leeway=4), NOW)) == 3


def test_claims_go_by_their_configured_names() -> None:
    renamed = token(jti=..., uid="1", typ="access", user_id=..., token_type=..., id="a1")
    expected = Expectation(user_id_claim="uid", token_type_claim="typ", jti_claim="id", token_type="access")
    assert unacceptable(renamed, expected, NOW) == []


@pytest.mark.parametrize(
    ("claims", "rows"),
    [
        ({}, [("issued", "1 min ago, 2027-01-15 07:59:00 UTC"), ("expires", "in 4 min, 2027-01-15 08:04:00 UTC")]),
        ({"iat": ..., "exp": NOW - 3}, [("expired", "3 s ago, 2027-01-15 07:59:57 UTC")]),
        ({"iat": ..., "exp": ..., "nbf": NOW + 3}, [("valid", "in 3 s, 2027-01-15 08:00:03 UTC")]),
        ({"iat": "x", "exp": ...}, []),
        ({"iat": ..., "exp": 1e300}, [("expires", f"in {int((1e300 - NOW) // 86400)} d, outside the calendar")]),
        ({"iat": ..., "exp": True}, [("expired", "20833 d ago, 1970-01-01 00:00:01 UTC")]),
    ],
)
def test_times_in_words(claims: dict[str, Any], rows: list[tuple[str, str]]) -> None:
    assert describe_times(token(**claims), NOW) == rows


def test_the_epoch_is_a_moment() -> None:
    assert moment(0) == "1970-01-01 00:00:00 UTC"


@pytest.mark.parametrize("value", ["\x1b[2J", "\x9b2J", "é", {"a": "\u202e"}])
def test_what_is_shown_can_do_nothing_to_a_terminal(value: object) -> None:
    assert shown(value).isascii()
    assert shown(value).isprintable()
