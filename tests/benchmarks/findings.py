"""What was measured, and what was promised of it."""

from dataclasses import dataclass
from typing import Literal

Metric = Literal["cpu_us", "requests_per_second"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """`metric` of `subject` by that of `reference` stays at or below `bound`; or above, with `is_lower_bound`.

    Subject and reference are (server, load). No bound: the ratio is only shown.
    """

    subject: tuple[str, str]
    reference: tuple[str, str]
    metric: Metric
    bound: float | None
    is_lower_bound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One contestant's medians over the rounds. Latencies are what it adds to the upstream's own.

    `others` is the share of the measured core that other processes had.
    """

    scenario: str
    server: str
    load: str
    user_us: float
    system_us: float
    requests_per_second: float
    added_p50_ms: float | None
    added_p99_ms: float | None
    rss_mib: float
    others: float

    @property
    def cpu_us(self) -> float:
        return self.user_us + self.system_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the second table: `value` is what was measured (None: could not be), `unit` as `×` or `KiB`."""

    scenario: str
    what: str
    value: float | None
    unit: str = "×"
    bound: float | None = None
    is_lower_bound: bool = False
    detail: str = ""

    @property
    def target(self) -> str:
        if self.bound is None:
            return ""
        return f"{'≥' if self.is_lower_bound else '≤'} {self.bound:g} {self.unit}"

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self.bound is None:
            return ""
        is_met = self.value >= self.bound if self.is_lower_bound else self.value <= self.bound
        return "ok" if is_met else "missed"
