"""Meters for whatever is under test, and what they have counted."""

from gateway.observability.families import FAMILIES, LEVELS
from gateway.observability.meters import Meters
from gateway.observability.tally import RegionReader, Tally, open_regions


class Metering:
    """One seat of a gateway, small."""

    def __init__(self) -> None:
        self.regions = open_regions(1, max_cells=2000, max_name_bytes=20_000)
        self.tally = Tally(self.regions[0], pid=1, levels=LEVELS)
        self.meters = Meters(self.tally)

    def series(self, name: str) -> dict[tuple[str, ...], float]:
        """By label values: what was counted; of durations, how many there were."""
        cells = self.regions[0].cells
        found = {}
        for entry in RegionReader(self.regions[0]).entries():
            metric, *labels = entry.key
            if metric == name:
                counts = [cells[at] for at in range(entry.first, entry.first + entry.width)]
                found[tuple(labels)] = sum(counts[1:]) if entry.width > 1 else counts[0]
        return found

    def value(self, name: str, **labels: str) -> float:
        """Of all series with these labels together; 0 where there is none."""
        names = FAMILIES[name].labels
        wanted = labels.items()
        return sum(
            value
            for values, value in self.series(name).items()
            if wanted <= dict(zip(names, values, strict=True)).items()
        )


def new_meters() -> Meters:
    """For tests that look at no metric."""
    return Metering().meters
