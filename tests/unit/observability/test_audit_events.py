import json

import pytest

from gateway.observability.audit_events import MAX_TEXT_CHARS, AuditEvent


def test_an_event_comes_back_as_it_was() -> None:
    details = {"user": "a\n\ud800é", "user_id": "1"}
    event = AuditEvent.at(1_800_000_000.25, "user_disabled", details)
    assert event.to_text().isascii()
    assert AuditEvent.from_text(event.to_text()) == event
    assert event.time == "2027-01-15T08:00:00.250Z"


def test_s86_no_text_is_longer_than_a_line_bears() -> None:
    told = AuditEvent.at(0, "user_added", {"user": "x" * 100_000}).to_text()
    assert len(told) < 500
    assert AuditEvent.from_text(json.dumps({"time": "t" * 999, "event": "a", "user": "x" * 999})) == AuditEvent(
        time="t" * MAX_TEXT_CHARS + "…", name="a", details={"user": "x" * MAX_TEXT_CHARS + "…"}
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        "[" * 100_000,
        '{"time":"t"}',
        '{"event":"Ev ent"}',
        '{"event":7}',
        '{"event":"a","user":null}',
        '{"event":"a","user":{"b":"c"}}',
        '{"event":"a","a b":"c"}',
        '{"event":"a","level":"error"}',
        '{"event":"a","logger":"gateway"}',
        '{"event":"a","event_id":"other"}',
        '{"event":"a","traceback":"x"}',
        json.dumps({"event": "a", **{f"m{number}": "" for number in range(40)}}),
    ],
)
def test_s86_what_no_command_has_written_is_no_event(text: str) -> None:
    with pytest.raises(ValueError):
        AuditEvent.from_text(text)
