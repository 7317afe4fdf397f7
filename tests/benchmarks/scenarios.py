"""The rows of the table: who is asked for what, and what must hold between them."""

from dataclasses import dataclass, replace

from tests.benchmarks.findings import Claim
from tests.benchmarks.fleet import OTHER

FIRST = ("gateway", "one_token")
DIRECT = ("direct", "one_token")
Contestant = tuple[str, str]
"""A server's name in the fleet and the name of its load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Contestants take turns in one run; `claims` compare two of them."""

    title: str
    contestants: tuple[Contestant, ...]
    claims: tuple[Claim, ...]


def _beside_first(title: str, contestant: Contestant, bound: float | None) -> Scenario:
    """A request that may cost `bound` times the first row's; None: it is only shown."""
    claim = Claim(subject=contestant, reference=FIRST, metric="cpu_us", bound=bound)
    return Scenario(title=title, contestants=(DIRECT, FIRST, contestant), claims=(claim,))


def _transfer(title: str, load: str) -> Scenario:
    claims = (
        Claim(
            subject=("gateway", load),
            reference=("caddy", load),
            metric="requests_per_second",
            bound=0.8,
            is_lower_bound=True,
        ),
        Claim(subject=("gateway", load), reference=("caddy", load), metric="cpu_us", bound=None),
    )
    peers = ("direct", "nginx", "haproxy", "caddy", "traefik", "gateway")
    return Scenario(title=title, contestants=tuple((peer, load) for peer in peers), claims=claims)


def beside_other_checkout(scenario: Scenario) -> Scenario:
    """The same, and the gateway of another checkout wherever this one's takes part."""
    loads = [load for server, load in scenario.contestants if server == "gateway"]
    claims = tuple(
        Claim(subject=("gateway", load), reference=(OTHER, load), metric="cpu_us", bound=None) for load in loads
    )
    contestants = tuple((OTHER, load) for load in loads)
    return replace(scenario, contestants=scenario.contestants + contestants, claims=scenario.claims + claims)


SCENARIOS = {
    "small_get": Scenario(
        title="small authenticated GET",
        contestants=(
            DIRECT,
            ("nginx", "one_token"),
            ("haproxy", "one_token"),
            ("caddy", "one_token"),
            ("traefik", "one_token"),
            FIRST,
        ),
        claims=tuple(
            Claim(subject=FIRST, reference=(peer, "one_token"), metric="cpu_us", bound=bound)
            for peer, bound in (("haproxy", 1.6), ("caddy", 0.6), ("traefik", 0.6))
        ),
    ),
    "distinct_tokens": _beside_first("64 distinct tokens", ("gateway", "tokens_64"), 1.1),
    "new_tokens": _beside_first("every token new (cache miss)", ("gateway", "tokens_new"), 3),
    "full_tables": _beside_first("1 000 routes, 100 000 revocations, 1 000 000 users", ("loaded", "one_token"), 1.1),
    "bad_token": _beside_first("401 for a bad token", ("gateway", "token_bad"), 1),
    "distinct_trace_ids": _beside_first(
        "one field (a trace id) differs in each request", ("gateway", "field_new"), 1.1
    ),
    "distinct_targets": _beside_first("target differs in each request", ("gateway", "target_new"), None),
    "distinct_fields": _beside_first("all fields differ in each request", ("gateway", "fields_new"), 1.3),
    "access_log": Scenario(
        title="access log on, beside off",
        contestants=(DIRECT, ("unlogged", "one_token"), FIRST),
        claims=(
            Claim(subject=FIRST, reference=("unlogged", "one_token"), metric="cpu_us", bound=1.35),
            Claim(subject=("unlogged", "one_token"), reference=("haproxy", "one_token"), metric="cpu_us", bound=None),
        ),
    ),
    "download": _transfer("1 MiB response", "download"),
    "upload": _transfer("1 MiB upload", "upload"),
}
