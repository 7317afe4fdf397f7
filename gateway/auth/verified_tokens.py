"""Tokens whose signature, claims and user have been checked, so that the next request with one costs a look-up.

Only what cannot change is kept: expiry and revocation are looked at by the caller on every request, a change of the
user or of the keys empties the place concerned.
"""

from collections.abc import Collection

from gateway.types import Principal, User


class VerifiedTokens:
    """At most `max_tokens` principals by whole token.

    Two generations instead of a linked list: a look-up in the young one costs nothing extra, one in the old one moves
    the entry, and a full young generation becomes the old one. What nobody asked for in between is gone.

    Beside them stand the users of these tokens, no more than there may be tokens: who was looked up for one token need
    not be for his next one, which a client that refreshes shows every five minutes.
    """

    __slots__ = ("_generation_size", "_old", "_users", "_young", "epoch", "misses")

    def __init__(self, *, max_tokens: int) -> None:
        self._generation_size = max(1, max_tokens // 2)
        self._young: dict[bytes, Principal] = {}
        self._old: dict[bytes, Principal] = {}
        self._users: dict[str, User] = {}
        self.epoch = 0
        self.misses = 0

    def get(self, token: bytes) -> Principal | None:
        principal = self._young.get(token)
        if principal is None:
            principal = self._old.pop(token, None)
            if principal is not None:
                self._store(token, principal)
            else:
                self.misses += 1
        return principal

    def user(self, user_id: str) -> User | None:
        """The user as he was looked up, if he has not changed since."""
        return self._users.get(user_id)

    def learn(self, user: User, *, epoch: int) -> None:
        """Keep what was looked up, unless users changed since `epoch` was read: it may be older than the change."""
        if epoch == self.epoch:
            if len(self._users) >= 2 * self._generation_size:
                self._users.clear()
            self._users[user.id] = user

    def put(self, token: bytes, principal: Principal, *, epoch: int) -> None:
        """Keep it, unless users changed since `epoch` was read."""
        if epoch == self.epoch:
            self._store(token, principal)

    def _store(self, token: bytes, principal: Principal) -> None:
        if len(self._young) >= self._generation_size:
            self._old = self._young
            self._young = {}
        self._young[token] = principal

    def forget_users(self, user_ids: Collection[str]) -> None:
        """These users changed: their tokens must be looked up again."""
        self.epoch += 1
        for user_id in user_ids:
            self._users.pop(user_id, None)
        for generation in (self._young, self._old):
            stale = [token for token, principal in generation.items() if principal.user_id in user_ids]
            for token in stale:
                del generation[token]

    def clear(self) -> None:
        """Everything changed: keys, or more users than can be named."""
        self.epoch += 1
        self._young.clear()
        self._old.clear()
        self._users.clear()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
