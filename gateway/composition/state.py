"""Configuration → where users, sessions and revocations live. A driver is imported where it is used, and only then.

Users and state that are in one file or at one URL share what leads there: the connections of a worker are as many.
"""

import contextlib
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from gateway.auth.passwords import PasswordHasher
from gateway.config.load import Document
from gateway.config.model import Config
from gateway.errors import ConfigError, printable
from gateway.interfaces import AuditOutbox, ManagedUserDirectory, StateStore, UserDirectory
from gateway.postgres.address import check_postgres_url, is_postgres, place_of
from gateway.redis.address import RedisAddress
from gateway.sqlite_file import ExistingSqliteFile, SqliteFile, SqliteGlance
from gateway.state.sqlite import SqliteStateStore
from gateway.types import Secret
from gateway.users.names import LoginAttribute
from gateway.users.sqlite import SqliteUserDirectory

if TYPE_CHECKING:
    from gateway.postgres.database import PostgresDatabase
    from gateway.state.postgres import PostgresStateStore
    from gateway.state.redis import RedisStateStore
    from gateway.users.postgres import PostgresUserDirectory

    _Directory: TypeAlias = SqliteUserDirectory | PostgresUserDirectory
    _Store: TypeAlias = SqliteStateStore | PostgresStateStore | RedisStateStore

_TIMEOUT: Final = 2.0  # for a connection and for an answer: a log-in that waits for longer is better told so


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What all workers and replicas share."""

    directory: UserDirectory
    store: StateStore


def check_state(document: Document) -> None:
    """Raises `ConfigError` when users and state cannot be where the configuration says; nothing is connected."""
    config = document.config
    problems = [
        document.problem(path, problem)
        for path, url in (("users.url", config.users.url), ("state.url", config.state.url))
        if url is not None and (problem := _problem_of(url.reveal(), may_be_redis=path == "state.url"))
    ]
    if problems:
        raise ConfigError(problems)


def _problem_of(url: str, *, may_be_redis: bool) -> str | None:
    try:
        if is_postgres(url):
            check_postgres_url(url)
        elif may_be_redis:
            RedisAddress.parse(url)
        else:
            return "has to begin with postgresql://"
    except ValueError as error:
        return str(error)
    driver, extra = ("asyncpg", "postgres") if is_postgres(url) else ("redis", "redis")
    if importlib.util.find_spec(driver) is None:
        return f"needs a package that is not installed: pip install 'simplejwt-gateway[{extra}]'"
    return None


def places_of(config: Config) -> tuple[str, str]:
    """Where users are, and where sessions and revocations are, in words without a secret."""
    return _place_of(config.users.url, config), _place_of(_state_url(config), config)


def _state_url(config: Config) -> Secret | None:
    return config.users.url if config.state.url is None else config.state.url


def _place_of(url: Secret | None, config: Config) -> str:
    if url is None:
        return f"SQLite file {printable(str(config.users.sqlite))}"
    namespace = config.state.namespace
    if is_postgres(url.reveal()):
        return f"{place_of(url.reveal())}, schema {namespace}"
    return f"{RedisAddress.parse(url.reveal())}, keys {{{namespace}}}:…"


@contextlib.asynccontextmanager
async def open_state(config: Config) -> AsyncIterator[State]:
    """Ready for use as long as the context lasts. Raises `StoreUnavailable`."""
    async with contextlib.AsyncExitStack() as stack:
        places = _Places(config)
        directory, store = places.directory(), places.store()
        stack.push_async_callback(directory.close)
        stack.push_async_callback(store.close)
        await directory.prepare()
        await store.prepare()
        yield State(directory=directory, store=store)


@contextlib.asynccontextmanager
async def open_users(config: Config) -> AsyncIterator[ManagedUserDirectory]:
    """The users alone, for the commands that keep them. Raises `StoreUnavailable`."""
    directory = _Places(config).directory()
    try:
        await directory.prepare()
        yield directory
    finally:
        await directory.close()


@contextlib.asynccontextmanager
async def reach_outbox(config: Config) -> AsyncIterator[Callable[[], Awaitable[AuditOutbox]]]:
    """What gives the outbox, for commands: it may be asked again when it has raised `StoreUnavailable`."""
    store = _Places(config, ExistingSqliteFile.open).store()
    is_prepared = False

    async def outbox() -> AuditOutbox:
        nonlocal is_prepared
        if not is_prepared:
            await store.prepare()
            is_prepared = True
        return store

    try:
        yield outbox
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def glance_at_state(config: Config) -> AsyncIterator[State]:
    """To read what is there and change nothing: no file is made, no table brought up to date."""
    async with contextlib.AsyncExitStack() as stack:
        places = _Places(config, SqliteGlance.open)
        directory, store = places.directory(), places.store()
        stack.push_async_callback(directory.close)
        stack.push_async_callback(store.close)
        yield State(directory=directory, store=store)


def build_hasher(config: Config) -> PasswordHasher:
    """What hashes and checks passwords."""
    argon2 = config.users.argon2
    return PasswordHasher(
        time_cost=argon2.time_cost,
        memory_cost=argon2.memory_cost,
        parallelism=argon2.parallelism,
        pbkdf2_iterations=config.users.pbkdf2_iterations or 0,
    )


class _Places:
    """The file and the servers of a configuration, each once, whoever keeps something there. Nothing is touched yet."""

    def __init__(self, config: Config, open_file: Callable[[str], SqliteFile] = SqliteFile.open) -> None:
        self._config = config
        self._open_file = open_file
        self._databases: dict[Secret, PostgresDatabase] = {}

    def directory(self) -> "_Directory":
        by: LoginAttribute = "email" if self._config.login.username_field == "email" else "username"
        url = self._config.users.url
        if url is None:
            return SqliteUserDirectory(self._file, login_attribute=by)
        from gateway.users.postgres import PostgresUserDirectory

        return PostgresUserDirectory(self._database(url), login_attribute=by)

    def store(self) -> "_Store":
        url = _state_url(self._config)
        if url is None:
            return SqliteStateStore(self._file)
        if is_postgres(url.reveal()):
            from gateway.state.postgres import PostgresStateStore

            return PostgresStateStore(self._database(url))
        from gateway.redis.server import RedisServer
        from gateway.state.redis import RedisStateStore

        address, state = RedisAddress.parse(url.reveal()), self._config.state
        many = state.max_connections
        return RedisStateStore(RedisServer(address, namespace=state.namespace, max_connections=many, timeout=_TIMEOUT))

    @cached_property
    def _file(self) -> SqliteFile:
        return self._open_file(cast("str", self._config.users.sqlite))  # where there is no users.url: config.checks

    def _database(self, url: Secret) -> "PostgresDatabase":
        from gateway.postgres.database import PostgresDatabase

        if url not in self._databases:
            state = self._config.state
            self._databases[url] = PostgresDatabase(
                url.reveal(), schema=state.namespace, max_connections=state.max_connections, timeout=_TIMEOUT
            )
        return self._databases[url]
