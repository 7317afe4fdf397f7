"""Configuration → where users, sessions and revocations live. A driver is imported where it is used, and only then."""

import contextlib
import importlib.util
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.auth.passwords import PasswordHasher
from gateway.config.load import Document
from gateway.config.model import Config
from gateway.errors import ConfigError
from gateway.interfaces import ManagedUserDirectory, StateStore, UserDirectory
from gateway.postgres.address import check_postgres_url, is_postgres
from gateway.redis.address import RedisAddress
from gateway.sqlite_file import SqliteFile, SqliteGlance
from gateway.state.sqlite import SqliteStateStore
from gateway.types import Secret
from gateway.users.sqlite import SqliteUserDirectory

if TYPE_CHECKING:
    from gateway.state.postgres import PostgresStateStore
    from gateway.state.redis import RedisStateStore

_TIMEOUT: Final = 2.0  # for a connection and for an answer: a log-in that waits for longer is better told so


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What all workers and replicas share."""

    directory: UserDirectory
    store: StateStore


def check_state(document: Document) -> None:
    """Raises `ConfigError` when the store cannot be what the configuration says; nothing is connected."""
    url = document.config.state.url
    if url is None:
        return
    try:
        if is_postgres(url.reveal()):
            check_postgres_url(url.reveal())
        else:
            RedisAddress.parse(url.reveal())
    except ValueError as error:
        raise ConfigError([document.problem("state.url", str(error))]) from None
    driver, extra = ("asyncpg", "postgres") if is_postgres(url.reveal()) else ("redis", "redis")
    if importlib.util.find_spec(driver) is None:
        problem = f"needs a package that is not installed: pip install 'simplejwt-gateway[{extra}]'"
        raise ConfigError([document.problem("state.url", problem)])


@contextlib.asynccontextmanager
async def open_state(config: Config) -> AsyncIterator[State]:
    """Ready for use as long as the context lasts. Raises `StoreUnavailable`."""
    async with contextlib.AsyncExitStack() as stack:
        file = SqliteFile.open(config.users.sqlite)
        stack.push_async_callback(file.close)
        directory = _users_in(file, config)
        await directory.prepare()
        url = config.state.url
        store = SqliteStateStore(file) if url is None else _store_at(url, config)
        stack.push_async_callback(store.close)
        await store.prepare()
        yield State(directory=directory, store=store)


@contextlib.asynccontextmanager
async def open_users(config: Config) -> AsyncIterator[ManagedUserDirectory]:
    """The users alone, for the commands that keep them. Raises `StoreUnavailable`."""
    directory = _users_in(SqliteFile.open(config.users.sqlite), config)
    try:
        await directory.prepare()
        yield directory
    finally:
        await directory.close()


@contextlib.asynccontextmanager
async def glance_at_state(config: Config) -> AsyncIterator[State]:
    """To read what is there and change nothing: no file is made, no table brought up to date."""
    async with contextlib.AsyncExitStack() as stack:
        file = SqliteGlance.open(config.users.sqlite)
        stack.push_async_callback(file.close)
        url = config.state.url
        store = SqliteStateStore(file) if url is None else _store_at(url, config)
        stack.push_async_callback(store.close)
        yield State(directory=_users_in(file, config), store=store)


def build_hasher(config: Config) -> PasswordHasher:
    """What hashes and checks passwords."""
    argon2 = config.users.argon2
    return PasswordHasher(time_cost=argon2.time_cost, memory_cost=argon2.memory_cost, parallelism=argon2.parallelism)


def _users_in(file: SqliteFile, config: Config) -> SqliteUserDirectory:
    by_email = config.login.username_field == "email"
    return SqliteUserDirectory(file, login_attribute="email" if by_email else "username")


def _store_at(url: Secret, config: Config) -> "PostgresStateStore | RedisStateStore":
    return _postgres_store(url, config) if is_postgres(url.reveal()) else _redis_store(url, config)


def _postgres_store(url: Secret, config: Config) -> "PostgresStateStore":
    from gateway.postgres.database import PostgresDatabase
    from gateway.state.postgres import PostgresStateStore

    state = config.state
    database = PostgresDatabase(
        url.reveal(), schema=state.namespace, max_connections=state.max_connections, timeout=_TIMEOUT
    )
    return PostgresStateStore(database)


def _redis_store(url: Secret, config: Config) -> "RedisStateStore":
    from gateway.redis.server import RedisServer
    from gateway.state.redis import RedisStateStore

    address, state = RedisAddress.parse(url.reveal()), config.state
    server = RedisServer(address, namespace=state.namespace, max_connections=state.max_connections, timeout=_TIMEOUT)
    return RedisStateStore(server)
