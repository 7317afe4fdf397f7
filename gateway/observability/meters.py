"""What the planes count with: prepared for a route, an upstream, the audit log, so that an event costs a few additions.

The cells of a series are found once; after that a request is counted by one look-up and three additions (`tally`).
"""

from bisect import bisect_left
from http import HTTPStatus
from typing import Final

from gateway.errors import CLIENT_CLOSED_REQUEST, Reason
from gateway.observability.families import (
    AUTH_EVENTS,
    CONFIG_HASH,
    DURATION_BOUNDS,
    DURATIONS,
    ISSUER_FETCHES,
    KNOWN_METHODS,
    RELOAD_OK,
    RELOADED_AT,
    RELOADS,
    REQUESTS,
    SERVER_FAILURES,
    UPSTREAM_DURATIONS,
    UPSTREAM_ERRORS,
    Family,
)
from gateway.observability.tally import Tally

OTHER: Final = "other"
UNROUTED: Final = "unrouted"
"""The route of requests that have none; those that are configured begin with a slash."""

# A client may get any of a backend that answers as it is asked to (`/status/NNN`): the rest are one series a class.
_CODES: Final = frozenset({*map(int, HTTPStatus), CLIENT_CLOSED_REQUEST})
_UPSTREAM_REASONS: Final = frozenset(reason for reason in Reason if reason.name.startswith("UPSTREAM_"))


class Meters:
    """Makes what the parts of a process count with; asked twice, both count into the same series."""

    __slots__ = ("_tally",)

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def route(self, name: str) -> "RouteMeter":
        return RouteMeter(self._tally, name)

    def upstream(self, name: str) -> "UpstreamMeter":
        return UpstreamMeter(self._tally, name)

    def auth(self) -> "AuthMeter":
        return AuthMeter(self._tally)

    def issuer(self, name: str) -> "IssuerMeter":
        return IssuerMeter(self._tally, name)


class RouteMeter:
    """Counts the requests of one route."""

    __slots__ = ("_buckets", "_by_outcome", "_cells", "_route", "_sum", "_tally")

    def __init__(self, tally: Tally, route: str) -> None:
        self._tally = tally
        self._cells = tally.cells
        self._route = route
        self._by_outcome: dict[tuple[str, int, Reason | None], int] = {}
        self._sum = _series(tally, DURATIONS, route)
        self._buckets = self._sum + 1

    def observe(self, method: str, status: int, reason: Reason | None, duration: float) -> None:
        """A request has ended, `duration` seconds after its head came."""
        cells = self._cells
        try:
            cells[self._by_outcome[method, status, reason]] += 1.0
        except KeyError:
            self.count(method, status, reason)
        cells[self._sum] += duration
        cells[self._buckets + bisect_left(DURATION_BOUNDS, duration)] += 1.0

    def count(self, method: str, status: int, reason: Reason | None) -> None:
        """As `observe`, for what lasts as long as client and backend please."""
        label = method if method in KNOWN_METHODS else OTHER
        cell = self._by_outcome.get((label, status, reason))
        if cell is None:
            code = str(status) if status in _CODES else f"{status // 100}xx"
            cell = _series(self._tally, REQUESTS, self._route, label, code, reason or "")
            self._by_outcome[label, status, reason] = cell
        self._cells[cell] += 1.0


class UpstreamMeter:
    """Counts what becomes of the requests that one upstream gets."""

    __slots__ = ("_buckets", "_cells", "_sum", "_tally", "_upstream")

    def __init__(self, tally: Tally, upstream: str) -> None:
        self._tally = tally
        self._cells = tally.cells
        self._upstream = upstream
        self._sum = _series(tally, UPSTREAM_DURATIONS, upstream)
        self._buckets = self._sum + 1

    def answered(self, duration: float) -> None:
        """The head of an answer has come, `duration` seconds after the request was sent."""
        cells = self._cells
        cells[self._sum] += duration
        cells[self._buckets + bisect_left(DURATION_BOUNDS, duration)] += 1.0

    def ended(self, reason: Reason) -> None:
        """A request was refused or cut for this reason, which may be the upstream's fault or somebody else's."""
        if reason in _UPSTREAM_REASONS:
            self._cells[_series(self._tally, UPSTREAM_ERRORS, self._upstream, reason)] += 1.0

    def failed(self, server: str, reason: Reason) -> None:
        """A server failed a connection or a request, whatever came of the request in the end."""
        self._cells[_series(self._tally, SERVER_FAILURES, self._upstream, server, reason)] += 1.0


class AuthMeter:
    """Counts what the audit log tells."""

    __slots__ = ("_cells", "_tally")

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._cells = tally.cells

    def count(self, event: str, reason: str | None) -> None:
        """Both are words of the program, never a client's."""
        self._cells[_series(self._tally, AUTH_EVENTS, event, reason or "")] += 1.0


class IssuerMeter:
    """Counts how often the keys of one foreign issuer were fetched, and how often they could not be."""

    __slots__ = ("_cells", "_failed", "_fetched")

    def __init__(self, tally: Tally, issuer: str) -> None:
        self._cells = tally.cells
        # Both are there from the beginning: a rule that compares them needs the one that has not come yet, too.
        self._fetched = _series(tally, ISSUER_FETCHES, issuer, "ok")
        self._failed = _series(tally, ISSUER_FETCHES, issuer, "failed")

    def fetched(self) -> None:
        self._cells[self._fetched] += 1.0

    def failed(self) -> None:
        self._cells[self._failed] += 1.0


class ReloadMeter:
    """Counts reloads, in a region of its own that every process can read: who reads the file is not who is asked."""

    __slots__ = ("_by_result", "_cells", "_digest", "_read_at", "_was_good")

    def __init__(self, tally: Tally) -> None:
        self._cells = tally.cells
        self._by_result = {True: _series(tally, RELOADS, "ok"), False: _series(tally, RELOADS, "failed")}
        self._was_good = _series(tally, RELOAD_OK)
        self._read_at = _series(tally, RELOADED_AT)
        self._digest = _series(tally, CONFIG_HASH)

    def begin(self, digest: int, now: float) -> None:
        """This is the configuration from now on, in Unix seconds."""
        self._cells[self._was_good] = 1.0
        self._cells[self._digest] = digest
        self._cells[self._read_at] = now

    def succeeded(self, digest: int, now: float) -> None:
        self._cells[self._by_result[True]] += 1.0
        self.begin(digest, now)

    def failed(self) -> None:
        self._cells[self._by_result[False]] += 1.0
        self._cells[self._was_good] = 0.0

    @property
    def was_good(self) -> float:
        return self._cells[self._was_good]

    @property
    def read_at(self) -> float:
        return self._cells[self._read_at]

    @property
    def digest(self) -> float:
        return self._cells[self._digest]


def _series(tally: Tally, family: Family, *labels: str) -> int:
    return tally.first_cell((family.name, *labels), width=family.width)
