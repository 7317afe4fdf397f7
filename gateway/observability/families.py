"""Every metric there is: its name, its labels, and what becomes of the numbers of several workers.

Labels come from the configuration, from enumerations and from the status codes of answers, never from what a client
may choose (checklist 83). `docs/metrics.md` explains them; a test holds that page, this table and a real scrape
together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

DURATION_BOUNDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
"""Seconds; the last bucket is for whatever takes longer."""

KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""RFC 9110 §9.3 and RFC 5789. A client may send any token as a method: the rest go by one name."""


class Kind(Enum):
    """`LEVEL` is a gauge: a worker that is gone has none."""

    COUNTER = auto()
    LEVEL = auto()
    DURATIONS = auto()


class Join(Enum):
    """What becomes of the numbers that several workers have for the same labels."""

    SUM = auto()
    LEAST = auto()
    MOST = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """`name` is the whole one, with `_total` where it counts."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    join: Join = Join.SUM

    @property
    def width(self) -> int:
        """Cells for one series; durations have their sum, a bucket for each bound, and one for what is above them."""
        return len(DURATION_BOUNDS) + 2 if self.kind is Kind.DURATIONS else 1


def _counter(name: str, help_: str, *labels: str) -> Family:
    return Family(name=name, kind=Kind.COUNTER, help=help_, labels=labels)


def _durations(name: str, help_: str, *labels: str) -> Family:
    return Family(name=name, kind=Kind.DURATIONS, help=help_, labels=labels)


def _level(name: str, help_: str, *labels: str, join: Join = Join.SUM) -> Family:
    return Family(name=name, kind=Kind.LEVEL, help=help_, labels=labels, join=join)


# Requests

REQUESTS: Final = _counter(
    "gateway_http_requests_total", "Requests that have ended.", "route", "method", "code", "reason"
)
DURATIONS: Final = _durations(
    "gateway_http_request_duration_seconds", "From the request's head to the end of its answer.", "route"
)
IN_FLIGHT: Final = _level("gateway_http_requests_in_flight", "Requests that have begun and not ended.")
WEBSOCKETS: Final = _level("gateway_websockets_open", "WebSockets that are open.")
CONNECTIONS: Final = _level("gateway_client_connections_open", "Connections of clients that are open.")
CONNECTIONS_LIMIT: Final = _level("gateway_client_connections_limit", "How many connections of clients may be open.")

# Upstreams

UPSTREAM_DURATIONS: Final = _durations(
    "gateway_upstream_response_seconds", "From sending a request to the head of the upstream's answer.", "upstream"
)
UPSTREAM_ERRORS: Final = _counter(
    "gateway_upstream_errors_total", "Requests that the upstream failed, as their clients saw it.", "upstream", "reason"
)
SERVER_FAILURES: Final = _counter(
    "gateway_upstream_server_failures_total",
    "Connections and requests that a server failed, also those that were tried again.",
    "upstream",
    "server",
    "reason",
)
SERVER_UP: Final = _level(
    "gateway_upstream_server_up",
    "1 while no worker knows of a failure that no answer has followed, else 0.",
    "upstream",
    "server",
    join=Join.LEAST,
)
SERVER_CONNECTIONS: Final = _level(
    "gateway_upstream_connections", "Connections to a server.", "upstream", "server", "state"
)
UPSTREAM_QUEUE: Final = _level("gateway_upstream_queue", "Requests that wait for a connection.", "upstream")

# Tokens

AUTH_EVENTS: Final = _counter(
    "gateway_auth_events_total", "What the audit log tells, and how it went.", "event", "reason"
)
TOKENS_CACHED: Final = _level("gateway_token_cache_entries", "Verified tokens that are remembered.")
TOKENS_MISSED: Final = _counter(
    "gateway_token_cache_misses_total", "Tokens that had to be verified because they were not remembered."
)
REVOCATIONS: Final = _level("gateway_revocations_known", "Revocations that requests are compared with.", join=Join.MOST)

REVOCATIONS_GIVEN_BACK: Final = _counter(
    "gateway_revocations_given_back_total",
    "Revocations that the state engine had lost and has got back from a gateway that knew them.",
)

# Foreign issuers

ISSUER_KEYS: Final = _level(
    "gateway_issuer_keys",
    "Keys of a foreign issuer that count, in the worker that has the fewest.",
    "issuer",
    join=Join.LEAST,
)
ISSUER_FETCHED_AT: Final = _level(
    "gateway_issuer_keys_fetched_timestamp_seconds",
    "When these keys were fetched, by the worker that is most behind.",
    "issuer",
    join=Join.LEAST,
)
ISSUER_FETCHES: Final = _counter(
    "gateway_issuer_key_fetches_total", "Attempts to fetch the keys of a foreign issuer.", "issuer", "result"
)

# The process

STALENESS: Final = _level(
    "gateway_state_staleness_seconds",
    "Since changes were last read from the state engine, of the worker that is most behind.",
    join=Join.MOST,
)
CERTIFICATE_END: Final = _level(
    "gateway_certificate_expiry_timestamp_seconds", "When the listener's certificate ends.", join=Join.LEAST
)
RELOADS: Final = _counter("gateway_config_reloads_total", "Reloads of the configuration, by how they went.", "result")
RELOAD_OK: Final = _level(
    "gateway_config_last_reload_successful", "1 unless the last reload was refused.", join=Join.LEAST
)
RELOADED_AT: Final = _level(
    "gateway_config_last_reload_success_timestamp_seconds", "When the present configuration was read.", join=Join.LEAST
)
CONFIG_HASH: Final = _level(
    "gateway_config_hash", "A number that differs from one configuration to another.", join=Join.LEAST
)
WORKERS: Final = _level("gateway_workers", "Workers that serve.")
WORKERS_WANTED: Final = _level("gateway_workers_configured", "Workers that there should be.", join=Join.MOST)
WORKER_STARTS: Final = _counter("gateway_worker_starts_total", "Workers that were started, the first ones included.")
BUILD: Final = _level("gateway_build_info", "Always 1.", "version", "python", join=Join.MOST)


def _by_name(families: Iterable[object]) -> dict[str, Family]:
    return {family.name: family for family in families if isinstance(family, Family)}


FAMILIES: Final = _by_name(tuple(globals().values()))
LEVELS: Final = frozenset(name for name, family in FAMILIES.items() if family.kind is Kind.LEVEL)
