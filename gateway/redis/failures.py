"""What the driver raises → `StoreUnavailable` with a sentence for the operator.

Of the driver's own texts only the server's errors are passed on: these hold nothing of ours but the names of commands.
"""

import re
import ssl
from collections.abc import Mapping
from typing import Final

import redis.exceptions

from gateway.errors import StoreUnavailable, printable

_SENTENCES: Final[Mapping[str, str]] = {
    "WRONGPASS": "refuses the user name or the password; correct the URL, or give the user this password",
    "NOAUTH": "asks for a password; put it into the URL",
    "NOPERM": "does not give this user the rights that it needs; see docs/state.md for its ACL",
    "READONLY": "is a read-only replica; name the primary",
    "NOREPLICAS": "has too few replicas to accept a change",
    "MASTERDOWN": "is a replica that has lost its primary",
    "OOM": "is full; raise its maxmemory",
    "MISCONF": "cannot write to its disk",
    "LOADING": "is starting: it loads what it had saved",
    "BUSY": "is busy with another client's script",
    "MOVED": "is a cluster and keeps these keys at another server; name that one",
    "CLUSTERDOWN": "is a cluster that is down",
}
"""The first word of a server's error → what the operator reads after the place."""

# The error of a command in a script stands inside the script's own. Redis 6.2 has no code for a missing right there.
_CODE: Final = re.compile(rf"\b({'|'.join(_SENTENCES)})\b")
_NO_RIGHT: Final = "can't run this command"

# Of these the driver keeps the server's code to itself.
_CODES: Final = (
    (redis.exceptions.NoPermissionError, "NOPERM"),
    (redis.exceptions.AuthenticationError, "WRONGPASS"),
    (redis.exceptions.ReadOnlyError, "READONLY"),
    (redis.exceptions.OutOfMemoryError, "OOM"),
    (redis.exceptions.BusyLoadingError, "LOADING"),
    (redis.exceptions.MasterDownError, "MASTERDOWN"),
    (redis.exceptions.ClusterDownError, "CLUSTERDOWN"),  # the one above is one of these
    (redis.exceptions.MovedError, "MOVED"),
)


def unavailable(error: BaseException, place: str) -> StoreUnavailable:
    """To be raised in the place of `error`, whatever that is."""
    return error if isinstance(error, StoreUnavailable) else StoreUnavailable(f"{place} {_sentence(error)}.")


def _sentence(error: BaseException) -> str:
    if isinstance(error.__cause__, redis.exceptions.RedisError):  # what went wrong while the driver connected
        error = error.__cause__
    text = str(error)
    if isinstance(error, redis.exceptions.AuthenticationError) and "required" in text:
        return _SENTENCES["NOAUTH"]
    for kind, code in _CODES:
        if isinstance(error, kind):
            return _SENTENCES[code]
    if isinstance(error, redis.exceptions.ResponseError):
        found = _CODE.search(text)
        if found is None and _NO_RIGHT not in text:
            return f"cannot be used ({printable(text)})"
        return _SENTENCES[found.group() if found else "NOPERM"]
    if isinstance(error, redis.exceptions.TimeoutError | TimeoutError):
        return "does not answer in time"
    return _sentence_of_connection(error)


def _sentence_of_connection(error: BaseException) -> str:
    # The driver wraps what the system said; its own sentence of that is full of its internals.
    cause = error if isinstance(error, OSError) else error.__cause__ or error.__context__
    match cause:
        case ssl.SSLError():
            return f"cannot be trusted, or speaks no TLS: {cause.reason or 'the handshake failed'}"
        case OSError():
            return f"cannot be reached: {cause.strerror or 'the connection is broken'}"
    if isinstance(error, redis.exceptions.ConnectionError):
        return "cannot be reached: the connection is broken"
    return f"cannot be used: {type(error).__name__}"
