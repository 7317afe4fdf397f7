"""What is measured and not counted: how many connections, how long ago, which version."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gateway.observability.families import Family, Kind
from gateway.observability.tally import ABSENT, Key, Tally

logger: Final = logging.getLogger("gateway")

Measurement = tuple[Family, tuple[str, ...], float]
"""A family, its labels, and the value: of a counter, as far as it has come in this process."""
Source = Callable[[], Iterable[Measurement]]

_SECONDS: Final = 1.0
ALIVE_SECONDS: Final = 5.0
"""After how long without a sample a worker's measurements are true no more: a few samples, and a loop that is busy."""


class Sampler:
    """Puts what `sources` say into the tally, once a second: any worker may be asked for the metrics of all of them."""

    def __init__(self, tally: Tally, sources: Sequence[Source]) -> None:
        self._tally = tally
        self._sources = tuple(sources)
        self._counted: dict[Key, float] = {}
        self._levels: dict[Key, int] = {}

    def sample(self) -> None:
        """What no source speaks of any more is absent from now on."""
        levels: dict[Key, int] = {}
        cells = self._tally.cells
        for source in self._sources:
            for family, labels, value in source():
                key = (family.name, *labels)
                cell = self._tally.first_cell(key)
                if family.kind is Kind.COUNTER:
                    cells[cell] += value - self._counted.get(key, 0.0)
                    self._counted[key] = value
                else:
                    cells[cell] = value
                    levels[key] = cell
        for key, cell in self._levels.items():
            if key not in levels:
                cells[cell] = ABSENT
        self._levels = levels
        self._tally.beat(time.monotonic())

    async def follow(self) -> None:
        """Sample for ever."""
        while True:
            try:
                self.sample()
            except Exception:
                # On purpose wide: metrics that are missing must not end anything else.
                logger.exception("metrics_failed")
            await asyncio.sleep(_SECONDS)
