"""Where a Redis server is: the URL of the configuration, read strictly. Nothing here needs the driver."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway.errors import printable

_SCHEMES: Final = ("redis", "rediss", "unix")

_PORT: Final = 6379

# Nothing that turns the checks of the server's certificate off: whoever answers in its place would be told every token
# that was revoked, and could say that none was.
_TLS_OPTIONS: Final = {"ca": "ca_file", "cert": "certificate_file", "key": "key_file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """`str()` is what sentences call the server: nothing of user and password."""

    host: str = ""
    port: int = _PORT
    socket_path: str | None = None
    database: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    is_encrypted: bool = False
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """`redis://[user:password@]host[:port][/database]`, `rediss://…` with TLS, `unix://[user:password@]/path`.

        Options: `?db=N` (unix); `?ca=FILE`, `cert=FILE`, `key=FILE` (rediss). Raises `ValueError` with a sentence that
        holds nothing of the URL.
        """
        try:
            parts = urlsplit(url)
            port, query = parts.port, parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:
            raise ValueError("is no URL: a password with / ? # @ or : in it has to be percent-encoded") from None
        options = dict(query)
        if parts.scheme not in _SCHEMES:
            raise ValueError("has to begin with postgresql://, redis://, rediss:// or unix://")
        if parts.fragment or len(options) < len(query):
            raise ValueError("has a fragment, or an option twice")
        credentials: dict[str, Any] = {
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
        }
        if parts.scheme == "unix":
            if parts.hostname or port or not parts.path.startswith("/"):
                raise ValueError("has to name an absolute path: unix:///run/redis.sock")
            database = _database(options.pop("db", ""))
            address = cls(socket_path=unquote(parts.path), database=database, **credentials)
        else:
            if not parts.hostname:
                raise ValueError("names no host")
            tls = _tls_options(options) if parts.scheme == "rediss" else {}
            address = cls(
                host=parts.hostname,
                port=port or _PORT,
                database=_database(parts.path.removeprefix("/")),
                is_encrypted=parts.scheme == "rediss",
                **credentials,
                **tls,
            )
        if options:
            raise ValueError("has an option that is not known: db belongs to unix://, ca, cert and key to rediss://")
        return address

    @property
    def files(self) -> tuple[str, ...]:
        """What TLS reads at each connection."""
        return tuple(path for path in (self.ca_file, self.certificate_file, self.key_file) if path is not None)

    def __str__(self) -> str:
        if self.socket_path is not None:
            return printable(f"Redis at {self.socket_path}")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return printable(f"Redis at {host}:{self.port}")


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError("has a database that is not a number")
    return int(text or 0)


def _tls_options(options: dict[str, str]) -> Mapping[str, Any]:
    found = {name: options.pop(option) for option, name in _TLS_OPTIONS.items() if option in options}
    if "key_file" in found and "certificate_file" not in found:
        raise ValueError("has a key without cert")
    return found
