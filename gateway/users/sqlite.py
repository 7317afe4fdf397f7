"""Users in the embedded SQLite file, kept with `gateway user` while the gateway runs."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Final, TypeAlias

from gateway.errors import StoreUnavailable
from gateway.interfaces import ManagedUserDirectory, UserChanges, UserDump
from gateway.sqlite_file import SqliteFile
from gateway.types import Account, User
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

_Row: TypeAlias = tuple[int, str, str, str, int, int, int]

# AUTOINCREMENT: the id of a removed user is in tokens that are still out, and must never become somebody else's.
# Changes are recorded by triggers, so that those made by hand in an sqlite3 shell reach the gateway as well. 10,000 are
# kept: a reader asks every second, so only a bulk import outruns it, and it is then told so.
_TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS users (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        username TEXT NOT NULL UNIQUE CHECK (typeof(username) = 'text'),
        email TEXT NOT NULL CHECK (typeof(email) = 'text'),
        roles TEXT NOT NULL CHECK (typeof(roles) = 'text'),
        is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
        password_hash TEXT NOT NULL CHECK (typeof(password_hash) = 'text'),
        created_at INTEGER NOT NULL DEFAULT (CAST(strftime('%s', 'now') AS INTEGER))
    )
    """,
    "CREATE UNIQUE INDEX IF NOT EXISTS users_by_email ON users (email COLLATE NOCASE) WHERE email <> ''",
    """
    CREATE TABLE IF NOT EXISTS user_changes (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id INTEGER NOT NULL
    )
    """,
    """
    CREATE TRIGGER IF NOT EXISTS user_changes_bounded AFTER INSERT ON user_changes
    BEGIN DELETE FROM user_changes WHERE sequence <= new.sequence - 10000; END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS user_added AFTER INSERT ON users
    BEGIN INSERT INTO user_changes (user_id) VALUES (new.id); END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS user_changed AFTER UPDATE OF id, username, email, roles, is_active ON users
    BEGIN INSERT INTO user_changes (user_id) SELECT old.id UNION SELECT new.id; END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS user_removed AFTER DELETE ON users
    BEGIN INSERT INTO user_changes (user_id) VALUES (old.id); END
    """,
)

# When a password, or what tokens say of a user, changed: also kept by triggers. A stronger hash of the same password is
# no change; the statement that stores one says so by counting.
_CUT_OFFS: Final = (
    "ALTER TABLE users ADD COLUMN rehashes INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE users ADD COLUMN credentials_changed_at INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE users ADD COLUMN claims_changed_at INTEGER NOT NULL DEFAULT 0",
    """
    CREATE TRIGGER user_credentials_changed AFTER UPDATE OF password_hash ON users
    WHEN new.password_hash <> old.password_hash AND new.rehashes = old.rehashes
    BEGIN
        UPDATE users SET credentials_changed_at = CAST(strftime('%s', 'now') AS INTEGER) WHERE id = new.id;
        INSERT INTO user_changes (user_id) VALUES (new.id);
    END
    """,
    """
    CREATE TRIGGER user_claims_changed AFTER UPDATE OF username, email, roles ON users
    WHEN (new.username, new.email, new.roles) <> (old.username, old.email, old.roles)
    BEGIN UPDATE users SET claims_changed_at = CAST(strftime('%s', 'now') AS INTEGER) WHERE id = new.id; END
    """,
)

_MIGRATIONS: Final = (_TABLES, _CUT_OFFS)

_USER_COLUMNS: Final = "id, username, email, roles, is_active, credentials_changed_at, claims_changed_at"

_SELECT_USER: Final = f"SELECT {_USER_COLUMNS} FROM users"

_SELECT_ACCOUNT: Final = f"SELECT {_USER_COLUMNS}, password_hash FROM users"

_INSERT_ACCOUNT: Final = f"INSERT INTO users ({_USER_COLUMNS}, password_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

