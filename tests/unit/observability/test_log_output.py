"""JSON into pipes, words on terminals; what is told at which level."""

import io
import json

import pytest

from gateway.observability.log_output import words_for
from tests.unit.server.scripts import script

TOLD = {"time": "T", "level": "info", "logger": "gateway", "event": "a_b", "x": 1}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "form", "has_words"),
    [
        (Terminal(), "auto", True),
        (io.StringIO(), "auto", False),
        (Terminal(), "json", False),
        (io.StringIO(), "json", False),
        (Terminal(), "text", True),
        (io.StringIO(), "text", True),
    ],
)
def test_words_are_for_terminals_unless_somebody_says_otherwise(
    stream: io.StringIO, form: str, has_words: bool
) -> None:
    assert (words_for(stream, form) is not None) is has_words


@pytest.mark.parametrize(
    ("stream", "no_color", "term", "is_coloured"),
    [
        (Terminal(), "", "xterm", True),
        (Terminal(), "1", "xterm", False),
        (Terminal(), "", "dumb", False),
        (io.StringIO(), "", "xterm", False),
    ],
)
def test_colours_are_for_terminals_that_have_them(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, no_color: str, term: str, is_coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", term)
    words = words_for(stream, "text")
    assert words is not None
    assert words(TOLD) == ("T \x1b[32mINFO\x1b[0m gateway a_b x=1" if is_coloured else "T INFO gateway a_b x=1")


SOURCE = """
import logging, sys, warnings
from gateway.observability.log_output import configure_logging
configure_logging(form=sys.argv[1], level=sys.argv[2])
for name in ("gateway", "gateway.audit", "asyncio"):
    for level in ("info", "warning", "error"):
        getattr(logging.getLogger(name), level)("%s x=%d", f"{level}_told", 1)
try:
    raise LookupError("secret of nobody")
except LookupError:
    logging.getLogger("gateway").exception("request_failed")
with warnings.catch_warnings():
    warnings.simplefilter("always")
    warnings.warn("careful")
"""


@pytest.mark.parametrize(
    ("level", "gateway", "others"),
    [
        ("info", ["info_told", "warning_told", "error_told"], ["warning_told x=1", "error_told x=1"]),
        ("warning", ["warning_told", "error_told"], ["warning_told x=1", "error_told x=1"]),
        ("error", ["error_told"], ["error_told x=1"]),
    ],
)
def test_level_is_the_least_that_is_told_but_of_the_audit_trail(
    level: str, gateway: list[str], others: list[str]
) -> None:
    with script(SOURCE, "auto", level) as process:
        lines = [json.loads(line) for line in process.end()[1]]
    assert [line["event"] for line in lines if line["logger"] == "gateway"] == [*gateway, "request_failed"]
    assert [line["event"] for line in lines if line["logger"] == "gateway.audit"] == [
        "info_told",
        "warning_told",
        "error_told",
    ]
    assert [line["message"] for line in lines if line["logger"] == "asyncio"] == others
    (failed,) = [line for line in lines if line["event"] == "request_failed"]
    assert failed["traceback"].endswith("LookupError: secret of nobody")
    assert [line["logger"] for line in lines][-1:] == (["py.warnings"] if level != "error" else ["gateway"])


def test_text_is_words_in_a_pipe_too() -> None:
    with script(SOURCE, "text", "error") as process:
        first = process.line()
    assert first.endswith("Z ERROR gateway error_told x=1")
