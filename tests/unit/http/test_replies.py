"""The gateway's own answers: whole and parseable, with SimpleJWT's bodies where SimpleJWT has them."""

import json
from http import HTTPStatus
from typing import Any

import pytest

from gateway.errors import ANSWERS, Reason
from gateway.http.replies import CONTINUE, Replies, body_of, challenge, confirmed, no_content, status_line, to_json

CHALLENGE = challenge("Bearer", "api")
REPLIES = Replies(challenge=CHALLENGE)


def taken_apart(raw: bytes) -> tuple[int, str, dict[str, str], bytes]:
    """Status, phrase, fields (none of which may come twice) and body."""
    head, end, body = raw.partition(b"\r\n\r\n")
    assert end
    first, *lines = head.decode().split("\r\n")
    version, status, phrase = first.split(" ", 2)
    assert version == "HTTP/1.1"
    fields = [tuple(line.split(": ", 1)) for line in lines]
    assert len(dict(fields)) == len(fields)
    return int(status), phrase, dict(fields), body


def rendered(
    reason: Reason, *, fields: bytes = b"", close: bool = False, is_head: bool = False
) -> tuple[int, str, dict[str, str], bytes]:
    return taken_apart(REPLIES.render(reason, request_id=b"r-1", fields=fields, close=close, is_head=is_head))


@pytest.mark.parametrize("reason", ANSWERS)
def test_each_reason_is_one_whole_answer(reason: Reason) -> None:
    answer = ANSWERS[reason]
    status, phrase, fields, body = rendered(reason)
    assert (status, phrase) == (answer.status, HTTPStatus(answer.status).phrase)
    assert REPLIES.status(reason) == answer.status
    assert REPLIES.closes(reason) is answer.close

    told: dict[str, Any] = json.loads(body)
    is_own = told.pop("request_id", None) == "r-1"
    assert told == body_of(answer)
    # SimpleJWT's bodies stay exactly as they are; the gateway's own refusals name the request.
    assert is_own is (answer.code == reason.value and not answer.challenge)

    assert int(fields.pop("Content-Length")) == len(body)
    assert fields.pop("WWW-Authenticate", None) == (CHALLENGE if answer.challenge else None)
    assert fields.pop("Retry-After", None) == ("1" if answer.status == 503 else None)
    if reason is Reason.WEBSOCKET_VERSION:
        # RFC 6455 §4.4, RFC 9110 §15.5.22: what would do, and where to.
        assert fields.pop("Sec-WebSocket-Version") == "13"
        assert (fields.pop("Upgrade"), fields.pop("Connection")) == ("websocket", "Upgrade")
    assert fields == {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": "r-1",
    }


@pytest.mark.parametrize("reason", [Reason.TOKEN_EXPIRED, Reason.NO_ROUTE])
def test_what_an_exchange_adds(reason: Reason) -> None:
    plain = rendered(reason)
    more = rendered(reason, fields=b"Allow: GET\r\nVary: Origin\r\n", close=True)
    assert more[2] == plain[2] | {"Allow": "GET", "Vary": "Origin", "Connection": "close"}
    assert (more[0], more[3]) == (plain[0], plain[3])
    # RFC 9110 §9.3.2: the fields of a GET, and no content.
    assert rendered(reason, is_head=True) == (*plain[:3], b"")


@pytest.mark.parametrize(("seconds", "told"), [(1, "1 second"), (2, "2 seconds"), (900, "900 seconds")])
def test_who_is_throttled_is_told_when_to_come_again(seconds: int, told: str) -> None:
    raw = REPLIES.render(
        Reason.THROTTLED, request_id=b"r-1", fields=b"Vary: Origin\r\n", close=False, is_head=False, retry_after=seconds
    )
    status, _, fields, body = taken_apart(raw)
    assert (status, fields["Retry-After"], fields["Vary"]) == (429, str(seconds), "Origin")
    assert json.loads(body) == {"detail": f"Request was throttled. Expected available in {told}."}
    assert int(fields["Content-Length"]) == len(body)


def test_the_body_of_a_token_fault_is_simplejwts() -> None:
    assert json.dumps(body_of(ANSWERS[Reason.TOKEN_EXPIRED])) == json.dumps(
        {
            "detail": "Given token not valid for any token type",
            "code": "token_not_valid",
            "messages": [{"token_class": "AccessToken", "token_type": "access", "message": "Token is expired"}],
        }
    )
    assert body_of(ANSWERS[Reason.NOT_AUTHENTICATED]) == {"detail": "Authentication credentials were not provided."}


def test_json_is_compact_and_keeps_its_characters() -> None:
    assert to_json({"a": ["é", 1]}) == '{"a":["é",1]}'.encode()


def test_the_challenge_is_the_scheme_and_the_realm() -> None:
    assert challenge("JWT", "the api") == 'JWT realm="the api"'


@pytest.mark.parametrize("close", [False, True])
def test_the_answer_to_a_preflight_has_no_content(close: bool) -> None:
    status, phrase, fields, body = taken_apart(no_content(request_id=b"r-1", fields=b"Vary: Origin\r\n", close=close))
    assert (status, phrase, body) == (204, "No Content", b"")
    # RFC 9110 §8.6: a 204 has no Content-Length.
    assert fields == {"X-Request-Id": "r-1", "Vary": "Origin"} | ({"Connection": "close"} if close else {})


@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("identity", [None, b"X-User-Id: 7\r\nX-User-Roles: a"])
def test_leave_to_pass_says_who_is_there_and_nothing_else(close: bool, identity: bytes | None) -> None:
    reply = confirmed(request_id=b"r-1", fields=b"Vary: Origin\r\n", identity=identity, close=close)
    status, phrase, fields, body = taken_apart(reply)
    assert (status, phrase, body) == (200, "OK", b"")
    expected = {"Cache-Control": "no-store", "X-Request-Id": "r-1", "Vary": "Origin", "Content-Length": "0"}
    expected |= {"Connection": "close"} if close else {}
    assert fields == expected | ({} if identity is None else {"X-User-Id": "7", "X-User-Roles": "a"})


def test_interim_and_status_lines() -> None:
    assert taken_apart(CONTINUE) == (100, "Continue", {}, b"")
    assert status_line(418, b"I'm a teapot") == b"HTTP/1.1 418 I'm a teapot\r\n"
