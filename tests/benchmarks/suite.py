"""All scenarios by name: those that wrk's load decides, in rounds, and those that need a way of their own."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from tests.benchmarks.findings import Finding, Measured
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.idling import measure_keep_alive, measure_websockets
from tests.benchmarks.rounds import run_rounds
from tests.benchmarks.scenarios import SCENARIOS, beside_other_checkout
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


@dataclass(frozen=True, slots=True)
class Probe:
    """A scenario that is no comparison of loads."""

    title: str
    measure: Callable[[Fleet, Wrk, Effort], list[Finding]]


_PROBES = {
    "idle_connections": Probe(
        "idle keep-alive connections",
        lambda fleet, _, effort: measure_keep_alive(fleet, count=effort.idle_connections),
    ),
    "idle_websockets": Probe(
        "idle WebSockets", lambda fleet, _, effort: measure_websockets(fleet, count=effort.idle_connections // 5)
    ),
    "login_storm": Probe(
        "log-in storm beside proxied GETs",
        lambda fleet, wrk, effort: measure_storm(fleet, wrk, seconds=effort.seconds, rounds=effort.rounds),
    ),
    "start": Probe("start and idle memory", lambda fleet, _, effort: measure_start(fleet, rounds=effort.rounds)),
}

TITLES = {
    **{name: scenario.title for name, scenario in SCENARIOS.items()},
    **{name: probe.title for name, probe in _PROBES.items()},
}


def run(names: Collection[str], fleet: Fleet, wrk: Wrk, effort: Effort) -> tuple[list[Measured], list[Finding]]:
    """Raises `WrongAnswerError` as soon as any server answers what it should not."""
    scenarios = {name: scenario for name, scenario in SCENARIOS.items() if name in names}
    if fleet.has_other:
        scenarios = {name: beside_other_checkout(scenario) for name, scenario in scenarios.items()}
    measured, findings = run_rounds(
        scenarios,
        fleet,
        wrk,
        seconds=effort.seconds,
        rounds=effort.rounds,
        warm_up=effort.warm_up,
    )
    for name, probe in _PROBES.items():
        if name in names:
            findings += probe.measure(fleet, wrk, effort)
    return measured, findings
