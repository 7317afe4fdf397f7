"""The order of the end."""

import asyncio
import logging

import pytest

from gateway.server.drain import drain


class Steps:
    """Both sides of a drain; `cut` is how many connections are left at the end."""

    def __init__(self, *, cut: int = 0) -> None:
        self.taken: list[str] = []
        self._cut = cut

    def begin_draining(self) -> None:
        self.taken.append("told")

    def close(self) -> None:
        self.taken.append("closed")

    async def drain(self, seconds: float) -> int:
        self.taken.append(f"drained for {seconds:g}")
        return self._cut


async def test_told_then_closed_then_drained(caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps()
    with caplog.at_level(logging.INFO, "gateway"):
        await drain(steps, steps, delay=0, patience=7)
    assert steps.taken == ["told", "closed", "drained for 7"]
    assert [record.getMessage() for record in caplog.records] == [
        "draining delay=0s timeout=7s",
        "drained cut_connections=0",
    ]
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.INFO]


async def test_the_port_stays_open_for_the_delay() -> None:
    steps = Steps()
    draining = asyncio.create_task(drain(steps, steps, delay=3600, patience=7))
    await asyncio.sleep(0)
    assert steps.taken == ["told"]
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining


async def test_what_was_cut_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    steps = Steps(cut=3)
    with caplog.at_level(logging.INFO, "gateway"):
        await drain(steps, steps, delay=0, patience=0)
    assert (caplog.records[-1].levelno, caplog.messages[-1]) == (logging.WARNING, "drained cut_connections=3")
