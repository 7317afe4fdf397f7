"""Who logged in, who was refused, who left and what was changed: one line each on the logger `gateway.audit`.

No line ever holds a password or a token. What a client chose freely (the user name it tried, its request id) is cut to
a bound and written in ASCII escapes, so that it can neither fill the log nor begin a line of its own.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import Reason
from gateway.observability.audit_events import COMMAND_EVENTS, OUTCOME_UNKNOWN, AuditEvent, bounded
from gateway.observability.log_lines import Members, utc
from gateway.observability.meters import AuthMeter
from gateway.types import IssuedToken

LOGGER: Final = logging.getLogger("gateway.audit")

_OTHER_EVENT: Final = "other"  # to be counted, of a newer gateway's command


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request came from: the peer's address and the ids that the access log has for the same request.

    `user_agent` is what the client says of itself; it is not in the audit trail.
    """

    client_address: str
    request_id: str
    trace_id: str | None = None
    user_agent: str = ""


class AuditLog:
    """Writes the audit trail; `clock` gives Unix seconds."""

    def __init__(self, *, clock: Callable[[], float], meter: AuthMeter) -> None:
        self._clock = clock
        self._meter = meter

    def login_succeeded(self, origin: Origin, *, login: str, user_id: str, session_id: str) -> None:
        self._write(logging.INFO, "login_succeeded", origin, user=login, user_id=user_id, session=session_id)

    def login_failed(self, origin: Origin, *, login: str, reason: Reason) -> None:
        self._write(logging.WARNING, "login_failed", origin, user=login, reason=reason.value)

    def login_throttled(self, origin: Origin, *, login: str, by: str) -> None:
        """Refused before its password was looked at; `by` says what has failed too often, "user" or "address"."""
        self._write(logging.WARNING, "login_throttled", origin, user=login, by=by)

    def refresh_succeeded(self, origin: Origin, token: IssuedToken) -> None:
        self._write(logging.INFO, "refresh_succeeded", origin, **_of(token))

    def refresh_refused(self, origin: Origin, token: IssuedToken | None, *, reason: Reason) -> None:
        """`token` is None when what came is no token of ours."""
        self._write(logging.WARNING, "refresh_refused", origin, **_of(token), reason=reason.value)

    def session_revoked(self, origin: Origin, token: IssuedToken) -> None:
        """A spent refresh token came back: somebody else may hold a copy, and the whole session was ended."""
        self._write(logging.WARNING, "session_revoked", origin, **_of(token), reason="refresh_token_reused")

    def session_ended(self, origin: Origin, token: IssuedToken, *, session_id: str) -> None:
        """A user ended one of his sessions, with a token of this or of another one."""
        self._write(logging.INFO, "session_ended", origin, user_id=token.user_id, session=session_id)

    def logout_succeeded(self, origin: Origin, token: IssuedToken) -> None:
        self._write(logging.INFO, "logout_succeeded", origin, **_of(token))

    def logout_refused(self, origin: Origin, token: IssuedToken | None, *, reason: Reason) -> None:
        self._write(logging.WARNING, "logout_refused", origin, **_of(token), reason=reason.value)

    def command_changed(self, event: AuditEvent, *, event_id: str) -> None:
        """What somebody changed on the command line, as the command left it for us."""
        reason = event.details.get("reason")
        self._meter.count(event.name if event.name in COMMAND_EVENTS else _OTHER_EVENT, reason and OUTCOME_UNKNOWN)
        level = logging.INFO if reason is None else logging.WARNING
        LOGGER.log(level, "%s", Members(time=event.time, event=event.name, **event.details, event_id=event_id))

    def events_lost(self, count: int) -> None:
        """So many changes on the command line were dropped, because no gateway came to write them."""
        self._meter.count("audit_events_lost", None)
        LOGGER.warning("%s", Members(time=utc(self._clock()), event="audit_events_lost", count=count))

    def _write(self, level: int, event: str, origin: Origin, **details: str | None) -> None:
        self._meter.count(event, details.get("reason") or details.get("by"))
        if not LOGGER.isEnabledFor(level):
            return
        record = Members(
            time=utc(self._clock()),
            event=event,
            client=bounded(origin.client_address),
            request_id=bounded(origin.request_id),
            **{name: bounded(text) for name, text in details.items() if text is not None},
        )
        if origin.trace_id is not None:
            record["trace_id"] = origin.trace_id
        LOGGER.log(level, "%s", record)


def _of(token: IssuedToken | None) -> dict[str, str | None]:
    return {} if token is None else {"user_id": token.user_id, "session": token.session_id}


def tell_keys(*, kid: str | None, algorithm: str, further: Sequence[str | None], reason: str) -> None:
    """Which key signs from now on, and which others check; `reason` is "start" or "reload". Never a key itself.

    Told by the process that reads the configuration, once for all workers.
    """
    members = Members(event="keys_loaded", kid=kid, algorithm=algorithm, further_kids=list(further), reason=reason)
    LOGGER.info("%s", members)
