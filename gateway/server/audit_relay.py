"""Writes into this process's log what commands have left for the audit trail.

A command is a process of its own, whose output nobody keeps; the log of a gateway is kept. Every gateway of a store
looks, so one of them writes an event and has it forgotten then. One that dies in between has written it or not: another
one writes it when the lease is over, and both lines have the same `event_id`.
"""

import logging
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.interfaces import AuditOutbox, WaitingEvent
from gateway.observability.audit import AuditLog
from gateway.observability.audit_events import AuditEvent

logger: Final = logging.getLogger("gateway")

_BATCH: Final = 200  # lines between two looks at what is revoked: some 10 ms
_LEASE_SECONDS: Final = 60.0  # of a gateway that dies or hangs with events that it took


class AuditRelay:
    """Whoever follows the store asks it to `pass_on`, as often as there may be something."""

    def __init__(self, *, outbox: AuditOutbox, audit: AuditLog) -> None:
        self._outbox = outbox
        self._audit = audit
        self._is_working = True

    async def pass_on(self) -> None:
        """Write what waits, a batch of it at most. A store that fails is no failure of ours: the next call goes on."""
        try:
            taken = await self._outbox.take_events(limit=_BATCH, lease=_LEASE_SECONDS)
            for event in taken:
                self._write(event)
            if taken:
                await self._outbox.settle_events(taken)
        except StoreUnavailable as error:
            self._note(is_working=False, detail=str(error))
        else:
            self._note(is_working=True)

    def _write(self, waiting: WaitingEvent) -> None:
        if waiting.lost:
            self._audit.events_lost(waiting.lost)
        try:
            event = AuditEvent.from_text(waiting.text)
        except ValueError as error:
            logger.warning("audit_event_unreadable event_id=%s %s", waiting.id, error)
        else:
            self._audit.command_changed(event, event_id=waiting.id)

    def _note(self, *, is_working: bool, detail: str = "") -> None:
        """One line when it begins to fail and one when it works again."""
        if is_working == self._is_working:
            return
        self._is_working = is_working
        if is_working:
            logger.warning("audit_relay_recovered")
        else:
            logger.error("audit_relay_failed error=%s", detail)
