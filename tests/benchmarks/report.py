"""The two tables, as text for a terminal, as Markdown for the docs, and as JSON."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from tests.benchmarks.findings import Finding, Measured
from tests.benchmarks.loads import LOADS

_QUIET = 0.05
_Cells = tuple[str, ...]

_MEASURED_HEAD: _Cells = (
    "server", "load", "CPU µs/request", "user", "system", "requests/s", "+p50 ms", "+p99 ms", "RSS MiB",
)  # fmt: skip
_FINDINGS_HEAD: _Cells = ("scenario", "what", "target", "measured", "verdict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that one run of the benchmark found. `servers` and `scenarios` are the titles of their names."""

    machine: Mapping[str, str]
    servers: Mapping[str, str]
    scenarios: Mapping[str, str]
    missing: Sequence[str]
    measured: Sequence[Measured]
    findings: Sequence[Finding]

    def text(self) -> str:
        remarks = "".join(f"\n{remark}" for remark in self._remarks())
        measured = f"{_aligned(self._measured_rows())}\n" if self.measured else ""
        return f"{measured}{_aligned(self._finding_rows())}{remarks}"

    def markdown(self) -> str:
        machine = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        remarks = " ".join((f"{machine}.", *self._remarks()))
        return f"{_markdown(self._finding_rows())}\n\n{_markdown(self._measured_rows())}\n\n{remarks}\n"

    def json(self) -> str:
        content = {
            "machine": dict(self.machine),
            "missing": list(self.missing),
            "measured": [{**asdict(one), "title": self.servers[one.server]} for one in self.measured],
            "findings": [{**asdict(one), "verdict": one.verdict} for one in self.findings],
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

    def _remarks(self) -> list[str]:
        """What a reader must know to believe the figures as far as they deserve it."""
        remarks = []
        if self.missing:
            remarks.append(f"Not installed, so not measured: {', '.join(self.missing)}.")
        others = [one.others for one in self.measured]
        if others and max(others) > _QUIET:
            share = f"{statistics.median(others):.0%} (median, at most {max(others):.0%})"
            remarks.append(f"Not a quiet machine: other processes had {share} of the measured core.")
        return remarks

    def _measured_rows(self) -> list[_Cells]:
        return [_MEASURED_HEAD, *map(self._measured_row, self.measured)]

    def _measured_row(self, one: Measured) -> _Cells:
        return (
            self.servers[one.server],
            LOADS[one.load].title,
            _number(one.cpu_us),
            _number(one.user_us),
            _number(one.system_us),
            f"{one.requests_per_second:.0f}",
            "–" if one.added_p50_ms is None else f"{one.added_p50_ms:.2f}",
            "–" if one.added_p99_ms is None else f"{one.added_p99_ms:.2f}",
            f"{one.rss_mib:.1f}",
        )

    def _finding_rows(self) -> list[_Cells]:
        return [
            _FINDINGS_HEAD,
            *((self.scenarios[one.scenario], one.what, one.target, _value(one), one.verdict) for one in self.findings),
        ]


def _number(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def _value(finding: Finding) -> str:
    value = "–" if finding.value is None else f"{finding.value:.2f} {finding.unit}"
    return f"{value} ({finding.detail})" if finding.detail else value


def _aligned(rows: Sequence[_Cells]) -> str:
    """Words to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _markdown(rows: Sequence[_Cells]) -> str:
    head, *others = rows
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *others))
