import json
import logging

import pytest

from gateway.endpoints.answers import RequestError, error_answer, json_answer
from gateway.errors import ANSWERS, GatewayError, Reason, Refused, StoreUnavailable, UsageError

CHALLENGE = 'Bearer realm="api"'


def test_json_is_compact_and_carries_no_charset() -> None:
    answer = json_answer(200, {"refresh": "a", "access": "é\u2028"})
    assert answer.body == '{"refresh":"a","access":"é\\u2028"}'.encode()
    assert answer.headers["Content-Type"] == "application/json"


def test_s84_a_lone_surrogate_from_the_request_is_escaped() -> None:
    answer = json_answer(400, {"detail": "\ud800"})
    assert answer.body == b'{"detail":"\\ud800"}'
    assert json.loads(answer.body) == {"detail": "\ud800"}


@pytest.mark.parametrize("reason", list(ANSWERS))
def test_every_reason_has_an_answer(reason: Reason) -> None:
    answer = error_answer(Refused(reason), challenge=CHALLENGE)
    known = ANSWERS[reason]
    assert answer.status == known.status
    assert answer.headers.get("WWW-Authenticate") == (CHALLENGE if known.challenge else None)
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body).get("code") == known.code
    assert answer.keep_alive is (False if known.close else None)


@pytest.mark.parametrize(
    ("reason", "body"),
    [
        (Reason.TOKEN_EXPIRED, b'{"detail":"Token is expired","code":"token_not_valid"}'),
        (Reason.WRONG_CREDENTIALS, b'{"detail":"No active account found with the given credentials"}'),
        (Reason.NO_ACTIVE_ACCOUNT, b'{"detail":"No active account found for the given token."}'),
    ],
)
def test_token_faults_are_told_in_detail(reason: Reason, body: bytes) -> None:
    assert error_answer(Refused(reason), challenge=CHALLENGE).body == body


def test_overload_says_when_to_come_back() -> None:
    assert error_answer(Refused(Reason.OVERLOADED), challenge=CHALLENGE).headers["Retry-After"] == "1"


def test_s85_a_store_that_fails_is_told_to_the_operator_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "gateway.endpoints"):
        answer = error_answer(StoreUnavailable("disk I/O error in /var/lib/gateway"), challenge=CHALLENGE)
    assert answer.status == 503
    assert b"disk" not in answer.body
    assert "disk I/O error" in caplog.text


def test_a_request_error_is_its_own_answer() -> None:
    answer = error_answer(RequestError(413, {"detail": "x"}, close=True), challenge=CHALLENGE)
    assert (answer.status, answer.body, answer.keep_alive) == (413, b'{"detail":"x"}', False)
    assert error_answer(RequestError(400, {}), challenge=CHALLENGE).keep_alive is None


def test_an_error_that_has_no_answer_goes_on() -> None:
    with pytest.raises(GatewayError):
        error_answer(UsageError("no such user"), challenge=CHALLENGE)
