"""A warning for what strangers can cause as often as they like: at most one line a minute, with the number."""

import logging
from collections.abc import Callable
from typing import Final

_QUIET_SECONDS: Final = 60.0


class CountedWarning:
    """`event` names the line; `now` is any clock in seconds."""

    __slots__ = ("_count", "_event", "_logger", "_now", "_quiet_until")

    def __init__(self, logger: logging.Logger, event: str, *, now: Callable[[], float]) -> None:
        self._logger = logger
        self._event = event
        self._now = now
        self._count = 0
        self._quiet_until = float("-inf")

    def note(self, source: str, detail: str) -> None:
        """It happened again, lately because of `source`."""
        self._count += 1
        now = self._now()
        if now < self._quiet_until:
            return
        self._quiet_until = now + _QUIET_SECONDS
        self._logger.warning("%s count=%d last=%s %s", self._event, self._count, source, detail)
        self._count = 0
