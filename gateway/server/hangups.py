"""SIGHUP, which asks to read the configuration again."""

import asyncio
import os
import signal
from types import FrameType
from typing import Final

_STANDARD_ERROR: Final = 2


class HangUps:
    """Caught from the moment on when this is made, before the configuration is read: none is lost, and none kills.

    Several that come before anybody looks are one. One that comes because the terminal of this process has gone is the
    end, as if it had been told to: it must not hold its port for somebody who cannot see it any more.
    """

    def __init__(self) -> None:
        self._has_come = False
        self._has_terminal = os.isatty(_STANDARD_ERROR)
        self._news: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        signal.signal(signal.SIGHUP, self._on_signal)

    def take(self) -> bool:
        """Whether one has come since the last look."""
        has_come, self._has_come = self._has_come, False
        return has_come

    async def wait(self, seconds: float) -> bool:
        """Whether one comes in this time, or has come."""
        if self._news is None:
            # The loop is told by us. Were it to catch the signal from now on, one that came a moment ago would be told
            # twice: its byte still waits in the pipe by which loops hear of signals.
            self._news, self._loop = asyncio.Event(), asyncio.get_running_loop()
        if not self._has_come:
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return False
        self._news.clear()
        return self.take()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._has_terminal and not os.isatty(_STANDARD_ERROR):
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self._has_come = True
        if self._news is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)
