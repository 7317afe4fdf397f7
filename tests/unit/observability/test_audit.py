import json
import logging

import pytest

from gateway.errors import Reason
from gateway.observability.audit import LOGGER, AuditLog, Origin, tell_keys
from gateway.observability.audit_events import MAX_TEXT_CHARS, AuditEvent
from gateway.types import TokenReference
from tests.unit.metering import Metering, new_meters

ORIGIN = Origin(client_address="192.0.2.7", request_id="r-1", user_agent="curl/8")
TOKEN = TokenReference(token_id="t", session_id="s", user_id="1", issued_at=0)


@pytest.fixture
def audit() -> AuditLog:
    return AuditLog(clock=lambda: 1_800_000_000.25, meter=new_meters().auth())


def written(caplog: pytest.LogCaptureFixture) -> list[tuple[int, dict[str, str]]]:
    assert all("\n" not in record.getMessage() and record.getMessage().isascii() for record in caplog.records)
    return [(record.levelno, json.loads(record.getMessage())) for record in caplog.records]


def test_s86_each_event_is_one_line_with_peer_and_user(audit: AuditLog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER.name)
    audit.login_succeeded(ORIGIN, login="alice", user_id="1", session_id="s")
    audit.login_failed(ORIGIN, login="bob", reason=Reason.WRONG_CREDENTIALS)
    audit.refresh_succeeded(ORIGIN, TOKEN)
    audit.refresh_refused(ORIGIN, TOKEN, reason=Reason.TOKEN_EXPIRED)
    audit.refresh_refused(ORIGIN, None, reason=Reason.TOKEN_INVALID)
    audit.session_revoked(ORIGIN, TOKEN)
    audit.logout_succeeded(ORIGIN, TOKEN)
    audit.logout_refused(ORIGIN, TOKEN, reason=Reason.TOKEN_REVOKED)
    always = {"time": "2027-01-15T08:00:00.250Z", "client": "192.0.2.7", "request_id": "r-1"}
    known = {"user_id": "1", "session": "s"}
    assert written(caplog) == [
        (logging.INFO, always | {"event": "login_succeeded", "user": "alice", "user_id": "1", "session": "s"}),
        (logging.WARNING, always | {"event": "login_failed", "user": "bob", "reason": "wrong_credentials"}),
        (logging.INFO, always | {"event": "refresh_succeeded"} | known),
        (logging.WARNING, always | {"event": "refresh_refused", "reason": "token_expired"} | known),
        (logging.WARNING, always | {"event": "refresh_refused", "reason": "token_invalid"}),
        (logging.WARNING, always | {"event": "session_revoked", "reason": "refresh_token_reused"} | known),
        (logging.INFO, always | {"event": "logout_succeeded"} | known),
        (logging.WARNING, always | {"event": "logout_refused", "reason": "token_revoked"} | known),
    ]


def test_each_event_is_counted_whether_it_is_logged_or_not(caplog: pytest.LogCaptureFixture) -> None:
    metering = Metering()
    audit = AuditLog(clock=lambda: 0.0, meter=metering.meters.auth())
    for level in (logging.INFO, logging.CRITICAL):
        caplog.set_level(level, LOGGER.name)
        audit.login_succeeded(ORIGIN, login="alice", user_id="1", session_id="s")
        audit.login_failed(ORIGIN, login="bob", reason=Reason.WRONG_CREDENTIALS)
        audit.login_throttled(ORIGIN, login="bob", by="address")
    assert metering.series("gateway_auth_events_total") == {
        ("login_succeeded", ""): 2,
        ("login_failed", "wrong_credentials"): 2,
        ("login_throttled", "address"): 2,
    }


@pytest.mark.parametrize("login", ['a"}\n{"event":"login_succeeded', "\x1b[2J\r\u2028\x7f", "\ud800", "é"])
def test_s86_a_hostile_name_stays_inside_its_line(
    audit: AuditLog, caplog: pytest.LogCaptureFixture, login: str
) -> None:
    caplog.set_level(logging.INFO, LOGGER.name)
    audit.login_failed(ORIGIN, login=login, reason=Reason.WRONG_CREDENTIALS)
    [(_, record)] = written(caplog)
    assert record["user"] == login
    assert record["event"] == "login_failed"


def test_s86_texts_of_the_client_are_bounded(audit: AuditLog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER.name)
    origin = Origin(client_address="a" * 1000, request_id="b" * 1000)
    audit.login_failed(origin, login="c" * 60_000, reason=Reason.WRONG_CREDENTIALS)
    [(_, record)] = written(caplog)
    assert {name: len(record[name]) for name in ("client", "request_id", "user")} == {
        "client": MAX_TEXT_CHARS + 1,
        "request_id": MAX_TEXT_CHARS + 1,
        "user": MAX_TEXT_CHARS + 1,
    }


def test_nothing_is_written_below_the_level(audit: AuditLog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, LOGGER.name)
    audit.login_succeeded(ORIGIN, login="alice", user_id="1", session_id="s")
    assert caplog.records == []


def test_s86_what_a_command_changed_is_a_line_of_the_moment_of_the_command(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER.name)
    metering = Metering()
    audit = AuditLog(clock=lambda: 1_900_000_000.0, meter=metering.meters.auth())
    made = {"actor": "cli", "user": "a\n"}
    audit.command_changed(AuditEvent.at(1_800_000_000.25, "user_disabled", made), event_id="e1")
    unknown = {**made, "reason": "outcome_unknown"}
    audit.command_changed(AuditEvent.at(1_800_000_000.25, "from_tomorrow", unknown), event_id="e2")
    audit.events_lost(7)
    always = {"time": "2027-01-15T08:00:00.250Z", "actor": "cli", "user": "a\n"}
    assert written(caplog) == [
        (logging.INFO, always | {"event": "user_disabled", "event_id": "e1"}),
        (logging.WARNING, always | {"event": "from_tomorrow", "reason": "outcome_unknown", "event_id": "e2"}),
        (logging.WARNING, {"time": "2030-03-17T17:46:40.000Z", "event": "audit_events_lost", "count": 7}),
    ]
    assert metering.series("gateway_auth_events_total") == {
        ("user_disabled", ""): 1,
        ("other", "outcome_unknown"): 1,
        ("audit_events_lost", ""): 1,
    }


def test_which_keys_sign_and_check_is_told_by_their_names(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER.name)
    tell_keys(kid="key-2", algorithm="ES256", further=[None, "key-3"], reason="reload")
    [(level, line)] = written(caplog)
    assert level == logging.INFO
    assert line == {
        "event": "keys_loaded",
        "kid": "key-2",
        "algorithm": "ES256",
        "further_kids": [None, "key-3"],
        "reason": "reload",
    }
