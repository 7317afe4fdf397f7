"""Proxied requests while log-ins saturate the hashing pool: the GETs' p99 with and without the storm."""

import json
import statistics

from tests.benchmarks.findings import Finding
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.gateways import PASSWORD, USERS
from tests.benchmarks.loads import LOADS, write_requests
from tests.benchmarks.wrk import Wrk, finish

_LOGINS_AT_ONCE = 8  # four times the default `hash_workers`: the pool is never without work


def _login(number: int) -> bytes:
    body = json.dumps({"username": f"user{number}", "password": PASSWORD}).encode()
    head = b"POST /api/token/ HTTP/1.1\r\nHost: app.example.org\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def measure_storm(fleet: Fleet, wrk: Wrk, *, seconds: int, rounds: int) -> list[Finding]:
    server = fleet.server("gateway")
    load = LOADS["one_token"]
    requests = write_requests(load, fleet.folder)
    logins = fleet.folder / "logins.requests"
    # Of many users: as with guesses, only so many may be under way at the same moment with one name.
    logins.write_bytes(b"".join(b"%d\n%b" % (len(login), login) for login in map(_login, range(1, USERS + 1))))
    ratios, rates = [], []
    for _ in range(rounds):
        calm = wrk.measure(server, requests, seconds=seconds)
        storm = wrk.start(server.port, logins, seconds=seconds + 1, connections=_LOGINS_AT_ONCE)
        stormy = wrk.measure(server, requests, seconds=seconds)
        summary = finish(storm)
        ratios.append(stormy.p99_ms / calm.p99_ms)
        rates.append(summary["requests"] * 1e6 / summary["microseconds"])
    return [
        Finding(
            scenario="login_storm",
            what=f"p99 of GETs: beside {_LOGINS_AT_ONCE} clients that log in without pause ÷ without",
            value=statistics.median(ratios),
            bound=3,
            detail=f"{statistics.median(rates):.0f} log-ins/s, p99 {stormy.p99_ms:.1f} ms beside {calm.p99_ms:.1f}",
        )
    ]
