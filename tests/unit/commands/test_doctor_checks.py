"""How the doctor judges what it saw."""

import email.utils

import pytest

from gateway.auth.keys import KeyRefused, build_key
from gateway.commands import doctor_checks as checks
from gateway.commands.doctor_checks import Result, Verdict
from gateway.commands.doctor_wire import Reply
from gateway.types import Secret

NOW = 1_700_000_000.0


def reply(status: int, body: bytes = b"", *, is_closed: bool = False, end: float | None = None, **fields: str) -> Reply:
    pairs = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    return Reply(status=status, fields=pairs, body=body, is_closed=is_closed, certificate_end=end)


def date(seconds: float) -> str:
    return email.utils.formatdate(seconds, usegmt=True)


def refusals(answer: Reply, **options: frozenset[int]) -> Verdict:
    return checks.judge_refusals("x", [("a", answer)], "advice", **options)


OK, FINDING, SKIPPED = Result.OK, Result.FINDING, Result.SKIPPED
CREDENTIALS = {"access_control_allow_credentials": "true"}


@pytest.mark.parametrize(
    ("verdict", "result"),
    [
        (checks.judge_missing_token(reply(401, www_authenticate="Bearer")), OK),
        (checks.judge_missing_token(reply(401)), FINDING),
        (checks.judge_missing_token(reply(200)), FINDING),
        (refusals(reply(401)), OK),
        (refusals(reply(0)), OK),
        (refusals(reply(403)), OK),
        (refusals(reply(403), believed=frozenset({403})), FINDING),
        (refusals(reply(302)), FINDING),
        (refusals(reply(401, b'{"code":"user_not_found"}')), FINDING),
        (checks.judge_smuggling([("a", reply(400))]), OK),
        (checks.judge_smuggling([("a", reply(401, is_closed=True))]), OK),
        (checks.judge_smuggling([("a", reply(401))]), FINDING),
        (checks.judge_smuggling([("a", reply(200, is_closed=True))]), FINDING),
        (checks.judge_smuggling([("a", reply(0))]), FINDING),
        (checks.judge_echo([("a", reply(200, b"{}"))], "mark"), OK),
        (checks.judge_echo([("a", reply(200, b"x: mark"))], "mark"), FINDING),
        (checks.judge_echo([("a", reply(401))], "mark"), SKIPPED),
        (checks.judge_admin([("/metrics", reply(404))]), OK),
        (checks.judge_admin([("/metrics", reply(200, content_type="text/html; charset=utf-8"))]), OK),
        (checks.judge_admin([("/metrics", reply(200, content_type="text/plain"))]), FINDING),
        (checks.judge_backend(None, "http://b"), OK),
        (checks.judge_backend(reply(403), "http://b"), OK),
        (checks.judge_backend(reply(404), "http://b"), FINDING),
        (checks.judge_clock(reply(401, date=date(NOW + 29)), NOW), OK),
        (checks.judge_clock(reply(401, date=date(NOW + 31)), NOW), FINDING),
        (checks.judge_clock(reply(401, date=date(NOW - 31)), NOW), FINDING),
        (checks.judge_clock(reply(401), NOW), SKIPPED),
        (checks.judge_certificate(reply(401), NOW), SKIPPED),
        (checks.judge_certificate(reply(401, end=NOW + 13 * 86400), NOW), FINDING),
        (checks.judge_certificate(reply(401, end=NOW + 15 * 86400), NOW), OK),
        (checks.judge_server_field(reply(401)), OK),
        (checks.judge_server_field(reply(401, server="nginx")), OK),
        (checks.judge_server_field(reply(401, server="nginx/1.22.1")), FINDING),
        (checks.judge_cors(reply(401), "https://x"), OK),
        (checks.judge_cors(reply(401, access_control_allow_origin="*", **CREDENTIALS), "https://x"), OK),
        (checks.judge_cors(reply(401, access_control_allow_origin="https://x", **CREDENTIALS), "https://x"), FINDING),
        (checks.judge_login(reply(401, cache_control="no-store"), "/t"), OK),
        (checks.judge_login(reply(401), "/t"), FINDING),
        (checks.judge_login(reply(200, cache_control="no-store"), "/t"), FINDING),
        (checks.judge_login(reply(404), "/t"), SKIPPED),
    ],
)
def test_judgements(verdict: Verdict, result: Result) -> None:
    assert verdict.result is result, verdict


@pytest.mark.parametrize("secret", checks.COMMON_SECRETS)
def test_s31_no_key_that_is_tried_starts_a_gateway(secret: str) -> None:
    with pytest.raises(KeyRefused):
        build_key("HS256", Secret(secret), None)


def test_a_forged_token_is_signed_as_pyjwt_signs() -> None:
    import jwt

    secret = checks.COMMON_SECRETS[-1]
    forged = checks.forged_token({"alg": "HS256", "typ": "JWT"}, {"user_id": "1"}, secret)
    assert jwt.decode(forged, secret, algorithms=["HS256"]) == {"user_id": "1"}
    assert checks.claims_of(forged) == {"user_id": "1"}


@pytest.mark.parametrize("token", ["", "a", "a.!.c", "a.W10.c"])
def test_claims_that_cannot_be_read(token: str) -> None:
    assert checks.claims_of(token) is None


@pytest.mark.parametrize("path", ["/", "/api/orders/"])
def test_no_trick_is_the_plain_path(path: str) -> None:
    targets = [target for _, target in checks.path_tricks(path, "host:80")]
    assert path.encode() not in targets
    assert len(set(targets)) >= len(targets) - 1


def test_spellings_of_a_field() -> None:
    lines = [line for _, spelled in checks.identity_lines("X-User-Id", "1") for line in spelled]
    for expected in (b"X-User-Id: 1", b"x-user-id: 1", b"X_User_Id: 1", b"X-User-Id : 1", b"Connection: X-User-Id"):
        assert expected in lines
