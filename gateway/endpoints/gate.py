"""The one gate for every way to present a password: counted first, then hashed."""

import contextlib
import logging
import math
from collections.abc import Callable, Sequence
from typing import Final

from gateway.auth.passwords import MAX_PASSWORD_BYTES
from gateway.auth.throttle import GuessingPolicy, Presenter
from gateway.endpoints.hashing import HashingPool
from gateway.endpoints.turns import Turns
from gateway.errors import Reason, Refused, StoreUnavailable
from gateway.interfaces import AttemptStore, UserDirectory
from gateway.types import Account, AttemptLimit

LOGGER: Final = logging.getLogger("gateway.endpoints")

MAX_LOGIN_CHARS: Final = 255

_REFRESH_SHARE: Final = 0.9  # a known address is remembered anew when less than this of its time is left


class Throttled(Refused):
    """Refused with THROTTLED; `by` is what has failed too often, "user" (the name) or "address"."""

    def __init__(self, *, by: str, seconds: float) -> None:
        super().__init__(Reason.THROTTLED, retry_after=max(1, math.ceil(seconds)))
        self.by = by


class PasswordGate:
    """Who are you, and is it true? `policy` None lets everybody guess as fast as hashes can be computed.

    An attempt is taken from the store before its password is looked at, as if it had failed: those that come at the
    same moment, at any worker or replica, are counted, too. Where a name has succeeded before, its attempts are made
    one after the other, so that right ones do not count against each other. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        *,
        directory: UserDirectory,
        hashing: HashingPool,
        store: AttemptStore,
        policy: GuessingPolicy | None,
        clock: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._hashing = hashing
        self._store = store
        self._policy = policy
        self._clock = clock
        self._inside = 0
        self._turns = Turns(most=hashing.capacity // 2)

    async def authenticate(self, login: str, password: str, address: str) -> Account:
        """The active account that these are of; `address` is the client's.

        Raises `Refused`: WRONG_CREDENTIALS, OVERLOADED, and as `Throttled`; `StoreUnavailable` when nobody can tell.
        """
        # No more are let in than can be hashed, so that a flood does not keep the store busy with counting, either.
        if self._inside >= self._hashing.capacity:
            raise Refused(Reason.OVERLOADED)
        self._inside += 1
        try:
            if self._policy is None:
                account = await self._check(login, password)
            else:
                account = await self._check_counted(self._policy, login, password, address)
            await self._strengthen(account, password)
            return account
        finally:
            self._inside -= 1

    async def _check_counted(self, policy: GuessingPolicy, login: str, password: str, address: str) -> Account:
        presenter = policy.identify(login, address)
        is_known = await self._store.knows_address(presenter.name, presenter.address, now=self._clock())
        if not is_known:
            return await self._attempt(policy, presenter, login, password, is_known=False)
        key = presenter.name_at_address
        if not self._turns.has_room(key):
            raise Throttled(by="user", seconds=1)
        async with self._turns.of(key):
            return await self._attempt(policy, presenter, login, password, is_known=True)

    async def _attempt(
        self, policy: GuessingPolicy, presenter: Presenter, login: str, password: str, *, is_known: bool
    ) -> Account:
        limits = policy.limits(presenter, is_known=is_known)
        await self._take(policy, presenter, limits)
        try:
            account = await self._check(login, password)
        except (Refused, StoreUnavailable) as error:
            if not (isinstance(error, Refused) and error.reason is Reason.WRONG_CREDENTIALS):
                await self._give_back(limits)
            raise
        await self._forgive(policy, presenter, limits, is_known=is_known)
        return account

    async def _take(self, policy: GuessingPolicy, presenter: Presenter, limits: Sequence[AttemptLimit]) -> None:
        now = self._clock()
        blocked = await self._store.take_attempt(limits, now=now, forget_at=now + policy.forget_after)
        if blocked is not None:
            by = "address" if blocked.id == presenter.address else "user"
            raise Throttled(by=by, seconds=blocked.until - now)

    async def _check(self, login: str, password: str) -> Account:
        """Exactly one verification of one password on every way through here, so that all failures take as long."""
        if len(login) > MAX_LOGIN_CHARS or len(password.encode()) > MAX_PASSWORD_BYTES:
            # The long text itself is never hashed.
            await self._hashing.verify(None, "")
            raise Refused(Reason.WRONG_CREDENTIALS)
        account = await self._directory.find_by_login(login)
        is_active = account is not None and account.user.is_active
        # Not the hash of somebody who is disabled: a right password may cost less than all that fail.
        is_right = await self._hashing.verify(account.password_hash if account and is_active else None, password)
        if account is None or not is_right:
            raise Refused(Reason.WRONG_CREDENTIALS)
        return account

    async def _give_back(self, limits: Sequence[AttemptLimit]) -> None:
        """Nobody looked at the password, so it was no attempt. If that cannot be stored, it stays a failure."""
        with contextlib.suppress(StoreUnavailable):
            await self._store.settle_attempt(forget=(), give_back=[limit.id for limit in limits])

    async def _forgive(
        self, policy: GuessingPolicy, presenter: Presenter, limits: Sequence[AttemptLimit], *, is_known: bool
    ) -> None:
        """The name's count begins anew. The address gets back this attempt alone: else its owner would log in as
        himself between his guesses at others."""
        [of_name, *of_address] = [limit.id for limit in limits]
        await self._store.settle_attempt(forget=(of_name,), give_back=of_address)
        now, lifetime = self._clock(), policy.address_lifetime
        if is_known and await self._store.knows_address(
            presenter.name, presenter.address, now=now + lifetime * _REFRESH_SHARE
        ):
            return
        await self._store.remember_address(presenter.name, presenter.address, expires_at=int(now + lifetime))

    async def _strengthen(self, account: Account, password: str) -> None:
        """Replace a hash that is weaker than today's configuration; the log-in does not depend on it."""
        if not self._hashing.needs_rehash(account.password_hash):
            return
        try:
            encoded = await self._hashing.hash(password)
            await self._directory.replace_password_hash(account.user.id, account.password_hash, encoded)
        except (Refused, StoreUnavailable) as error:
            LOGGER.warning("rehash_postponed: %s", error)
