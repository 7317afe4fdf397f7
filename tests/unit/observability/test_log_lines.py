"""What a line of the log says, as members, as JSON and in words."""

import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Reason
from gateway.observability.log_lines import Members, as_json, as_text, members_of, shown_path, utc

HEAD = {"time": "2027-01-15T08:00:00.250Z", "level": "warning", "logger": "gateway"}


def members(template: object, *args: object, name: str = "gateway", exc_info: Any = None) -> dict[str, Any]:
    record = logging.LogRecord(name, logging.WARNING, "file.py", 1, template, args, exc_info)
    record.created = 1_800_000_000.25
    return members_of(record)


@pytest.mark.parametrize(
    ("template", "args", "told"),
    [
        ("store_recovered", (), {"event": "store_recovered"}),
        ("a_b x=%s y=%d", ("one two", 2), {"event": "a_b", "x": "one two", "y": 2}),
        ("a_b x=%s", (None,), {"event": "a_b", "x": "None"}),
        ("a_b x=%s", (Reason.UPSTREAM_BROKEN,), {"event": "a_b", "x": "upstream_broken"}),
        ("a_b x=%gs y=%.1f%%", (0.5, 7), {"event": "a_b", "x": "0.5s", "y": "7.0%"}),
        ("a_b because of %s x=%s", ("rain", 1), {"event": "a_b", "x": 1, "message": "because of rain"}),
        ("%s count=%d", ("a_b", 3), {"event": "a_b", "count": 3}),
        ("%s", (Members(event="a_b", x=1),), {"event": "a_b", "x": 1}),
    ],
)
def test_members_are_what_the_code_names(template: str, args: tuple[object, ...], told: dict[str, Any]) -> None:
    assert members(template, *args) == HEAD | told


@pytest.mark.parametrize("text", ["x y=1", "a_b reason=forged", "é\n\x1b[2J\u2028", "%s %d"])
def test_s86_nothing_that_is_put_in_becomes_a_member(text: str) -> None:
    assert members("a_b x=%s", text) == HEAD | {"event": "a_b", "x": text}
    assert members("a_b %s", text) == HEAD | {"event": "a_b", "message": text}


@pytest.mark.parametrize(
    ("template", "args", "name", "message"),
    [
        ("Task was destroyed: x=%s", ("y",), "asyncio", "Task was destroyed: x=y"),
        ("A sentence.", (), "gateway", "A sentence."),
        ("%s", ("a sentence",), "gateway", "a sentence"),
        ("%(x)s happened", ({"x": "it"},), "gateway", "it happened"),
        (ValueError("an object"), (), "gateway", "an object"),
    ],
)
def test_what_is_no_event_is_a_message(template: object, args: tuple[object, ...], name: str, message: str) -> None:
    assert members(template, *args, name=name) == HEAD | {
        "logger": name,
        "event": "library_message",
        "message": message,
    }


@pytest.mark.parametrize("args", [(), (1, 2)])
def test_arguments_that_do_not_fit_are_said_as_logging_says_it(args: tuple[object, ...]) -> None:
    if not args:
        assert members("a_b x=%s", *args)["message"] == "a_b x=%s"
    else:
        with pytest.raises(TypeError):
            members("a_b x=%s", *args)


def test_a_traceback_is_one_member_and_bounded() -> None:
    try:
        raise LookupError("here" + "x" * 100_000)
    except LookupError:
        told = members("a_b", exc_info=sys.exc_info())
    assert len(told["traceback"]) == 16 * 1024
    assert "\n" not in as_json(told)
    try:
        raise LookupError("here")
    except LookupError:
        told = members("a_b", exc_info=sys.exc_info())
    assert told["traceback"].startswith("Traceback (most recent call last):\n")
    assert as_text(told) == "2027-01-15T08:00:00.250Z WARNING gateway a_b\n" + told["traceback"]


@given(st.text(), st.text())
def test_s86_one_record_is_one_line_of_ascii_in_either_form(name: str, words: str) -> None:
    told = members("a_b x=%s y=%s %s", name, 1, words)
    line = as_json(told)
    assert json.loads(line) == told
    for each in (line, as_text(told)):
        assert each.isascii() or words.isprintable()
        assert len(each.splitlines()) == 1


def test_in_words_it_is_an_event_and_what_is_told_of_it() -> None:
    told = HEAD | {"event": "upstream_down", "message": "so far", "name": "a b", "reason": "x=y", "code": 7, "by": None}
    assert as_text(told) == '2027-01-15T08:00:00.250Z WARNING gateway upstream_down name="a b" reason=x=y code=7 so far'


def test_a_request_reads_as_people_write_it() -> None:
    told = HEAD | {"level": "info", "logger": "gateway.access", "event": "request_ended", "client": "192.0.2.7"}
    told |= {"method": "GET", "path": "/a b", "status": 200, "bytes": 12, "ms": 1.5, "user_id": None, "route": "/"}
    assert (
        as_text(told)
        == '2027-01-15T08:00:00.250Z INFO gateway.access GET "/a b" 200 1.5ms client=192.0.2.7 bytes=12 route=/'
    )


@pytest.mark.parametrize(
    ("level", "shown"),
    [("info", "\x1b[32mINFO\x1b[0m"), ("error", "\x1b[31mERROR\x1b[0m"), ("critical", "\x1b[31mCRITICAL\x1b[0m")],
)
def test_a_level_may_be_coloured(level: str, shown: str) -> None:
    assert f" {shown} gateway " in as_text(HEAD | {"level": level, "event": "a_b"}, has_colours=True)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b?c", "/a/b"),
        ("/eyJ/eyJhbGciOiJI/x.html", "/eyJ/eyJhbGciOiJI/x.html"),
        ("/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2ln/x?y", "/reset/(token)/x"),
        ("/eyJhbGciOiJIUzI1NiJ9%2EeyJzdWIiOjF9%2Ec2ln;eyJhbGciOiJIUzI1NiJ9.eyJ", "/(token);(token)"),
    ],
)
def test_s86_a_path_is_told_without_tokens(target: str, path: str) -> None:
    assert shown_path(target) == path


def test_time_is_rfc_3339_with_milliseconds() -> None:
    assert utc(1_800_000_000.0019) == "2027-01-15T08:00:00.001Z"
    assert utc(1_800_000_059.9999) == "2027-01-15T08:00:59.999Z"
