"""What the planes ask of the world. Engines live in `users/` and `state/`; each method may raise `StoreUnavailable`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.types import Account, AttemptLimit, Blocked, IssuedToken, Revocation, Session, User


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChanges:
    """Users whose active flag, name, roles, password or existence changed up to feed `position`.

    `everything`: forget all that you know of any user, because the feed no longer reaches back to where you asked from
    (or was asked from its beginning); `user_ids` is empty then.
    """

    position: int
    user_ids: frozenset[str]
    everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRevocations:
    """Revocations recorded up to feed `position`.

    `begins_anew`: these are all that the store has, because it may not be the one that gave the position that was asked
    from: it was emptied or set back, another server has taken its place, or it is the first time.
    """

    position: int
    revocations: tuple[Revocation, ...]
    begins_anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDump:
    """Accounts, and the greatest id that was ever given (0: none): tokens of those who were removed may be out."""

    accounts: tuple[Account, ...]
    last_id: int


class UserLookUp(Protocol):
    """Who a user id stands for: all that the data plane needs of a directory."""

    async def find_by_id(self, user_id: str) -> User | None:
        """The user with this id, active or not."""


class UserDirectory(UserLookUp, Protocol):
    """Where users live. Reading is all the gateway needs of it."""

    async def find_by_login(self, login: str) -> Account | None:
        """The account whose configured user-name field equals `login` exactly, active or not."""

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        """Store `new` if `old` is still the stored hash (a stronger hash after a good login: no change of password)."""

    async def changes_since(self, position: int) -> UserChanges:
        """What changed after feed `position`; 0 is the beginning of time, cheap to ask (`everything`, no list)."""

    async def close(self) -> None: ...


class ManagedUserDirectory(UserDirectory, Protocol):
    """A directory whose users the operator keeps with `gateway user`.

    Methods that name a user take the user name, raise `UsageError` when there is none of that name, and tell whom they
    changed: the user's id, or the user.
    """

    async def add(self, *, username: str, email: str, roles: Sequence[str], password_hash: str) -> User:
        """Raises `UsageError` when the user name (or a non-empty e-mail address) is taken."""

    async def all_users(self) -> list[User]:
        """Every user, ordered by user name."""

    async def set_password_hash(self, username: str, password_hash: str) -> str: ...

    async def set_active(self, username: str, *, is_active: bool) -> str: ...

    async def set_roles(self, username: str, roles: Sequence[str]) -> User: ...

    async def remove(self, username: str) -> str: ...

    async def dump(self) -> UserDump:
        """All that is to be known in another directory, ordered by user name."""

    async def add_all(self, dump: UserDump) -> None:
        """Add all with their ids, or nobody; from now on no id up to `last_id` is given.

        Raises `StoreUnavailable` also when an id, a name or an address is taken: callers look before.
        """


KNOWN_ADDRESSES: Final = 32
"""How many addresses are remembered of one name."""

MAX_ATTEMPT_COUNTS: Final = 100_000
"""How many counts of attempts a purge leaves at most: about 20 MB. Each costs whoever makes it a password hash."""


class AttemptStore(Protocol):
    """Failed attempts to present a password, and where each name has succeeded: one truth for all workers and replicas.

    An attempt is taken before its password is looked at, as if it had failed, so that those made at the same moment are
    counted, too. Ids, names and addresses are digests. Nothing of this has to outlive a crash, but counts should.
    """

    async def take_attempt(self, limits: Sequence[AttemptLimit], *, now: float, forget_at: float) -> Blocked | None:
        """Count one failure more under every id, or none at all when any of them has to wait; atomic over all of them.

        None: it was counted; each id then has to wait until `now` + `limit.wait_after(failures)`, and is forgotten at
        `forget_at`. Else of those that have to wait (`until` > `now`) the one with the latest `until`, and nothing
        has changed. What is forgotten (its `forget_at` <= `now`) counts from the beginning, purged or not. The ids of
        one call differ. `forget_at` lies behind every wait, so an engine may let its own expiry do the forgetting.
        """

    async def settle_attempt(self, *, forget: Sequence[bytes], give_back: Sequence[bytes]) -> None:
        """Forget the counts of some ids; of others take one failure off and let them wait no longer, atomically.

        A count that comes to 0 is forgotten. Ids that are not counted are left alone.
        """

    async def remember_address(self, name: bytes, address: bytes, *, expires_at: int) -> None:
        """`name` has succeeded at `address`, which counts until `expires_at` (Unix seconds; a later one replaces it).

        Of one name those `KNOWN_ADDRESSES` are kept that expire last.
        """

    async def knows_address(self, name: bytes, address: bytes, *, now: float) -> bool:
        """Whether this address was remembered of this name, and `expires_at` > `now`."""


MAX_WAITING_EVENTS: Final = 10_000
"""How many events an outbox keeps for a gateway to come: a few MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingEvent:
    """An event of the audit trail that no gateway has written yet.

    `lost`: how many of those that would have come before it were dropped. `ticket` is of this taking.
    """

    id: str
    text: str
    lost: int
    ticket: int


