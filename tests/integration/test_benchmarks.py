"""The benchmarks' own judgement, and that the micro-benchmarks still find the product's inner parts that they time."""

import subprocess
import sys
from xml.etree import ElementTree

import pytest

from tests.benchmarks import chart
from tests.benchmarks.findings import Finding, Measured
from tests.integration.processes import CHECKOUT

_SVG = "{http://www.w3.org/2000/svg}"


def test_micro_benchmarks_run_every_step() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.micro", "--iterations", "70"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the whole exchange") == 8
    assert "admit, token known" in done.stdout


@pytest.mark.parametrize(
    ("value", "bound", "is_lower_bound", "verdict"),
    [
        (1.6, 1.6, False, "ok"),
        (1.61, 1.6, False, "missed"),
        (0.8, 0.8, True, "ok"),
        (0.79, 0.8, True, "missed"),
        (None, 1.6, False, "not measured"),
        (2.0, None, False, ""),
    ],
)
def test_verdicts(value: float | None, bound: float | None, is_lower_bound: bool, verdict: str) -> None:
    finding = Finding(scenario="x", what="y", value=value, bound=bound, is_lower_bound=is_lower_bound)
    assert finding.verdict == verdict


def test_the_chart_is_well_formed_and_its_bars_are_to_scale() -> None:
    measured = [
        Measured(
            scenario="small_get",
            server=server,
            load="one_token",
            user_us=user,
            system_us=10,
            requests_per_second=1,
            added_p50_ms=None,
            added_p99_ms=None,
            rss_mib=1,
            others=0,
        )
        for server, user in (("haproxy", 10), ("gateway", 30))
    ]
    drawn = ElementTree.fromstring(chart.render(measured, {"haproxy": "A & B", "gateway": "C"}))
    widths = [float(bar.get("width", 0)) for bar in drawn.iter(f"{_SVG}rect") if bar.get("class") == "user"]
    assert widths == [pytest.approx(widths[1] / 3, abs=0.1), widths[1], widths[1]]
    assert "A & B" in {text.text for text in drawn.iter(f"{_SVG}text")}
