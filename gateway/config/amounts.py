"""Durations and sizes: a whole number and its unit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A kind of amount. `units` maps each unit, the smallest first, to how many of the smallest it is."""

    noun: str
    units: Mapping[str, int]
    examples: str

    @property
    def pattern(self) -> str:
        """What an amount looks like. Twelve digits of the largest unit are still exact in a float."""
        return rf"([0-9]{{1,12}})({'|'.join(self.units)})"

    def parse(self, text: str) -> int | None:
        """The amount in the smallest unit; None when `text` is none."""
        match = re.fullmatch(self.pattern, text)
        return None if match is None else int(match[1]) * self.units[match[2]]

    def format(self, amount: int) -> str:
        """The shortest text that `parse` reads as `amount`."""
        if amount == 0:
            return "0" + ("s" if "s" in self.units else next(iter(self.units)))
        unit = next(unit for unit in reversed(list(self.units)) if amount % self.units[unit] == 0)
        return f"{amount // self.units[unit]}{unit}"


DURATION: Final = Measure(
    noun="duration",
    units={"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000},
    examples="1500ms, 10s, 5m, 24h or 1d",
)
SIZE: Final = Measure(
    noun="size",
    units={"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3},
    examples="512B, 64KiB, 10MiB or 1GiB",
)
