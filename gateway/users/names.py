"""What a user may be called, and what the roles may be, whatever keeps the users.

User names are compared exactly, as SimpleJWT compares them. That no two of them look like one, to a reader or to a
backend that normalises, is seen to where they are made: a name that is not its own NFKC form, or holds anything
invisible, is refused. E-mail addresses are compared exactly at log-in too (their domain is stored in lower case, as
Django does); two that differ in the case of letters only are refused, because mail and backends take them for one.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from gateway.errors import UsageError

LoginAttribute: TypeAlias = Literal["username", "email"]
"""What users log in by."""

MAX_USERNAME_CHARACTERS: Final = 150  # Django's auth_user.username

MAX_EMAIL_CHARACTERS: Final = 254  # RFC 5321 §4.5.3.1.3, less the two angle brackets

MAX_ROLE_CHARACTERS: Final = 150  # Django's auth_group.name

USER_ID: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
"""One spelling for each id: "01" would be the same user here and another one to the backend. 18 digits fit a column."""

_NOT_PLAIN: Final = (
    "holds something that other programs show or compare in another way: a control or invisible character, a blank at "
    "either end, or a letter in a compatibility form (it must equal its Unicode NFKC form)."
)


def check_username(username: str) -> None:
    """Raises `UsageError`."""
    if not 1 <= len(username) <= MAX_USERNAME_CHARACTERS:
        raise UsageError(f"A user name has 1 to {MAX_USERNAME_CHARACTERS} characters, not {len(username)}.")
    if not _is_plain(username):
        raise UsageError(f"The user name {username!r} {_NOT_PLAIN}")


def checked_email(email: str) -> str:
    """The address as it is stored, its domain in lower case (RFC 5321 §2.4). Raises `UsageError`."""
    if not email:
        return email
    local_part, at, domain = email.rpartition("@")
    if not (local_part and at and domain) or " " in email:
        raise UsageError(f"{email!r} is not an e-mail address; it looks like name@example.org.")
    if len(email) > MAX_EMAIL_CHARACTERS:
        raise UsageError(f"An e-mail address has at most {MAX_EMAIL_CHARACTERS} characters, not {len(email)}.")
    if not _is_plain(email):
        raise UsageError(f"The e-mail address {email!r} {_NOT_PLAIN}")
    return f"{local_part}@{domain.lower()}"


def checked_roles(roles: Sequence[str]) -> list[str]:
    """The roles as they are stored, each once in the order given. Raises `UsageError`."""
    for role in roles:
        if not 1 <= len(role) <= MAX_ROLE_CHARACTERS:
            raise UsageError(f"A role has 1 to {MAX_ROLE_CHARACTERS} characters, not {len(role)}.")
        if not _is_plain(role):
            raise UsageError(f"The role {role!r} {_NOT_PLAIN}")
        # A backend gets roles in one field, joined by commas: this one would arrive as two.
        if "," in role:
            raise UsageError(f"The role {role!r} holds a comma; give each role by itself.")
    return list(dict.fromkeys(roles))


def name_taken(username: str) -> UsageError:
    return UsageError(f"The user name {username!r} is taken; choose another one.")


def email_taken(email: str) -> UsageError:
    return UsageError(f"The e-mail address {email!r} belongs to another user; choose another one.")


def nobody_called(username: str) -> UsageError:
    return UsageError(f"There is no user {username!r}; user names are case-sensitive.")


def is_storable(text: str) -> bool:
    """Whether there could be a row with it: an unpaired surrogate cannot be sent to a database, nor NUL to most."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _is_plain(text: str) -> bool:
    """Whether the text has one reading: visible, its own NFKC form, and not changed by the strip() of a log-in."""
    return text.isprintable() and text == text.strip() and unicodedata.normalize("NFKC", text) == text
