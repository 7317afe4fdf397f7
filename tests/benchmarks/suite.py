"""All scenarios by name: those that wrk's load decides, in rounds, and those that need a way of their own."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from tests.benchmarks.findings import Finding, Measured
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.idling import measure_keep_alive
from tests.benchmarks.rounds import run_rounds
from tests.benchmarks.scenarios import SCENARIOS
from tests.benchmarks.starting import measure_start
from tests.benchmarks.storming import measure_storm
from tests.benchmarks.wrk import Wrk


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long and how often: a run of wrk takes `seconds`, everything is done `rounds` times."""

    seconds: int
    rounds: int
    warm_up: bool
    idle_connections: int


_PROBES: dict[str, Callable[[Fleet, Wrk, Effort], list[Finding]]] = {
    "idle_connections": lambda fleet, _, effort: measure_keep_alive(fleet, count=effort.idle_connections),
    "login_storm": lambda fleet, wrk, effort: measure_storm(fleet, wrk, seconds=effort.seconds, rounds=effort.rounds),
    "start": lambda fleet, _, effort: measure_start(fleet, rounds=effort.rounds),
}

NAMES = (*SCENARIOS, *_PROBES)


def run(names: Collection[str], fleet: Fleet, wrk: Wrk, effort: Effort) -> tuple[list[Measured], list[Finding]]:
    """Raises `WrongAnswerError` as soon as any server answers what it should not."""
    measured, findings = run_rounds(
        {name: scenario for name, scenario in SCENARIOS.items() if name in names},
        fleet,
        wrk,
        seconds=effort.seconds,
        rounds=effort.rounds,
        warm_up=effort.warm_up,
    )
    for name, probe in _PROBES.items():
        if name in names:
            findings += probe(fleet, wrk, effort)
    return measured, findings
