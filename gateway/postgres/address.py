"""What of a PostgreSQL URL can be judged before anything is connected, and what of it may be shown."""

from typing import Final
from urllib.parse import parse_qs, urlsplit

from gateway.errors import printable

_SCHEMES: Final = ("postgresql://", "postgres://")


def is_postgres(url: str) -> bool:
    """Whether the URL names a PostgreSQL server."""
    return url.startswith(_SCHEMES)


def check_postgres_url(url: str) -> None:
    """Raises `ValueError` with what is wrong, as it goes on from the name of the key; nothing of the URL is in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("must hold a valid IPv6 address in brackets") from None
    # Such a password would end up in the name of the host or of the database, and so in the log.
    if parts.fragment or "@" in parts.path + parts.query or parts.netloc.count("@") > 1:
        raise ValueError("must have user name and password percent-encoded: %2F for `/`, %23 for `#`, %40 for `@`")
    if not parts.netloc.rpartition("@")[2] and "host" not in parse_qs(parts.query):
        raise ValueError("must name a host, or the folder of a Unix socket as ?host=/run/postgresql")
    if not parts.path.strip("/"):
        raise ValueError("must name a database behind the host: postgresql://user@host/database")


def place_of(url: str) -> str:
    """What a sentence calls the server: host and database, nothing of user, password and options."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2] or parse_qs(parts.query).get("host", ["its local socket"])[0]
    return printable(f"PostgreSQL at {hosts}{parts.path.rstrip('/')}")
