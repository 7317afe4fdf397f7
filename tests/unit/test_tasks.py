"""Background tasks: kept while they run, and a failure ends in the log."""

import asyncio
import gc
import logging
import weakref

import pytest

from gateway.tasks import spawn


async def test_a_task_that_nobody_else_holds_runs_to_its_end() -> None:
    waiting: list[weakref.ref[asyncio.Future[int]]] = []
    results: list[int] = []

    async def work() -> None:
        # The future and the task hold each other and nothing holds them: the collector would take both.
        future = asyncio.get_running_loop().create_future()
        waiting.append(weakref.ref(future))
        results.append(await future)

    spawn(work(), name="work")
    await asyncio.sleep(0)
    gc.collect()
    future = waiting[0]()
    assert future is not None
    future.set_result(7)
    await asyncio.sleep(0)
    assert results == [7]


async def test_a_failure_is_logged_with_its_name_and_trace(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("broken")

    task = spawn(fail(), name="feed")
    await asyncio.wait([task])
    [record] = caplog.records
    assert (record.levelno, record.name, record.getMessage()) == (logging.ERROR, "gateway", "task_failed name=feed")
    assert record.exc_info is not None
    assert record.exc_info[1] is task.exception()


async def test_an_end_that_was_asked_for_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    async def finish() -> int:
        return 7

    waiting, finished = spawn(wait(), name="wait"), spawn(finish(), name="finish")
    await finished
    waiting.cancel()
    await asyncio.wait([waiting])
    assert (waiting.cancelled(), finished.result()) == (True, 7)
    assert caplog.records == []
