"""`drain`: an end that whoever stops a process waits for."""

from gateway.config.sections.drain import Drain
from tests.unit.config.sample import parse_with, refusals

PATIENCE = 30  # of Kubernetes; systemd has 90 s, Docker only 10, which docs/deployment.md raises


def test_by_default_it_is_over_before_anybody_loses_patience() -> None:
    drain = parse_with().drain
    assert drain == Drain()
    assert drain.delay + drain.timeout < PATIENCE


def test_both_may_be_nothing_and_are_bounded() -> None:
    assert parse_with(drain="{delay: 0s, timeout: 0s}").drain == Drain(delay=0, timeout=0)
    assert refusals(drain="{delay: 61m}")[0].startswith("drain.delay: must be a duration from 0s to 1h")
    assert refusals(drain="{timeout: 25h}")[0].startswith("drain.timeout: must be a duration from 0s to 1d")
