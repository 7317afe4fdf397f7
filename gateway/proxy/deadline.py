"""The one deadline of a client connection: something must happen before it, or the timer ends what is waited for.

There is one timer a connection. Setting the deadline stores a number; the timer looks at it when it fires and goes back
to sleep if it was moved, so a request costs no timer of its own. While an exchange runs, it also looks at the client's
pace.
"""

import asyncio
from typing import TYPE_CHECKING

from gateway.proxy.pace import Pace

if TYPE_CHECKING:
    from gateway.proxy.client_connection import ClientConnection
    from gateway.proxy.exchange import Exchange
    from gateway.proxy.tunnel import Tunnel


class Deadline:
    """Loop time. When it has passed, the client's exchange is told, or the client itself where there is none."""

    __slots__ = ("_client", "_loop", "_now", "_pace", "_timer", "_timer_at", "_when")

    def __init__(self, client: "ClientConnection") -> None:
        self._client: ClientConnection | None = client
        self._loop = client.plane.loop
        self._now = client.plane.now
        self._pace: Pace | None = None
        self._when = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def set(self, seconds: float) -> None:
        """Something must happen within `seconds` from now."""
        self._when = when = self._now() + seconds
        if self._timer is None:
            self._arm(when)
        elif when < self._timer_at:
            self._timer.cancel()
            self._arm(when)

    def end(self) -> None:
        """The connection is no more."""
        self._client = None  # else the two would keep each other alive until the collector comes
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def begin_window(self, client: "ClientConnection", exchange: "Exchange | Tunnel") -> Pace:
        """The client's pace is measured from now on."""
        if self._pace is None:
            self._pace = Pace()
        self._pace.begin(self._now(), client.moved_bytes(exchange))
        return self._pace

    def _arm(self, when: float) -> None:
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        client = self._client
        if client is None:
            return
        now = self._now()
        if client.exchange is not None:
            self._look_at(client, client.exchange, now)
        elif now < self._when:
            self._arm(self._when)
        else:
            client.on_deadline()

    def _look_at(self, client: "ClientConnection", exchange: "Exchange | Tunnel", now: float) -> None:
        """Is the exchange's time up, and does its client keep the pace (checklist 78)?"""
        limits, pace = client.plane.limits, self._pace
        if not exchange.waits_for_client():
            if pace is not None:
                pace.forget()
        elif pace is None or not pace.has_begun(exchange.started_at):
            pace = self.begin_window(client, exchange)
        elif now >= pace.end(limits.body_timeout):
            if not pace.is_kept(now, client.moved_bytes(exchange), least_rate=limits.min_rate):
                exchange.on_deadline()
                return
            # Slow, but it moves, and be it only in the kernel's buffers.
            pace = self.begin_window(client, exchange)
            self._when = max(self._when, pace.end(limits.body_timeout))
        if now >= self._when:
            exchange.on_deadline()
        elif pace is not None and pace.has_begun(exchange.started_at):
            self._arm(min(self._when, pace.end(limits.body_timeout)))
        else:
            self._arm(self._when)