# `email <> ''` lets the partial index serve, and keeps an empty log-in from finding all who have no address.
_FIND_BY_LOGIN: Final = {
    "username": f"{_SELECT_ACCOUNT} WHERE username = :login",
    "email": f"{_SELECT_ACCOUNT} WHERE email = :login COLLATE NOCASE AND email = :login AND email <> ''",
}

_EMAIL_TAKEN: Final = "SELECT 1 FROM users WHERE email = ? COLLATE NOCASE AND email <> ''"


class SqliteUserDirectory(ManagedUserDirectory):
    """`ManagedUserDirectory` in an SQLite file. Await `prepare()` before anything else.

    `login_attribute` is what `find_by_login` compares with: the user name or the e-mail address.
    """

    def __init__(self, file: SqliteFile, *, login_attribute: LoginAttribute) -> None:
        self._file = file
        self._find_by_login = _FIND_BY_LOGIN[login_attribute]

    async def prepare(self) -> None:
        """Make the tables, or bring them up to date. Raises `StoreUnavailable`."""
        await self._file.prepare("users", _MIGRATIONS)

    async def find_by_login(self, login: str) -> Account | None:
        if not is_storable(login):
            return None

        def find(connection: sqlite3.Connection) -> Account | None:
            row = connection.execute(self._find_by_login, {"login": login}).fetchone()
            return Account(user=_user(row[:-1]), password_hash=row[-1]) if row else None

        return await self._file.read(find)

    async def find_by_id(self, user_id: str) -> User | None:
        if not USER_ID.fullmatch(user_id):
            return None

        def find(connection: sqlite3.Connection) -> User | None:
            row = connection.execute(f"{_SELECT_USER} WHERE id = ?", (int(user_id),)).fetchone()
            return _user(row) if row else None

        return await self._file.read(find)

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        if not USER_ID.fullmatch(user_id):
            return

        def replace(connection: sqlite3.Connection) -> None:
            statement = "UPDATE users SET password_hash = ?, rehashes = rehashes + 1 WHERE id = ? AND password_hash = ?"
            connection.execute(statement, (new, int(user_id), old))

        await self._file.write(replace)

    async def changes_since(self, position: int) -> UserChanges:
        def list_changes(connection: sqlite3.Connection) -> UserChanges:
            last = _last_number(connection, "user_changes")
            if position == last:
                return UserChanges(position=last, user_ids=frozenset())
            (oldest,) = connection.execute("SELECT min(sequence) FROM user_changes").fetchone()
            # position > last: a backup was restored into the open file and its numbers begin again below ours.
            if position == 0 or position > last or oldest is None or position < oldest - 1:
                return UserChanges(position=last, user_ids=frozenset(), everything=True)
            rows = connection.execute("SELECT DISTINCT user_id FROM user_changes WHERE sequence > ?", (position,))
            return UserChanges(position=last, user_ids=frozenset(str(user_id) for (user_id,) in rows))

        return await self._file.read(list_changes)

    async def close(self) -> None:
        """Close the file, for the state store in it too."""
        await self._file.close()

    async def add(self, *, username: str, email: str, roles: Sequence[str], password_hash: str) -> User:
        check_username(username)
        email = checked_email(email)
        encoded_roles = _encode_roles(roles)

        def insert(connection: sqlite3.Connection) -> User:
            if connection.execute("SELECT 1 FROM users WHERE username = ?", (username,)).fetchone():
                raise name_taken(username)
            if connection.execute(_EMAIL_TAKEN, (email,)).fetchone():
                raise email_taken(email)
            cursor = connection.execute(
                "INSERT INTO users (username, email, roles, password_hash) VALUES (?, ?, ?, ?)",
                (username, email, encoded_roles, password_hash),
            )
            return _user(connection.execute(f"{_SELECT_USER} WHERE id = ?", (cursor.lastrowid,)).fetchone())

        return await self._file.write(insert)

    async def all_users(self) -> list[User]:
        def list_users(connection: sqlite3.Connection) -> list[User]:
            return [_user(row) for row in connection.execute(f"{_SELECT_USER} ORDER BY username")]

        return await self._file.read(list_users)

    async def set_password_hash(self, username: str, password_hash: str) -> str:
        statement = "UPDATE users SET password_hash = ? WHERE id = ?"
        return await self._file.write(lambda connection: _change(connection, username, statement, password_hash))

    async def set_active(self, username: str, *, is_active: bool) -> str:
        statement = "UPDATE users SET is_active = ? WHERE id = ?"
        return await self._file.write(lambda connection: _change(connection, username, statement, int(is_active)))

    async def set_roles(self, username: str, roles: Sequence[str]) -> User:
        encoded_roles = _encode_roles(roles)

        def change(connection: sqlite3.Connection) -> User:
            _change(connection, username, "UPDATE users SET roles = ? WHERE id = ?", encoded_roles)
            return _user(connection.execute(f"{_SELECT_USER} WHERE username = ?", (username,)).fetchone())

        return await self._file.write(change)

    async def remove(self, username: str) -> str:
        return await self._file.write(
            lambda connection: _change(connection, username, "DELETE FROM users WHERE id = ?")
        )

    async def dump(self) -> UserDump:
        def read(connection: sqlite3.Connection) -> UserDump:
            rows = connection.execute(f"{_SELECT_ACCOUNT} ORDER BY username")
            accounts = tuple(Account(user=_user(row[:-1]), password_hash=row[-1]) for row in rows)
            return UserDump(accounts=accounts, last_id=_last_number(connection, "users"))

        return await self._file.read(read)

    async def add_all(self, dump: UserDump) -> None:
        rows = [_values(account) for account in dump.accounts]

        def insert(connection: sqlite3.Connection) -> None:
            connection.executemany(_INSERT_ACCOUNT, rows)
            last_id = max(dump.last_id, _last_number(connection, "users"))
            connection.execute("DELETE FROM sqlite_sequence WHERE name = 'users'")
            connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('users', ?)", (last_id,))

        await self._file.write(insert)