class AuditOutbox(Protocol):
    """Events that a command leaves for the log of a running gateway, for its own output is kept by nobody.

    A gateway takes them, writes them and then has them forgotten; one that dies in between is followed by another. So
    each is written at least once, and by one gateway as long as none dies. Times are by the clock of the storage.
    """

    async def put_event(self, event_id: str, text: str, *, wait: float) -> None:
        """Keep it, in the place of one with this id, to be taken when `wait` seconds are over. Both texts are ASCII.

        Of more than `MAX_WAITING_EVENTS` the first to be taken are dropped, which the one after them tells (`lost`).
        """

    async def withdraw_event(self, event_id: str) -> None:
        """Nothing has come of it."""

    async def take_events(self, *, limit: int, lease: float) -> Sequence[WaitingEvent]:
        """Those whose time has come, the longest waiting first. Nobody else gets them for `lease` seconds."""

    async def settle_events(self, taken: Sequence[WaitingEvent]) -> None:
        """They are written: forget those that nobody has put or taken anew since."""


class StateStore(AttemptStore, AuditOutbox, Protocol):
    """What must be one truth for all workers and replicas: sessions, what of tokens is revoked, attempts.

    What waits for the audit trail is there, too, since all of them can reach it.

    Revocations are the truth about what is refused. A session's row only says which refresh token comes next: one that
    is missing (a token of another issuer, a row that was lost) lets nobody in, and throws nobody out whose access token
    is good.
    """

    async def open_session(self, session: Session) -> bool:
        """Record a new one; False, and nothing changes, when there is one with this id."""

    async def find_session(self, session_id: str) -> Session | None: ...

    async def replace_session(self, old: Session, new: Session) -> bool:
        """Put `new` in the place of `old`, atomically, if the stored one still has `old.token_id` (compare and swap).

        So of many who rotate one token a single one gets True. `id`, `user_id` and `created_at` never change.
        """

    async def sessions(self, *, user_id: str | None, after: str, limit: int) -> Sequence[Session]:
        """Those of a user, or of all, with an id greater than `after` ("" is before the first), `limit` at most, by id.

        Sessions that are over may still be among them.
        """

    async def revoke(self, revocation: Revocation) -> bool:
        """Record it, atomically; False when it was recorded before (so of two who spend one token, one gets True).

        One that lasts longer or reaches later than the recorded one takes its place and is told to every reader anew,
        also then False. The sessions that it ends go with it: the session, those of the user that were rotated last up
        to the moment, all of these. No more of them is found, but an engine may delete them later.
        """

    async def is_revoked(self, token: IssuedToken) -> bool:
        """Whether a recorded revocation concerns this token; None as an id or a user is concerned by none."""

    async def revocations_since(self, position: int) -> NewRevocations:
        """Revocations recorded after feed `position`; 0 is the beginning of time.

        One that was recorded before another is never told after it: a position once given misses nothing.
        """

    async def wait_for_revocations(self, seconds: float) -> None:
        """Return when `revocations_since` or `take_events` may have something new, after `seconds` at the latest.

        Engines without a way to be told return after a part of that time. Raises `StoreUnavailable` at once or never.
        """

    async def purge(self, now: int) -> None:
        """Forget revocations, sessions and addresses whose `expires_at` <= `now`, counts whose `forget_at` <= `now`.

        Of the counts of attempts at most `MAX_ATTEMPT_COUNTS` are left, those that are forgotten last.
        """

    async def close(self) -> None: ...
