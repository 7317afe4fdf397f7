"""How the doctor judges what it saw."""

import email.utils

import pytest

from gateway.commands import doctor_checks as checks
from gateway.commands.doctor_checks import Result, Verdict
from gateway.commands.doctor_wire import Reply

NOW = 1_700_000_000.0


def reply(status: int, body: bytes = b"", *, is_closed: bool = False, end: float | None = None, **fields: str) -> Reply:
    pairs = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    return Reply(status=status, fields=pairs, body=body, is_closed=is_closed, certificate_end=end)


def date(seconds: float) -> str:
    return email.utils.formatdate(seconds, usegmt=True)


def refusals(answer: Reply, **options: frozenset[int]) -> Verdict:
    return checks.judge_refusals("x", [("a", answer)], "advice", **options)


NOBODY = reply(404)
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
        (refusals(reply(429)), SKIPPED),
        (checks.judge_refusals("x", [("a", reply(200, b"p"))], "y", decoy=reply(200, b"p")), OK),
        (checks.judge_refusals("x", [("a", reply(200, b"q"))], "y", decoy=reply(200, b"p")), FINDING),
        (checks.judge_smuggling([("a", reply(400))]), OK),
        (checks.judge_smuggling([("a", reply(401, is_closed=True))]), OK),
        (checks.judge_smuggling([("a", reply(401))]), FINDING),
        (checks.judge_smuggling([("a", reply(200, is_closed=True))]), FINDING),
        (checks.judge_smuggling([("a", reply(0))]), FINDING),
        (checks.judge_echo([("a", reply(200, b"{}"))], "mark"), OK),
        (checks.judge_echo([("a", reply(200, b"x: mark"))], "mark"), FINDING),
        (checks.judge_echo([("a", reply(401))], "mark"), SKIPPED),
        (checks.judge_admin([("/metrics", reply(404))], NOBODY), OK),
        (checks.judge_admin([("/metrics", reply(200, content_type="text/html; charset=utf-8"))], NOBODY), OK),
        (checks.judge_admin([("/metrics", reply(200, content_type="text/plain"))], NOBODY), FINDING),
        (checks.judge_admin([("/metrics", reply(200, b"page"))], reply(200, b"page")), OK),
        (checks.judge_backends([("http://b", None)]), OK),
        (checks.judge_backends([("http://a", None), ("http://b", reply(403))]), OK),
        (checks.judge_backends([("http://a", None), ("http://b", reply(404))]), FINDING),
        (checks.judge_reflection([("a", reply(401, b"{}", location="/login"))], "mark"), OK),
        (checks.judge_reflection([("a", reply(401, b"mark"))], "mark"), FINDING),
        (checks.judge_reflection([("a", reply(302, location="https://mark/"))], "mark"), FINDING),
        (checks.judge_own_key(reply(401, b"Token is expired")), OK),
        (checks.judge_own_key(reply(401, b"Token is invalid")), FINDING),
        (checks.judge_own_key(reply(403)), SKIPPED),
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
