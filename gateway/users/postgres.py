"""Users in PostgreSQL: one directory for every replica that uses the schema, kept with `gateway user` meanwhile."""

import json
from collections.abc import Sequence
from typing import Any, Final

from gateway.errors import StoreUnavailable
from gateway.interfaces import ManagedUserDirectory, UserChanges, UserDump
from gateway.postgres.database import PostgresDatabase
from gateway.postgres.feeds import parts_of, position_of
from gateway.types import Account, User
from gateway.users import postgres_sql as sql
from gateway.users.names import (
    USER_ID,
    LoginAttribute,
    check_username,
    checked_email,
    checked_roles,
    email_taken,
    is_storable,
    name_taken,
    nobody_called,
)

_PAGE: Final = 10_000

_FIND_BY_LOGIN: Final = {"username": sql.FIND_BY_USERNAME, "email": sql.FIND_BY_EMAIL}


class PostgresUserDirectory(ManagedUserDirectory):
    """`ManagedUserDirectory` in PostgreSQL. Await `prepare()` before anything else.

    `login_attribute` is what `find_by_login` compares with: the user name or the e-mail address.
    """

    def __init__(self, database: PostgresDatabase, *, login_attribute: LoginAttribute) -> None:
        self._database = database
        self._find_by_login = _FIND_BY_LOGIN[login_attribute]

    async def prepare(self) -> None:
        """Make the tables, or bring them up to date. Raises `StoreUnavailable`."""
        [(encoding,)] = await self._database.fetch(sql.ENCODING)
        if encoding != "UTF8":  # names that it cannot hold would be "cannot tell", and not "no such user"
            raise StoreUnavailable(
                f"{self._database.place} has the encoding {encoding}, which cannot hold every name; "
                "make a database with ENCODING 'UTF8'."
            )
        await self._database.prepare("users", sql.MIGRATIONS)

    async def find_by_login(self, login: str) -> Account | None:
        if not is_storable(login):
            return None
        rows = await self._database.fetch(self._find_by_login, login)
        return Account(user=_user(rows[0]), password_hash=rows[0]["password_hash"]) if rows else None

    async def find_by_id(self, user_id: str) -> User | None:
        if not USER_ID.fullmatch(user_id):
            return None
        rows = await self._database.fetch(sql.FIND_BY_ID, int(user_id))
        return _user(rows[0]) if rows else None

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        if USER_ID.fullmatch(user_id):
            await self._database.fetch(sql.REHASH, int(user_id), old, new)

    async def changes_since(self, position: int) -> UserChanges:
        [row] = await self._database.fetch(sql.CHANGES_SINCE, *parts_of(position))
        started_at, table, last, is_known, user_ids = row
        return UserChanges(
            position=position_of(started_at, table, last),
            user_ids=frozenset(map(str, user_ids or ())) if is_known else frozenset(),
            everything=not is_known,
        )

    async def close(self) -> None:
        """Close the database, for the state store in it too."""
        await self._database.close()

    async def add(self, *, username: str, email: str, roles: Sequence[str], password_hash: str) -> User:
        check_username(username)
        email = checked_email(email)
        values = (email, username, checked_roles(roles), password_hash)
        while not (rows := await self._database.fetch(sql.INSERT, *values)):
            [taken] = await self._database.fetch(sql.IS_TAKEN, email, username)
            if taken["name"]:
                raise name_taken(username)
            if taken["email"]:
                raise email_taken(email)
            # Who had it has been removed in between.
        return _user(rows[0])

    async def all_users(self) -> list[User]:
        users: list[User] = []
        after = ""
        while True:
            rows = await self._database.fetch(sql.LIST, after, _PAGE)
            users += map(_user, rows)
            if len(rows) < _PAGE:
                return users
            after = users[-1].username

    async def set_password_hash(self, username: str, password_hash: str) -> str:
        return (await self._change(sql.SET_PASSWORD_HASH, username, password_hash)).id

    async def set_active(self, username: str, *, is_active: bool) -> str:
        return (await self._change(sql.SET_ACTIVE, username, is_active)).id

    async def set_roles(self, username: str, roles: Sequence[str]) -> User:
        return await self._change(sql.SET_ROLES, username, checked_roles(roles))

    async def remove(self, username: str) -> str:
        return (await self._change(sql.REMOVE, username)).id

    async def dump(self) -> UserDump:
        users, [(last_id,)] = await self._database.fetch_all([(sql.LIST_ACCOUNTS, ()), (sql.LAST_ID, ())])
        accounts = tuple(Account(user=_user(row), password_hash=row["password_hash"]) for row in users)
        return UserDump(accounts=accounts, last_id=last_id)

    async def add_all(self, dump: UserDump) -> None:
        pages = [dump.accounts[start : start + _PAGE] for start in range(0, len(dump.accounts), _PAGE)]
        adding = [(sql.INSERT_ACCOUNTS, _columns(page)) for page in pages]
        await self._database.fetch_all([*adding, (sql.RAISE_LAST_ID, (dump.last_id,))])

    async def _change(self, statement: str, username: str, *values: object) -> User:
        """Run a statement on the user of this name. Raises `UsageError` when there is none."""
        rows = await self._database.fetch(statement, username, *values) if is_storable(username) else []
        if not rows:
            raise nobody_called(username)
        return _user(rows[0])


def _columns(accounts: Sequence[Account]) -> tuple[list[object], ...]:
    """In the order of `postgres_sql.INSERT_ACCOUNTS`."""
    users = [account.user for account in accounts]
    return (
        [int(user.id) for user in users],
        [user.username for user in users],
        [user.email for user in users],
        [json.dumps(user.roles) for user in users],
        [user.is_active for user in users],
        [user.credentials_changed_at for user in users],
        [user.claims_changed_at for user in users],
        [account.password_hash for account in accounts],
    )


def _user(row: Any) -> User:
    return User(
        id=str(row["id"]),
        username=row["username"],
        email=row["email"],
        roles=tuple(row["roles"]),
        is_active=row["is_active"],
        credentials_changed_at=row["credentials_changed_at"],
        claims_changed_at=row["claims_changed_at"],
    )
