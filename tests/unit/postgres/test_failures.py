"""Every error of the driver becomes one sentence for the operator, without anything of the URL."""

import ssl

import asyncpg
import pytest

from gateway.errors import StoreUnavailable
from gateway.postgres.failures import unavailable

PLACE = "PostgreSQL at db.example.org:5432"


def server_error(sqlstate: str, text: str) -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": sqlstate, "M": text, "S": "ERROR"})


@pytest.mark.parametrize(
    ("sqlstate", "sentence"),
    [
        ("28P01", "refuses the user name or the password; correct the URL, or give the role this password"),
        ("3D000", "has no such database; create it or correct the URL"),
        ("25006", "is read-only, as a replica is; name the primary, or all hosts with target_session_attrs=read-write"),
        ("53300", "has no connection left; raise its max_connections or lower state.max_connections"),
        ("XX000", "cannot be used"),
    ],
)
def test_a_servers_refusal_says_what_to_do_and_what_the_server_said(sqlstate: str, sentence: str) -> None:
    error = unavailable(server_error(sqlstate, "no\x1b[2J"), PLACE)
    assert str(error) == f"{PLACE} {sentence} (no\\x1b[2J)."


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (TimeoutError(), "does not answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "cannot be reached: Connection refused"),
        (OSError(), "cannot be reached: the connection is broken"),
        (asyncpg.ConnectionDoesNotExistError("postgresql://u:secret@h"), "cannot be reached: the connection has ended"),
        (asyncpg.InterfaceError("postgresql://u:secret@h"), "has closed the connection"),
        (ssl.SSLError(), "cannot be trusted, or speaks no TLS: the handshake failed"),
        (ValueError("postgresql://u:secret@h"), "cannot be used: ValueError"),
    ],
)
def test_s88_the_drivers_own_words_are_not_passed_on(raised: Exception, sentence: str) -> None:
    assert str(unavailable(raised, PLACE)) == f"{PLACE} {sentence}."


def test_what_is_told_already_is_not_told_again() -> None:
    known = StoreUnavailable("The pool is closed.")
    assert unavailable(known, PLACE) is known
