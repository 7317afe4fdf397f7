"""What the planes ask of the world. Engines live in `users/` and `state/`; each method may raise `StoreUnavailable`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.types import Account, Revocation, RevokedKind, User


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChanges:
    """Users whose active flag, name, roles or existence changed up to feed `position`.

    `everything`: forget all that you know of any user, because the feed no longer reaches back to where you asked from
    (or was asked from its beginning); `user_ids` is empty then.
    """

    position: int
    user_ids: frozenset[str]
    everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRevocations:
    """Revocations recorded up to feed `position`."""

    position: int
    revocations: tuple[Revocation, ...]


class UserDirectory(Protocol):
    """Where users live. Reading is all the gateway needs of it."""

    async def find_by_login(self, login: str) -> Account | None:
        """The account whose configured user-name field equals `login` exactly, active or not."""

    async def find_by_id(self, user_id: str) -> User | None:
        """The user with this id, active or not."""

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        """Store `new` if `old` is still the stored hash (a stronger hash after a good login)."""

    async def changes_since(self, position: int) -> UserChanges:
        """What changed after feed `position`; 0 is the beginning of time, cheap to ask (`everything`, no list)."""

    async def close(self) -> None: ...


class ManagedUserDirectory(UserDirectory, Protocol):
    """A directory whose users the operator keeps with `gateway user`.

    Methods that name a user take the user name and raise `UsageError` when there is none of that name.
    """

    async def add(self, *, username: str, email: str, roles: Sequence[str], password_hash: str) -> User:
        """Raises `UsageError` when the user name (or a non-empty e-mail address) is taken."""

    async def all_users(self) -> list[User]:
        """Every user, ordered by user name."""

    async def set_password_hash(self, username: str, password_hash: str) -> None: ...

    async def set_active(self, username: str, *, is_active: bool) -> None: ...

    async def set_roles(self, username: str, roles: Sequence[str]) -> User: ...

    async def remove(self, username: str) -> None: ...


class StateStore(Protocol):
    """What must be one truth for all workers: spent and revoked tokens."""

    async def revoke(self, revocation: Revocation) -> bool:
        """Record it, atomically; False when it was recorded before (so of two who spend one token, one gets True)."""

    async def is_revoked(self, kind: RevokedKind, revoked_id: str) -> bool: ...

    async def revocations_since(self, position: int) -> NewRevocations:
        """Revocations recorded after feed `position`; 0 is the beginning of time."""

    async def purge(self, now: int) -> None:
        """Forget revocations whose `expires_at` <= now."""

    async def close(self) -> None: ...