def _change(connection: sqlite3.Connection, username: str, statement: str, *values: str | int) -> str:
    """Run a statement whose last placeholder is the user's id, which is returned. Raises `UsageError` without one."""
    query = "SELECT id FROM users WHERE username = ?"
    row = connection.execute(query, (username,)).fetchone() if is_storable(username) else None
    if row is None:
        raise nobody_called(username)
    connection.execute(statement, (*values, row[0]))
    return str(row[0])


def _last_number(connection: sqlite3.Connection, table: str) -> int:
    """The highest number ever given to a row of the table, 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    return int(row[0]) if row else 0


def _values(account: Account) -> tuple[object, ...]:
    """In the order of `_INSERT_ACCOUNT`."""
    user = account.user
    return (
        *(int(user.id), user.username, user.email, json.dumps(user.roles), int(user.is_active)),
        *(user.credentials_changed_at, user.claims_changed_at, account.password_hash),
    )


def _user(row: _Row) -> User:
    user_id, username, email, encoded_roles, is_active, credentials_changed_at, claims_changed_at = row
    if not isinstance(username, str) or not isinstance(email, str):
        # Only a hand-made row gets here: SQLite keeps a blob in a text column.
        raise StoreUnavailable(f"The name or e-mail address of user {user_id} is no text; remove the row.")
    return User(
        id=str(user_id),
        username=username,
        email=email,
        roles=_decode_roles(user_id, encoded_roles),
        is_active=bool(is_active),
        credentials_changed_at=credentials_changed_at,
        claims_changed_at=claims_changed_at,
    )


def _encode_roles(roles: Sequence[str]) -> str:
    return json.dumps(checked_roles(roles))


def _decode_roles(user_id: int, encoded_roles: str) -> tuple[str, ...]:
    try:
        roles = json.loads(encoded_roles)
    except (ValueError, RecursionError):
        roles = None
    # Only a hand-made row gets here. No roles would be a guess, and this user's tokens would be issued on it.
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise StoreUnavailable(
            f"The roles of user {user_id} are no JSON list of texts; set them with `gateway user roles`."
        )
    return tuple(roles)
