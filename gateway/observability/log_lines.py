"""A record of the log as members, and members as a line: JSON for machines, words for people.

The code writes a line as `logger.warning("upstream_down name=%s server=%s", ...)`: first the event, then what is told
of it, at the end perhaps words. The names of members come out of that literal and never out of what was put into it,
so nothing from outside can add a member or change one. What has members already, the audit trail, passes `Members`.
"""

import json
import logging
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

_EVENT: Final = re.compile(r"[a-z][a-z0-9_]*")
_NAME: Final = re.compile(r"([a-z][a-z0-9_]*)=(.+)")
_PLAIN: Final = re.compile(r"[!#-\[\]-~]+")  # visible ASCII that needs no quotes
_LIBRARY_EVENT: Final = "library_message"
# A token that a client has put into its path, be it by mistake; an escaped dot is a dot.
_TOKEN: Final = re.compile(r"eyJ[A-Za-z0-9_-]{8,}[.%][A-Za-z0-9_.%-]+")
_MAX_TRACEBACK: Final = 16 * 1024  # the end of it says most
_RESET: Final = "\x1b[0m"
_COLOURS: Final = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_HEAD: Final = ("time", "level", "logger", "event")
_REQUEST: Final = ("method", "path", "status", "ms")


class Members(dict[str, Any]):
    """Members of a line, passed as `logger.info("%s", Members(event=...))`; as text they are one JSON object."""

    def __str__(self) -> str:
        return json.dumps(self, separators=(",", ":"))


def utc(seconds: float) -> str:
    """RFC 3339 with milliseconds."""
    whole = int(seconds)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{int((seconds - whole) * 1000):03d}Z"


def shown_path(target: str) -> str:
    """The path of a target as it may be told: without the query, and without tokens."""
    path = target.partition("?")[0]
    return _TOKEN.sub("(token)", path) if "eyJ" in path else path


def members_of(record: logging.LogRecord) -> dict[str, Any]:
    """Everything that a record says, by name; time, level, logger and event come first."""
    told = record.args if isinstance(record.args, Members) else _read(record)  # logging unpacks a mapping on its own
    members: dict[str, Any] = {
        "time": utc(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        **told,
    }
    if record.exc_info:
        members["traceback"] = logging.Formatter().formatException(record.exc_info)[-_MAX_TRACEBACK:]
    return members


def as_json(members: Mapping[str, Any]) -> str:
    """One line of ASCII."""
    return json.dumps(members, separators=(",", ":"), default=str)


def as_text(members: Mapping[str, Any], *, has_colours: bool = False) -> str:
    """One line, and a traceback as it is usual below it. Members that are null are left out."""
    level = members["level"]
    shown = level.upper()
    if has_colours:
        shown = f"{_COLOURS.get(level, _COLOURS['error'])}{shown}{_RESET}"
    rest = {name: value for name, value in members.items() if name not in _HEAD and value is not None}
    message, traceback = rest.pop("message", None), rest.pop("traceback", None)
    words = [members["time"], shown, members["logger"], members["event"]]
    if members["event"] == "request_ended":
        words[3:] = [_shown(rest.pop(name)) for name in _REQUEST]
        words[-1] += "ms"
    words += [f"{name}={_shown(value)}" for name, value in rest.items()]
    if message is not None:
        words.append(message if message.isprintable() else _shown(message))
    return " ".join(words) + ("" if traceback is None else f"\n{traceback}")


def _shown(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _read(record: logging.LogRecord) -> dict[str, Any]:
    """The members that the template of a record names; all of another library's message is `message`."""
    template, args = record.msg, record.args or ()
    if isinstance(template, str) and isinstance(args, tuple) and record.name.partition(".")[0] == "gateway":
        event, *parts = _parts(template)
        try:
            return _told(event, parts, args)
        except (IndexError, TypeError, ValueError):
            pass  # the arguments do not fit, and logging says so as it always does
    return {"event": _LIBRARY_EVENT, "message": record.getMessage()}


@lru_cache(maxsize=256)
def _parts(template: str) -> tuple[tuple[str, str, int], ...]:
    """Words as (name of the member or "", how it is formatted, number of arguments)."""
    found = []
    for word in template.split(" "):
        named = _NAME.fullmatch(word)
        name, form = (named[1], named[2]) if named else ("", word)
        found.append((name, form, form.replace("%%", "").count("%")))
    return tuple(found)


def _told(event: tuple[str, str, int], parts: list[tuple[str, str, int]], args: tuple[object, ...]) -> dict[str, Any]:
    position = event[2]
    members: dict[str, Any] = {"event": event[1] % args[:position]}
    if not _EVENT.fullmatch(members["event"]):
        raise ValueError("No event comes first.")
    words = []
    for name, form, count in parts:
        taken = args[position : position + count]
        position += count
        if not name:
            words.append(form % taken)
        elif form in ("%s", "%d") and isinstance(taken[0], str | int | float):
            members[name] = taken[0]
        else:
            members[name] = form % taken
    if position != len(args):
        raise ValueError("There are more arguments than places for them.")
    if words:
        members["message"] = " ".join(words)
    return members
