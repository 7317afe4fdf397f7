"""Users as JSON lines, to be brought from one directory to another, or from the application that had them so far.

One object a line for each user; before them may stand one that says which ids were given. Whatever is wrong is told
with the number of its line, all of it at once.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.errors import UsageError, printable
from gateway.interfaces import UserDump
from gateway.types import Account, User
from gateway.users.names import USER_ID, check_username, checked_email, checked_roles

_REQUIRED: Final = ("id", "username", "password_hash")

_OPTIONAL: Final[Mapping[str, Any]] = {
    "email": "",
    "roles": [],
    "is_active": True,
    "credentials_changed_at": 0,
    "claims_changed_at": 0,
}

_MAX_MOMENT: Final = 2**40  # Unix seconds; what milliseconds would be mistaken for lies behind it

_LAST_ID: Final = "last_id"

_SHOWN: Final = 20


def lines_of(dump: UserDump) -> Iterator[str]:
    """What `read` makes the dump of again."""
    yield json.dumps({_LAST_ID: str(dump.last_id)})
    for account in dump.accounts:
        user = account.user
        members = {
            "id": user.id,
            "username": user.username,
            "email": user.email,
            "roles": user.roles,
            "is_active": user.is_active,
            "credentials_changed_at": user.credentials_changed_at,
            "claims_changed_at": user.claims_changed_at,
            "password_hash": account.password_hash,
        }
        yield json.dumps(members, ensure_ascii=False)


def read(lines: Iterable[bytes], *, present: Iterable[User], stored_hash: Callable[[str], str]) -> UserDump:
    """The dump that the lines are. Raises `UsageError` with all that is wrong, line by line.

    `present` are the users that are there already. `stored_hash` gives what to store of a password hash, and raises
    `UsageError` for one that no log-in could be checked against.
    """
    reader = _Reader(present, stored_hash)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            reader.read(number, line)
    return reader.finish()


class _Reader:
    def __init__(self, present: Iterable[User], stored_hash: Callable[[str], str]) -> None:
        self._stored_hash = stored_hash
        self._accounts: list[Account] = []
        self._last_id = 0
        self._problems: list[str] = []
        self._taken = {key: "a user who is there already" for user in present for key in _keys(user)}

    def read(self, number: int, line: bytes) -> None:
        try:
            members = _members(line)
            if _LAST_ID in members:
                self._take_last_id(members)
                return
            account = self._account(members)
            for key in _keys(account.user):
                if key in self._taken:
                    raise UsageError(f"{key[0]} {key[1]!r} is that of {self._taken[key]}.")
            self._taken |= dict.fromkeys(_keys(account.user), f"line {number}")
            self._accounts.append(account)
        except UsageError as error:
            self._problems.append(f"line {number}: {printable(str(error))}")

    def finish(self) -> UserDump:
        if self._problems:
            shown, more = self._problems[:_SHOWN], len(self._problems) - _SHOWN
            rest = [f"… and {more} more lines."] if more > 0 else []
            raise UsageError("\n".join(["Nobody was imported.", *shown, *rest]))
        return UserDump(accounts=tuple(self._accounts), last_id=self._last_id)

    def _take_last_id(self, members: Mapping[str, Any]) -> None:
        _refuse_unknown(members, (_LAST_ID,))
        self._last_id = max(self._last_id, int(_id(members[_LAST_ID], or_zero=True)))

    def _account(self, members: Mapping[str, Any]) -> Account:
        _refuse_unknown(members, (*_REQUIRED, *_OPTIONAL))
        for name in _REQUIRED:
            if name not in members:
                raise UsageError(f"`{name}` is missing.")
        values = {**_OPTIONAL, **members}
        check_username(_typed(values, "username", str))
        roles = _typed(values, "roles", list)
        if not all(isinstance(role, str) for role in roles):
            raise UsageError("`roles` must be a list of texts.")
        user = User(
            id=_id(values["id"]),
            username=values["username"],
            email=checked_email(_typed(values, "email", str)),
            roles=tuple(checked_roles(roles)),
            is_active=_typed(values, "is_active", bool),
            credentials_changed_at=_moment(values, "credentials_changed_at"),
            claims_changed_at=_moment(values, "claims_changed_at"),
        )
        return Account(user=user, password_hash=self._stored_hash(_typed(values, "password_hash", str)))


def _keys(user: User) -> Iterator[tuple[str, str]]:
    """What no two users may share."""
    yield "id", user.id
    yield "user name", user.username
    if user.email:
        yield "e-mail address", "".join(char.lower() if char.isascii() else char for char in user.email)


def _members(line: bytes) -> Mapping[str, Any]:
    try:
        members = json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        members = None
    if not isinstance(members, dict):
        raise UsageError("This is no JSON object in UTF-8.")
    return members


def _refuse_unknown(members: Mapping[str, Any], known: Iterable[str]) -> None:
    unknown = sorted(set(members) - set(known))
    if unknown:
        raise UsageError(f"There is no `{unknown[0]}`; a user has {', '.join((*_REQUIRED, *_OPTIONAL))}.")


def _typed(values: Mapping[str, Any], name: str, wanted: type) -> Any:
    if type(values[name]) is not wanted:
        words = {str: "a text", list: "a list", bool: "true or false", int: "a whole number"}
        raise UsageError(f"`{name}` must be {words[wanted]}.")
    return values[name]


def _id(value: object, *, or_zero: bool = False) -> str:
    """Django's are numbers, in tokens they are texts."""
    text = str(value) if type(value) is int else value
    if isinstance(text, str) and (USER_ID.fullmatch(text) or (or_zero and text == "0")):
        return text
    raise UsageError("An id is a whole number from 1 on, of 18 digits at most.")


def _moment(values: Mapping[str, Any], name: str) -> int:
    moment = _typed(values, name, int)
    if not 0 <= moment < _MAX_MOMENT:
        raise UsageError(f"`{name}` must be Unix seconds, or 0 for never.")
    return int(moment)
