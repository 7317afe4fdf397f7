"""The one way to start a background task: the reference is kept and a failure is logged, never lost."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

logger: Final = logging.getLogger("gateway")
_running: Final[set[asyncio.Task[Any]]] = set()


def spawn(work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
    """Run `work` beside everything else. Cancel it through the task; exceptions end in the log."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    _running.add(task)
    task.add_done_callback(_on_done)
    return task


def _on_done(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("task_failed name=%s", task.get_name(), exc_info=error)
