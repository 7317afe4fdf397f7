"""What is measured: put into the tally, and taken out when nobody speaks of it any more."""

import asyncio
import math
import time
from collections.abc import Iterable

import pytest

from gateway.observability.families import CONNECTIONS, SERVER_UP, TOKENS_MISSED
from gateway.observability.sampler import ALIVE_SECONDS, Measurement, Sampler
from gateway.observability.tally import RegionReader
from tests.unit.metering import Metering


class Parts:
    """A process whose parts say this."""

    def __init__(self) -> None:
        self.measurements: list[Measurement] = []
        self.is_defective = False
        self.asked = asyncio.Event()

    def source(self) -> Iterable[Measurement]:
        self.asked.set()
        if self.is_defective:
            raise RuntimeError("a part that fails")
        return self.measurements


@pytest.fixture
def metering() -> Metering:
    return Metering()


def test_a_level_is_what_was_said_last(metering: Metering) -> None:
    parts = Parts()
    sampler = Sampler(metering.tally, [parts.source])
    for value in (3, 1):
        parts.measurements = [(CONNECTIONS, (), value)]
        sampler.sample()
    assert metering.series(CONNECTIONS.name) == {(): 1}
    assert RegionReader(metering.regions[0]).is_alive(time.monotonic(), within=ALIVE_SECONDS)


def test_a_level_that_nobody_speaks_of_is_absent(metering: Metering) -> None:
    parts = Parts()
    sampler = Sampler(metering.tally, [parts.source])
    parts.measurements = [(SERVER_UP, ("app", "http://a:1"), 1), (SERVER_UP, ("app", "http://b:1"), 1)]
    sampler.sample()
    parts.measurements = [(SERVER_UP, ("app", "http://b:1"), 0)]
    sampler.sample()
    series = metering.series(SERVER_UP.name)
    assert math.isnan(series.pop(("app", "http://a:1")))
    assert series == {("app", "http://b:1"): 0}


def test_a_counter_goes_on_from_the_process_before(metering: Metering) -> None:
    for _ in range(2):
        parts = Parts()
        sampler = Sampler(metering.tally, [parts.source])
        for value in (3, 5):
            parts.measurements = [(TOKENS_MISSED, (), value)]
            sampler.sample()
    assert metering.series(TOKENS_MISSED.name) == {(): 10}


async def test_a_defect_is_logged_and_the_next_sample_taken(
    metering: Metering, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.observability.sampler._SECONDS", 0.0)
    parts = Parts()
    parts.is_defective = True
    following = asyncio.ensure_future(Sampler(metering.tally, [parts.source]).follow())
    await parts.asked.wait()
    assert "metrics_failed" in caplog.text
    parts.is_defective = False
    parts.measurements = [(CONNECTIONS, (), 4)]
    parts.asked.clear()
    await parts.asked.wait()
    await asyncio.sleep(0)
    assert metering.series(CONNECTIONS.name) == {(): 4}
    following.cancel()
