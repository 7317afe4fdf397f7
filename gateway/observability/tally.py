"""Numbers that one process adds to and every process reads: how the metrics of several workers become one.

Workers share no memory but this: one anonymous mapping, made before the fork, with a region for each seat. A region is
a row of float64 *cells* and, behind it, the *names* of the cells, appended as they are first used. Only the process in
the seat writes to it, so nothing is locked; whoever is asked for metrics reads all regions.

- A cell is the number itself, not a copy that is published now and then: what is read is what has happened, and nothing
  is lost with a worker that is killed. The next one in its seat goes on from there, so no counter ever decreases.
- Measured on Python 3.11: `cells[i] += 1.0` through a memoryview takes 47 ns, as long as in a list; to count a request
  by method, status and reason and to put its duration into a histogram takes 250 ns in all, 210 in a dictionary and a
  list of the process's own. prometheus_client's Counter and Histogram take 1.7 µs for the same, and their multiprocess
  mode needs a folder to write to, where a container with a read-only root file system has none.
- A process reads names up to the length that the writer has set after them. An aligned float64 is stored at once on the
  64-bit machines that Linux runs on. A torn name would be a line that is no JSON, and is left out that time.

Pages that nobody has touched cost no memory, so a region is as large as it may ever need to be. Where it is full all
the same (tens of thousands of series), further series are not counted and the log says so once.
"""

import json
import logging
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

logger: Final = logging.getLogger("gateway")

Key = tuple[str, ...]
"""A metric's name and its label values."""
Cells: TypeAlias = "memoryview[float]"

MAX_CELLS: Final = 64 * 1024
MAX_NAME_BYTES: Final = 8 * MAX_CELLS * 8
MAX_WIDTH: Final = 32
_CELL_BYTES: Final = 8
_NAMES_END, _BEAT, _PID = range(3)
_SPILL: Final = 8  # cells that are added to in place of those for which there was no room
_FIRST_CELL: Final = _SPILL + MAX_WIDTH
ABSENT: Final = float("nan")
"""What a level is while nobody can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where the numbers of `key` are: `width` cells from `first` on."""

    key: Key
    first: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """The memory of one seat, a worker's or the supervisor's."""

    cells: Cells
    names: memoryview


def open_regions(seats: int, *, max_cells: int = MAX_CELLS, max_name_bytes: int = MAX_NAME_BYTES) -> tuple[Region, ...]:
    """Shared with every process that is forked from here on."""
    size = max_cells * _CELL_BYTES + max_name_bytes
    memory = memoryview(mmap.mmap(-1, seats * size))
    whole = [memory[start : start + size] for start in range(0, seats * size, size)]
    row = max_cells * _CELL_BYTES
    return tuple(Region(cells=region[:row].cast("d"), names=region[row:]) for region in whole)


class Tally:
    """A process's own region. What was counted in its seat before stays; what was measured there is `ABSENT` again."""

    __slots__ = ("_firsts", "_is_full", "_names", "_next", "cells")

    def __init__(self, region: Region, *, pid: int, levels: frozenset[str]) -> None:
        self.cells = region.cells
        self._names = region.names
        self._firsts: dict[Key, int] = {}
        self._next = _FIRST_CELL
        self._is_full = False
        for entry in RegionReader(region).entries():
            self._firsts[entry.key] = entry.first
            self._next = entry.first + entry.width
            if entry.key[0] in levels:
                self.cells[entry.first] = ABSENT
        self.cells[_PID] = pid
        self.beat(0.0)

    def first_cell(self, key: Key, *, width: int = 1) -> int:
        """The first of the `width` cells of `key`: those it has, else new ones that are 0."""
        first = self._firsts.get(key)
        return self._append(key, width) if first is None else first

    def beat(self, now: float) -> None:
        """The process lives, and what it measures is of `now` (monotonic seconds)."""
        self.cells[_BEAT] = now

    def leave(self) -> None:
        """What it measured is true no more."""
        self.cells[_BEAT] = 0.0

    def _append(self, key: Key, width: int) -> int:
        line = json.dumps([width, *key]).encode() + b"\n"
        start = int(self.cells[_NAMES_END])
        end, first = start + len(line), self._next
        if end > len(self._names) or first + width > len(self.cells):
            if not self._is_full:
                self._is_full = True
                logger.error("metrics_full cells=%d names=%d further series are not counted", first, start)
            return _SPILL
        self._names[start:end] = line
        self.cells[_NAMES_END] = end
        self._firsts[key] = first
        self._next = first + width
        return first


class RegionReader:
    """Reads a region while its process writes to it. Not for two threads at a time."""

    __slots__ = ("_entries", "_next", "_read", "_region", "cells")

    def __init__(self, region: Region) -> None:
        self.cells = region.cells
        self._region = region
        self._entries: list[Entry] = []
        self._read = 0
        self._next = _FIRST_CELL

    def entries(self) -> Sequence[Entry]:
        """All that there are by now."""
        self._entries.extend(self._new_entries())
        return self._entries

    def is_alive(self, now: float, *, within: float) -> bool:
        """Whether its process has given a sign of life."""
        return now - self.cells[_BEAT] < within

    @property
    def pid(self) -> int:
        return int(self.cells[_PID])

    def _new_entries(self) -> Iterator[Entry]:
        end = int(self.cells[_NAMES_END])
        for line in bytes(self._region.names[self._read : end]).splitlines(keepends=True):
            try:
                width, *key = json.loads(line)
            except ValueError:
                return
            yield Entry(key=tuple(key), first=self._next, width=width)
            self._next += width
            self._read += len(line)
