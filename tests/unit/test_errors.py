"""One reason, one answer; nothing of a request, of a secret or of the machine in any of them."""

import re

import pytest

from gateway.errors import ANSWERS, Answer, ConfigError, Problem, Reason, Refused, throttled_detail


def test_every_reason_has_its_one_answer() -> None:
    # These are for the log alone, and for a WebSocket's Close frame: nobody is there to be answered.
    unanswered = {
        Reason.CLIENT_GONE,
        Reason.TUNNEL_IDLE,
        Reason.MESSAGE_TOO_BIG,
        Reason.BAD_FRAME,
        Reason.STOPPING,
    }
    assert set(ANSWERS) == set(Reason) - unanswered


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_a_stable_code(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason.value)
    assert reason.name == reason.value.upper()


@pytest.mark.parametrize("reason", ANSWERS)
def test_s85_answers_are_constant_sentences(reason: Reason) -> None:
    answer = ANSWERS[reason]
    for text in (answer.detail, answer.message or ""):
        assert text.isprintable()
        assert text.isascii()
        assert not re.search(r"[{}%\\/]|\.py|aiohttp|jwt|sqlite|python|0x", text.lower().replace("http/1.", ""))


@pytest.mark.parametrize("reason", ANSWERS)
def test_s42_a_401_and_nothing_else_is_challenged(reason: Reason) -> None:
    answer = ANSWERS[reason]
    assert answer.challenge is (answer.status == 401)
    assert (answer.message is not None) <= (answer.code == "token_not_valid")


@pytest.mark.parametrize("reason", ANSWERS)
def test_a_code_is_the_reason_or_simplejwts(reason: Reason) -> None:
    code = ANSWERS[reason].code
    assert code in (
        reason.value,
        None,
        "token_not_valid",
        "bad_authorization_header",
        "user_not_found",
        "user_inactive",
    )
    # Where the gateway speaks for itself, the code in the body is the one in the log. THROTTLED speaks DRF's words.
    if ANSWERS[reason].status != 401 and reason is not Reason.THROTTLED:
        assert code == reason.value


def test_s15_what_cannot_be_cut_for_certain_ends_the_connection() -> None:
    closing = {reason for reason, answer in ANSWERS.items() if answer.close}
    unclear = {Reason.BAD_REQUEST, Reason.BAD_TARGET, Reason.BAD_HOST, Reason.BAD_FRAMING, Reason.HEAD_TOO_LARGE}
    assert unclear | {Reason.HEAD_TIMEOUT, Reason.BODY_TIMEOUT, Reason.INTERNAL_ERROR} <= closing
    # A client that may try again with another token keeps its connection.
    assert not {reason for reason in closing if ANSWERS[reason].status in (401, 403, 404, 405, 503)}


def test_cannot_tell_is_neither_a_401_nor_a_pass() -> None:
    for reason in (Reason.STORE_UNAVAILABLE, Reason.OVERLOADED):
        assert ANSWERS[reason].status == 503


def test_a_refusal_says_its_reason_and_no_more() -> None:
    refused = Refused(Reason.TOKEN_EXPIRED)
    assert (refused.reason, str(refused)) == (Reason.TOKEN_EXPIRED, "token_expired")


@pytest.mark.parametrize(("seconds", "words"), [(1, "1 second."), (2, "2 seconds."), (61, "61 seconds.")])
def test_who_is_throttled_is_told_for_how_long(seconds: int, words: str) -> None:
    assert throttled_detail(seconds) == f"Request was throttled. Expected available in {words}"
    assert Refused(Reason.THROTTLED, retry_after=seconds).retry_after == seconds
    assert Refused(Reason.NO_ROUTE).retry_after == 0


def test_an_answer_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        ANSWERS[Reason.NO_ROUTE].status = 200  # type: ignore[misc]
    assert isinstance(ANSWERS[Reason.NO_ROUTE], Answer)


@pytest.mark.parametrize(
    ("line", "path", "text"),
    [
        (3, "routes[0].access", "a.yaml:3: routes[0].access: is wrong"),
        (3, "", "a.yaml:3: is wrong"),
        (0, "listen", "a.yaml: listen: is wrong"),
        (0, "", "a.yaml: is wrong"),
    ],
)
def test_a_problem_says_where_it_is(line: int, path: str, text: str) -> None:
    assert str(Problem(file="a.yaml", line=line, path=path, message="is wrong")) == text


def test_all_problems_are_shown() -> None:
    problems = [Problem(file="a.yaml", line=number, path="", message="is wrong") for number in (1, 2)]
    error = ConfigError(problems)
    assert error.problems == tuple(problems)
    assert str(error) == "a.yaml:1: is wrong\na.yaml:2: is wrong"
