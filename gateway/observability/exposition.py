"""All workers' numbers → what Prometheus reads. Any process of the gateway can tell it.

The one module that knows prometheus_client: importing that takes 9 ms and 1.3 MiB, which nobody pays who has no admin
listener.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from gateway.observability.families import DURATION_BOUNDS, FAMILIES, Family, Join, Kind
from gateway.observability.sampler import ALIVE_SECONDS
from gateway.observability.tally import Region, RegionReader

Numbers = list[float]
Series = dict[tuple[str, ...], Numbers]
"""By label values: one number, or for durations their sum and the buckets."""

_encode_openmetrics: Final[Callable[[Collector], bytes]] = openmetrics.generate_latest  # typed here, not there
_OPENMETRICS: Final = "application/openmetrics-text"
_BOUNDS: Final = (*(str(bound) for bound in DURATION_BOUNDS), "+Inf")
_JOINS: Final = {Join.LEAST: min, Join.MOST: max}


class Exposition:
    """`regions` are those of all processes. Renders in one thread at a time."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self._registry = CollectorRegistry()
        readers = [RegionReader(region) for region in regions]
        self._registry.register(_Joined(readers))
        self._registry.register(_Processes(readers))
        PlatformCollector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Body and content type: OpenMetrics for those who ask for it, else Prometheus' text format."""
        # Not prometheus_client's own `choose_encoder`: it raises whatever it likes for a version that is no number.
        if _OPENMETRICS in accept:
            return _encode_openmetrics(self._registry), openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4


class _Joined(Collector):
    """Counters of all seats, whoever sits there now; levels of the workers that live."""

    def __init__(self, readers: Sequence[RegionReader]) -> None:
        self._readers = readers

    def collect(self) -> Iterator[Metric]:
        joined: dict[str, Series] = {name: {} for name in FAMILIES}
        now = time.monotonic()
        for reader in self._readers:
            is_alive = reader.is_alive(now, within=ALIVE_SECONDS)
            for entry in reader.entries():
                name, *labels = entry.key
                family = FAMILIES[name]
                numbers = [reader.cells[at] for at in range(entry.first, entry.first + entry.width)]
                if family.kind is not Kind.LEVEL or (is_alive and not math.isnan(numbers[0])):
                    _join(joined[name], tuple(labels), numbers, family.join)
        for name, series in joined.items():
            yield _exposed(FAMILIES[name], series)


def _join(series: Series, labels: tuple[str, ...], numbers: Numbers, join: Join) -> None:
    known = series.get(labels)
    if known is None:
        series[labels] = numbers
    elif join is Join.SUM:
        series[labels] = [one + other for one, other in zip(known, numbers, strict=True)]
    else:
        series[labels] = [_JOINS[join](known[0], numbers[0])]


def _exposed(family: Family, series: Series) -> Metric:
    if family.kind is Kind.COUNTER:
        counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
        for labels, (value,) in series.items():
            counter.add_metric(labels, value)
        return counter
    if family.kind is Kind.LEVEL:
        level = GaugeMetricFamily(family.name, family.help, labels=family.labels)
        for labels, (value,) in series.items():
            level.add_metric(labels, value)
        return level
    durations = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    for labels, (total, *counts) in series.items():
        durations.add_metric(labels, list(zip(_BOUNDS, _cumulated(counts), strict=True)), total)
    return durations


def _cumulated(counts: Iterable[float]) -> Iterator[float]:
    total = 0.0
    for count in counts:
        total += count
        yield total


class _Processes(Collector):
    """prometheus_client's process metrics, of every worker that lives. `worker` counts from 1."""

    def __init__(self, readers: Sequence[RegionReader]) -> None:
        self._readers = readers

    def collect(self) -> Iterator[Metric]:
        now = time.monotonic()
        families: dict[str, Metric] = {}
        for number, reader in enumerate(self._readers, start=1):
            if not reader.is_alive(now, within=ALIVE_SECONDS):
                continue
            pid = reader.pid
            for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    family.add_sample(sample.name, {"worker": str(number)}, sample.value)
        yield from families.values()
