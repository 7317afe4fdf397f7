"""Where the lines of the log go, and in which form: JSON into pipes and files, words on a terminal."""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, TextIO

from gateway.observability.log_lines import as_json, as_text, members_of

Render = Callable[[Mapping[str, Any]], str]

# The audit trail is not a matter of how talkative a log is.
_ALWAYS_TOLD: Final = "gateway.audit"


class _Formatter(logging.Formatter):
    def __init__(self, render: Render) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        return self._render(members_of(record))


def words_for(stream: TextIO, form: str) -> Render | None:
    """How a line is told on `stream`, where it is told in words. `form` is auto, json or text."""
    is_terminal = stream.isatty()
    if form == "json" or (form == "auto" and not is_terminal):
        return None
    # https://no-color.org: set and not empty.
    has_colours = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return lambda members: as_text(members, has_colours=has_colours)


def configure_logging(*, form: str = "auto", level: str = "info") -> None:
    """Everything that this process logs goes to standard error from now on, in one form; `level` is the least that is
    told. Libraries tell what is wrong, no more."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(words_for(sys.stderr, form) or as_json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, _number(level)))
    logging.getLogger("gateway").setLevel(_number(level))
    logging.getLogger(_ALWAYS_TOLD).setLevel(logging.INFO)
    logging.captureWarnings(True)


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]
