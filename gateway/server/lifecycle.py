"""A process that serves, from start to signal to end: the only one, or one of the supervisor's workers."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

# The second generation is only worth a look every 50 000 allocations net: requests leave no cycles behind, and walking
# the heap of the libraries each 700 objects was a tenth of the time of a request.
_GC_THRESHOLDS: Final = (50_000, 20, 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOfLife:
    """`tell` is called every `interval` seconds by the loop itself: what it says is that the loop turns."""

    interval: float
    tell: Callable[[], None]


def run_until_signalled(
    start: Callable[[], AbstractAsyncContextManager[Any]],
    *,
    lifeline: int | None = None,
    on_serving: Callable[[], None] = lambda: None,
    on_stopping: Callable[[], None] = lambda: None,
    meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None,
    sign_of_life: SignOfLife | None = None,
) -> int:
    """Enter the context that `start` makes, wait for SIGINT or SIGTERM, leave it; gives the exit code 0.

    The end of `lifeline`, a descriptor, means the same as a signal; `on_serving` is called when the context has been
    entered, `on_stopping` when it is about to be left. `meanwhile` runs in between; its end before
    that, and what it raises, is the end. `sign_of_life` is given from serving on until the context has been left. A
    second signal while leaving ends the process at once. Raises whatever entering raises.
    """
    gc.set_threshold(*_GC_THRESHOLDS)
    gc.enable()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(
            _serve(
                start,
                lifeline=lifeline,
                on_serving=on_serving,
                on_stopping=on_stopping,
                meanwhile=meanwhile,
                sign_of_life=sign_of_life,
            )
        )
    return 0


def end_by_signal(number: int) -> NoReturn:
    """End now, as if `number` had not been handled: whoever started this process sees the signal."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    # Process 1 of a container is spared by the kernel: a signal without a handler does nothing to it.
    os._exit(128 + number)


async def _serve(
    start: Callable[[], AbstractAsyncContextManager[Any]],
    *,
    lifeline: int | None,
    on_serving: Callable[[], None],
    on_stopping: Callable[[], None],
    meanwhile: Callable[[], Coroutine[Any, Any, None]] | None,
    sign_of_life: SignOfLife | None,
) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    signals: set[int] = set()

    def on_signal(number: int) -> None:
        # Signals are counted without the lifeline: both tell of one end when the signal goes to the process group.
        if signals:
            end_by_signal(number)
        signals.add(number)
        stopping.set()

    def on_lifeline_end(lifeline: int) -> None:
        loop.remove_reader(lifeline)
        stopping.set()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    if lifeline is not None:
        loop.add_reader(lifeline, on_lifeline_end, lifeline)
    async with start():
        # What start has built lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        on_serving()
        if sign_of_life is not None:
            _give(sign_of_life, loop)
        await _first_of(stopping.wait(), *([] if meanwhile is None else [meanwhile()]))
        on_stopping()


def _give(sign: SignOfLife, loop: asyncio.AbstractEventLoop) -> None:
    sign.tell()
    loop.call_later(sign.interval, _give, sign, loop)


async def _first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Until one of them ends, and the others are cancelled. Raises what it has raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it installs (about a third of the price of a request), else asyncio's own."""
    try:
        import uvloop  # lazy: other commands need no loop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
