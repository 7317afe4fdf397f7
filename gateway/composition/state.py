"""Configuration → where users and revocations live."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.auth.passwords import PasswordHasher
from gateway.config.model import Config
from gateway.interfaces import ManagedUserDirectory, StateStore, UserDirectory
from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from gateway.users.sqlite import SqliteUserDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What all workers and replicas share."""

    directory: UserDirectory
    store: StateStore


@contextlib.asynccontextmanager
async def open_state(config: Config) -> AsyncIterator[State]:
    """Ready for use as long as the context lasts. Raises `StoreUnavailable`."""
    file = SqliteFile.open(config.users.sqlite)
    try:
        directory, store = _users_in(file, config), SqliteStateStore(file)
        await directory.prepare()
        await store.prepare()
        yield State(directory=directory, store=store)
    finally:
        await file.close()


@contextlib.asynccontextmanager
async def open_users(config: Config) -> AsyncIterator[ManagedUserDirectory]:
    """The users alone, for the commands that keep them. Raises `StoreUnavailable`."""
    directory = _users_in(SqliteFile.open(config.users.sqlite), config)
    try:
        await directory.prepare()
        yield directory
    finally:
        await directory.close()


def build_hasher(config: Config) -> PasswordHasher:
    """What hashes and checks passwords."""
    argon2 = config.users.argon2
    return PasswordHasher(time_cost=argon2.time_cost, memory_cost=argon2.memory_cost, parallelism=argon2.parallelism)


def _users_in(file: SqliteFile, config: Config) -> SqliteUserDirectory:
    by_email = config.login.username_field == "email"
    return SqliteUserDirectory(file, login_attribute="email" if by_email else "username")
