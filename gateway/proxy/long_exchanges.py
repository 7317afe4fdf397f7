"""Exchanges that may outlive the token that admitted them: tunnels and event streams.

Everything else is asked for its token on each request. These are asked once, so a sweep over the open ones, once a
second, asks for them again: two look-ups and a comparison each, however much passes through them. The user directory is
asked only for users of whom the change feed says that they changed.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Final, Protocol

from gateway.auth.policy import RoutePolicy, require_user
from gateway.auth.revocation import RevocationList
from gateway.errors import Reason, Refused, StoreUnavailable
from gateway.http.requests import Request
from gateway.interfaces import UserLookUp
from gateway.proxy.plan import RoutePlan, WebSocketPlan
from gateway.tasks import spawn
from gateway.types import Principal, User

logger: Final = logging.getLogger("gateway")

_SWEEP_SECONDS: Final = 1.0
_NOT_THE_TOKENS_FAULT: Final = frozenset(
    {Reason.TOKEN_EXPIRED, Reason.TOKEN_REVOKED, Reason.STORE_UNAVAILABLE, Reason.ISSUER_UNAVAILABLE}
)

Recognise = Callable[[RoutePolicy, list[bytes] | None, float], object | None]
"""`Admission.recognise`: None for nobody; raises `Refused`."""


class LongExchange(Protocol):
    """A tunnel, or the exchange of an event stream. `started_at` is loop time and lies before its admission."""

    @property
    def started_at(self) -> float: ...

    @property
    def principal(self) -> Principal | None: ...

    @property
    def plan(self) -> RoutePlan | None: ...

    @property
    def request(self) -> Request: ...

    def end_early(self, reason: Reason) -> None:
        """End it in the gateway's own name."""


class LongExchanges:
    """The open ones of a process. `clock` gives Unix seconds. `watched` is empty where there is nothing to discard."""

    def __init__(
        self,
        *,
        revocations: RevocationList,
        directory: UserLookUp,
        clock: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._revocations = revocations
        self._directory = directory
        self._clock = clock
        self._loop = loop
        self.watched: dict[LongExchange, Principal] = {}
        self._tunnels: dict[LongExchange, tuple[WebSocketPlan, str] | None] = {}
        self._counts: dict[tuple[WebSocketPlan, str], int] = {}
        self._suspects: set[str] = set()  # users that changed and have not been looked up since
        self._users_changed_at = float("-inf")  # loop time
        self._timer: asyncio.TimerHandle | None = None
        self._look_up: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<LongExchanges watched={len(self.watched)} tunnels={len(self._tunnels)}>"

    @property
    def tunnels(self) -> int:
        return len(self._tunnels)

    # What the exchanges say

    def watch(self, exchange: LongExchange) -> None:
        """It is to end with its token, its session and its user, unless it has none or its route says otherwise."""
        principal, plan = exchange.principal, exchange.plan
        if principal is None or plan is None or plan.outlives_token:
            return
        self.watched[exchange] = principal
        if not plan.policy.is_stateless and self._users_changed_at >= exchange.started_at:
            # Its user was looked up before the change or after, nobody knows: once more, then.
            self._suspects.add(principal.user_id)
        if self._timer is None:
            self._timer = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def require_room(self, plan: WebSocketPlan, principal: Principal | None) -> None:
        """Raises `Refused(TOO_MANY_WEBSOCKETS)` when the user has as many tunnels as the route allows."""
        if principal is not None and self._counts.get((plan, principal.user_id), 0) >= plan.max_per_user:
            raise Refused(Reason.TOO_MANY_WEBSOCKETS)

    def open_tunnel(self, tunnel: LongExchange) -> None:
        """Count and watch it until `discard`."""
        principal, plan = tunnel.principal, tunnel.plan
        key = None
        if principal is not None and plan is not None and plan.websocket is not None:
            key = (plan.websocket, principal.user_id)
            self._counts[key] = self._counts.get(key, 0) + 1
        self._tunnels[tunnel] = key
        self.watch(tunnel)

    def discard(self, exchange: LongExchange) -> None:
        """It is over; nothing happens when it was never here."""
        self.watched.pop(exchange, None)
        key = self._tunnels.pop(exchange, None)
        if key is not None:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]

    # What others say

    def on_users_changed(self, user_ids: Collection[str] | None) -> None:
        """These users changed, None for any: look them up before the next sweep is over."""
        self._users_changed_at = self._loop.time()
        for exchange, principal in self.watched.items():
            if (user_ids is None or principal.user_id in user_ids) and _has_known_user(exchange):
                self._suspects.add(principal.user_id)

    def ask_again(self, recognise: Recognise) -> None:
        """Other keys count, or other claims: what was admitted by a token that would not pass any more ends now.

        The route that it was admitted on stands, as for every exchange that has begun. What has ended or was revoked is
        left to the sweep, and so is what nobody can tell at the moment.
        """
        now = self._clock()
        for exchange in tuple(self.watched):
            plan = exchange.plan
            try:
                if plan is None or recognise(plan.policy, exchange.request.tokens, now) is not None:
                    continue
            except Refused as refusal:
                if refusal.reason in _NOT_THE_TOKENS_FAULT:
                    continue
            self._end(exchange, Reason.TOKEN_INVALID)

    def end_tunnels(self) -> None:
        """The gateway stops. Event streams get the time that every answer gets: many of them end by themselves."""
        for tunnel in tuple(self._tunnels):
            tunnel.end_early(Reason.STOPPING)

    def close(self) -> None:
        """Nothing is swept any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._look_up is not None:
            self._look_up.cancel()

    # The sweep

    def _sweep(self) -> None:
        now = self._clock()
        for exchange, principal in tuple(self.watched.items()):
            if principal.expires_at <= now:
                self._end(exchange, Reason.TOKEN_EXPIRED)
            elif self._revocations.is_revoked(principal):
                self._end(exchange, Reason.TOKEN_REVOKED)
        if self._suspects and (self._look_up is None or self._look_up.done()):
            self._look_up = spawn(self._look_suspects_up(), name="long_exchanges")
        self._timer = self._loop.call_later(_SWEEP_SECONDS, self._sweep) if self.watched else None

    def _end(self, exchange: LongExchange, reason: Reason) -> None:
        self.watched.pop(exchange, None)
        exchange.end_early(reason)

    async def _look_suspects_up(self) -> None:
        """One after the other: there is no hurry that would be worth a crowd at the directory."""
        while self._suspects:
            user_id = self._suspects.pop()
            try:
                user = await self._directory.find_by_id(user_id)
            except Exception as error:
                # Nobody can tell. What was known when they were admitted goes on counting until somebody can.
                self._suspects.add(user_id)
                if isinstance(error, StoreUnavailable):
                    return
                raise
            self._end_what_is_not_of(user, user_id)

    def _end_what_is_not_of(self, user: User | None, user_id: str) -> None:
        for exchange, principal in tuple(self.watched.items()):
            if principal.user_id == user_id and _has_known_user(exchange):
                try:
                    require_user(principal, user)
                except Refused as refusal:
                    self._end(exchange, refusal.reason)


def _has_known_user(exchange: LongExchange) -> bool:
    """Whether its route asks the directory at all, and the directory has a say about its user."""
    principal, plan = exchange.principal, exchange.plan
    return principal is not None and principal.is_local and plan is not None and not plan.policy.is_stateless
