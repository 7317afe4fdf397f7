"""Events of the audit trail that one process makes and another one writes: what was changed on the command line.

On the way they are one JSON object of texts, `time` and `event` among them. Who can write into the store can write any,
so what comes back is read as a stranger's: bounded, and only as members that are words.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from gateway.observability.log_lines import utc

MAX_TEXT_CHARS: Final = 255  # the longest user name that can log in; request ids and addresses are far shorter

COMMAND_EVENTS: Final = frozenset(
    {
        "user_added",
        "user_password_changed",
        "user_roles_changed",
        "user_disabled",
        "user_enabled",
        "user_removed",
        "users_imported",
        "users_exported",
        "session_revoked",
        "user_sessions_revoked",
        "all_sessions_revoked",
        "token_revoked",
        "key_made",
    }
)
"""What commands tell of."""

OUTCOME_UNKNOWN: Final = "outcome_unknown"
"""The `reason` of an event whose command never said how it ended."""

_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MAX_MEMBERS: Final = 32
_OF_THE_LINE: Final = frozenset({"level", "logger", "event_id", "message", "traceback"})  # not an event's to say


def bounded(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else text[:MAX_TEXT_CHARS] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """`time` is when it was made, as lines have it; `details` are further members."""

    time: str
    name: str
    details: Mapping[str, str]

    @classmethod
    def at(cls, seconds: float, name: str, details: Mapping[str, str]) -> Self:
        """Of this moment (Unix seconds)."""
        return cls(time=utc(seconds), name=name, details=details)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Raises `ValueError` where the text is none of `to_text`."""
        try:
            members = json.loads(text)
        except RecursionError as error:
            raise ValueError("It is nested too deeply.") from error
        if not isinstance(members, dict) or len(members) > _MAX_MEMBERS:
            raise ValueError("It is no object of a few members.")
        if not all(_WORD.fullmatch(name) and isinstance(value, str) for name, value in members.items()):
            raise ValueError("A member is no word, or its value is no text.")
        time, name = members.pop("time", ""), members.pop("event", "")
        if not _WORD.fullmatch(name) or members.keys() & _OF_THE_LINE:
            raise ValueError("It says what is not for it to say.")
        return cls(time=bounded(time), name=name, details={name: bounded(value) for name, value in members.items()})

    def to_text(self) -> str:
        """ASCII, whatever is in it."""
        details = {name: bounded(value) for name, value in self.details.items()}
        return json.dumps({"time": self.time, "event": self.name, **details}, separators=(",", ":"))
