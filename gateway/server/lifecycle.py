"""A process from start to signal to end."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"

# The second generation is only worth a look every 50 000 allocations net: requests leave no cycles behind, and walking
# the heap of the libraries each 700 objects was a tenth of the time of a request.
_GC_THRESHOLDS: Final = (50_000, 20, 50)


def run_until_signalled(start: Callable[[], AbstractAsyncContextManager[Any]]) -> int:
    """Enter the context that `start` makes, wait for SIGINT or SIGTERM, leave it; gives the exit code 0.

    A second signal while leaving ends the process at once. Raises whatever entering raises.
    """
    configure_logging()
    gc.set_threshold(*_GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(start))
    return 0


def configure_logging() -> None:
    """Everything to standard error; audit records are JSON lines of their own."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("gateway").setLevel(logging.INFO)


async def _serve(start: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def on_signal(number: int) -> None:
        if stopping.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    async with start():
        # What start has built lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        await stopping.wait()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it installs (about a third of the price of a request), else asyncio's own."""
    try:
        import uvloop  # lazy: other commands need no loop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
