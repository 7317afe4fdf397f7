"""Runs the contestants of the chosen scenarios in turns, and compares them."""

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields

from tests.benchmarks.costs import resident_bytes
from tests.benchmarks.findings import Claim, Finding, Measured
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.loads import LOADS, check_answer, write_requests
from tests.benchmarks.peers import MEBIBYTE
from tests.benchmarks.scenarios import Contestant, Scenario
from tests.benchmarks.wrk import Figures, Wrk


def run_rounds(
    scenarios: Mapping[str, Scenario], fleet: Fleet, wrk: Wrk, *, seconds: int, rounds: int, warm_up: bool
) -> tuple[list[Measured], list[Finding]]:
    """Contestants that several scenarios share run once a round: their ratios come from the same minutes."""
    contestants = list(dict.fromkeys(one for scenario in scenarios.values() for one in scenario.contestants))
    present = [one for one in contestants if _is_present(one, fleet)]
    samples: dict[Contestant, list[Figures]] = {one: [] for one in present}
    if warm_up:
        for one in present:
            _measure(one, fleet, wrk, seconds=1)
    for number in range(rounds):
        for one in present:
            samples[one].append(_measure(one, fleet, wrk, seconds=seconds))
        note(f"round {number + 1} of {rounds} done")
    medians = {one: _median(figures) for one, figures in samples.items()}
    first_scenario = {one: _first_naming(one, scenarios) for one in present}
    measured = [_measured(one, first_scenario[one], medians, fleet) for one in present]
    findings = [
        _compare(name, claim, samples, fleet)
        for name, scenario in scenarios.items()
        for claim in scenario.claims
        if claim.bound is not None or (claim.subject in samples and claim.reference in samples)
    ]
    return measured, findings


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _is_present(contestant: Contestant, fleet: Fleet) -> bool:
    """Starts the server and asks it once."""
    name, load_name = contestant
    try:
        server = fleet.server(name)
    except LookupError as error:
        note(f"{error}: does not take part")
        return False
    load = LOADS[load_name]
    check_answer(load, write_requests(load, fleet.folder), server.port)
    return True


def _measure(contestant: Contestant, fleet: Fleet, wrk: Wrk, *, seconds: int) -> Figures:
    name, load_name = contestant
    load = LOADS[load_name]
    return wrk.measure(fleet.server(name), write_requests(load, fleet.folder), seconds=seconds, status=load.status)


def _first_naming(contestant: Contestant, scenarios: Mapping[str, Scenario]) -> str:
    return next(name for name, scenario in scenarios.items() if contestant in scenario.contestants)


def _median(figures: Sequence[Figures]) -> Figures:
    names = [field.name for field in fields(Figures)]
    return Figures(**{name: statistics.median(getattr(one, name) for one in figures) for name in names})


def _measured(contestant: Contestant, scenario: str, medians: Mapping[Contestant, Figures], fleet: Fleet) -> Measured:
    server, load = contestant
    own = medians[contestant]
    direct = medians.get(("direct", LOADS[load].base))
    if contestant[0] == "direct":
        direct = None
    return Measured(
        scenario=scenario,
        server=server,
        load=load,
        user_us=own.user_us,
        system_us=own.system_us,
        requests_per_second=own.requests_per_second,
        added_p50_ms=None if direct is None else own.p50_ms - direct.p50_ms,
        added_p99_ms=None if direct is None else own.p99_ms - direct.p99_ms,
        rss_mib=resident_bytes(fleet.server(server)) / MEBIBYTE,
        others=0.0 if server == "direct" else own.others,
    )


def _compare(scenario: str, claim: Claim, samples: Mapping[Contestant, list[Figures]], fleet: Fleet) -> Finding:
    """The median of the rounds' own ratios: a slow minute hits both sides of one."""
    value = None
    if claim.subject in samples and claim.reference in samples:
        value = statistics.median(
            getattr(subject, claim.metric) / getattr(reference, claim.metric)
            for subject, reference in zip(samples[claim.subject], samples[claim.reference], strict=True)
        )
    word = {"cpu_us": "CPU", "requests_per_second": "requests/s"}[claim.metric]
    subject, reference = (_title(one, fleet) for one in (claim.subject, claim.reference))
    return Finding(
        scenario=scenario,
        what=f"{word}: {subject} ÷ {reference}",
        value=value,
        bound=claim.bound,
        is_lower_bound=claim.is_lower_bound,
    )


def _title(contestant: Contestant, fleet: Fleet) -> str:
    server, load = contestant
    return f"{fleet.title(server)} ({LOADS[load].title})"
