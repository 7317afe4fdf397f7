"""The price of a request, beside real peers, in one run: see docs/performance.md.

    python -m tests.benchmarks [--only NAME ...] [--seconds 3] [--rounds 5] [--short] [--json FILE] [--docs]

Needs nginx (the upstream) and wrk (the load). HAProxy takes part when it is installed, Caddy and Traefik with the
`bench` extra. The measured process has one core, load and upstream the other. Only ratios within one run mean something.
"""

import argparse
import os
import platform
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.benchmarks import chart, suite
from tests.benchmarks.costs import HAS_TWO_CORES, LOAD_CORE
from tests.benchmarks.fleet import OTHER, Fleet
from tests.benchmarks.gateways import VARIANTS, Variant
from tests.benchmarks.peers import PEERS, TITLES, find, versions
from tests.benchmarks.report import Report
from tests.benchmarks.rounds import note
from tests.benchmarks.suite import Effort
from tests.benchmarks.wrk import CONNECTIONS, Wrk
from tests.integration.processes import CHECKOUT


def main() -> None:
    arguments = _arguments()
    for tool in ("nginx", "wrk"):
        if find(tool) is None:
            raise SystemExit(f"{tool} is not installed; it comes with the distribution's package of that name.")
    if not HAS_TWO_CORES:
        note("One core only: server and load take it from each other, so even the ratios say little.")
    os.sched_setaffinity(0, {LOAD_CORE})
    effort = Effort(
        seconds=arguments.seconds,
        rounds=arguments.rounds,
        warm_up=not arguments.short,
        idle_connections=500 if arguments.short else 10_000,
    )
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        with Fleet(folder, resize=_smaller if arguments.short else lambda it: it, other=arguments.compare) as fleet:
            wrk = Wrk(folder)
            measured, findings = suite.run(arguments.only or suite.TITLES, fleet, wrk, effort)
    report = Report(
        machine=_machine(),
        servers={name: fleet.title(name) for name in (*TITLES, *VARIANTS, OTHER)},
        scenarios=suite.TITLES,
        missing=[peer for peer in PEERS if find(peer) is None],
        measured=measured,
        findings=findings,
    )
    print(report.text())
    if arguments.json:
        arguments.json.write_text(report.json())
    if arguments.docs:
        _write_docs(report)


def _write_docs(report: Report) -> None:
    """The chart, and the tables between their two marks."""
    page = CHECKOUT / "docs" / "performance.md"
    before, begin, rest = page.read_text().partition("<!-- measured: begin -->\n")
    _, end, after = rest.partition("<!-- measured: end -->")
    image = "![CPU time per request by server](performance.svg)"
    page.write_text(f"{before}{begin}{image}\n\n{report.markdown()}{end}{after}")
    page.with_suffix(".svg").write_text(chart.render(report.measured, report.servers))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=suite.TITLES, metavar="NAME", help=f"of {', '.join(suite.TITLES)}")
    parser.add_argument("--seconds", type=int, help="length of one measurement (default 3)")
    parser.add_argument("--rounds", type=int, help="measurements of each contestant (default 5)")
    parser.add_argument("--short", action="store_true", help="one second each, small tables: does everything work?")
    parser.add_argument(
        "--compare",
        type=lambda text: Path(text).resolve(strict=True),
        metavar="CHECKOUT",
        help="measure another checkout's gateway, too",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--docs", action="store_true", help="write table and chart into docs/performance.*")
    arguments = parser.parse_args()
    arguments.seconds = arguments.seconds or (1 if arguments.short else 3)
    arguments.rounds = arguments.rounds or (1 if arguments.short else 5)
    return arguments


def _smaller(variant: Variant) -> Variant:
    return replace(variant, revocations=min(variant.revocations, 10_000), users=min(variant.users, 10_000))


def _machine() -> dict[str, str]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "CPU": model,
        "Linux": platform.release().partition("-")[0],
        "Python": platform.python_version(),
        **versions(),
        "connections": str(CONNECTIONS),
    }


if __name__ == "__main__":
    main()
