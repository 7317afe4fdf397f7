"""What the driver raises → `StoreUnavailable` with a sentence for the operator.

The driver's own texts are not passed on but for the server's primary message: a URL that could not be read, with its
password, would be among them.
"""

import ssl
from collections.abc import Mapping
from typing import Final

import asyncpg

from gateway.errors import StoreUnavailable, printable

_SENTENCES: Final[Mapping[str, str]] = {
    "28000": "does not let this role in; look at the server's pg_hba.conf, and at user name and sslmode of the URL",
    "28P01": "refuses the user name or the password; correct the URL, or give the role this password",
    "3D000": "has no such database; create it or correct the URL",
    "42501": "does not give this role the rights that it needs",
    "23505": "has somebody else of this id, name or address by now; look again",
    "25006": "is read-only, as a replica is; name the primary, or all hosts with target_session_attrs=read-write",
    "3F000": "has lost the gateway's schema; restore it, or restart the gateway to begin with an empty one",
    "42P01": "has lost a table of the gateway; restore it from a backup",
    "53100": "cannot grow; the disk is full",
    "53300": "has no connection left; raise its max_connections or lower state.max_connections",
    "57014": "is too slow: a statement did not end in time; look for what blocks or overloads it",
    "57P01": "is being shut down, or somebody ended the connection",
    "57P02": "has crashed and recovers",
    "57P03": "is starting, stopping or recovering",
}
"""SQLSTATE (PostgreSQL's appendix A) → what the operator reads after the place."""


def unavailable(error: BaseException, place: str) -> StoreUnavailable:
    """To be raised in the place of `error`, whatever that is."""
    return error if isinstance(error, StoreUnavailable) else StoreUnavailable(f"{place} {_sentence(error)}.")


def _sentence(error: BaseException) -> str:
    match error:
        case asyncpg.ConnectionDoesNotExistError():  # a PostgresError of the driver's own making
            return "cannot be reached: the connection has ended"
        case asyncpg.PostgresError():
            text = printable(str(error.args[0] if error.args else "no message"))
            return f"{_SENTENCES.get(error.sqlstate or '', 'cannot be used')} ({text})"
        case TimeoutError():
            return "does not answer in time"
        case asyncpg.TargetServerAttributeNotMatched():
            return _SENTENCES["25006"]
        case ssl.SSLError():
            return f"cannot be trusted, or speaks no TLS: {getattr(error, 'reason', None) or 'the handshake failed'}"
        case OSError():
            return f"cannot be reached: {error.strerror or 'the connection is broken'}"
        case asyncpg.InterfaceError() | asyncpg.InternalClientError():  # the latter where it ends amid an answer
            return "has closed the connection"
    return f"cannot be used: {type(error).__name__}"
