"""What is known of a server's health: pure, and without a clock.

Two independent findings can take a server out. *Failures*: a request or a connection failed; it comes back with the
first answer, for which it is given single trial requests after pauses that double. *Checks*: the operator's health
path said so; only checks bring it back, for a server in maintenance answers requests, too.
"""

from dataclasses import dataclass
from typing import Final

_MAX_DOUBLINGS: Final = 16  # 2^16 first pauses are longer than any pause that can be configured


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRules:
    """`falls` and `rises`: how many checks in a row take a server out and bring it back. Pauses in seconds."""

    falls: int
    rises: int
    pause: float
    max_pause: float


class ServerHealth:
    """`failures` in a row without an answer between; `is_checked_out` is the verdict of the checks."""

    __slots__ = ("_contrary_checks", "_rules", "failures", "is_checked_out")

    def __init__(self, rules: HealthRules) -> None:
        self._rules = rules
        self._contrary_checks = 0  # checks in a row that disagree with the verdict
        self.failures = 0
        self.is_checked_out = False

    def __repr__(self) -> str:
        return f"<ServerHealth {'up' if self.is_up else 'down'} failures={self.failures}>"

    @property
    def is_up(self) -> bool:
        return not self.failures and not self.is_checked_out

    @property
    def pause(self) -> float:
        """How long after the last failure the next trial may be."""
        doublings = min(self.failures - 1, _MAX_DOUBLINGS)
        return min(self._rules.pause * (1 << doublings), self._rules.max_pause)

    def on_failure(self) -> None:
        self.failures += 1

    def on_answer(self) -> None:
        self.failures = 0

    def on_check(self, *, passed: bool) -> None:
        """A check that brings the server back also ends what failures have said."""
        if passed is not self.is_checked_out:
            self._contrary_checks = 0
            return
        self._contrary_checks += 1
        if self._contrary_checks < (self._rules.rises if passed else self._rules.falls):
            return
        self._contrary_checks = 0
        self.is_checked_out = not passed
        if passed:
            self.failures = 0
