"""Load from wrk: whole requests out of a file, sent in turn by a Lua script, and what came of it."""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.costs import LOAD_CORE, MEASURED_CORE, busy_seconds, cpu_seconds, pinned
from tests.benchmarks.loads import WrongAnswerError
from tests.benchmarks.peers import program
from tests.integration.processes import Server

CONNECTIONS = 32

_SCRIPT = """
local requests, count, position = {}, 0, 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  for size in function() return file:read("*l") end do
    count = count + 1
    requests[count] = file:read(tonumber(size))
  end
  file:close()
end

function request()
  position = position % count + 1
  return requests[position]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "statuses_above_399": %d, "failures": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a request cost the server, and how long the client waited; latencies in milliseconds.

    `others` is the share of the measured core that went to other processes meanwhile: figures are too high by some of it.
    """

    user_us: float
    system_us: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    others: float

    @property
    def cpu_us(self) -> float:
        return self.user_us + self.system_us


class Wrk:
    """wrk with its script in `folder`, on the core of load and upstream."""

    def __init__(self, folder: Path) -> None:
        self._script = folder / "requests.lua"
        self._script.write_text(_SCRIPT)

    def start(
        self, port: int, requests: Path, *, seconds: int, connections: int = CONNECTIONS
    ) -> subprocess.Popen[bytes]:
        argv = [program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(self._script)]
        argv += [f"http://127.0.0.1:{port}/", "--", str(requests)]
        return subprocess.Popen(pinned(argv, LOAD_CORE), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def measure(self, server: Server, requests: Path, *, seconds: int, status: int = 200) -> Figures:
        """One run against `server`. Raises `WrongAnswerError` when an answer was missing or of another status."""
        began, before, busy_before = time.monotonic(), cpu_seconds(server), busy_seconds(MEASURED_CORE)
        summary = finish(self.start(server.port, requests, seconds=seconds), status=status)
        spent = cpu_seconds(server) - before
        busy = busy_seconds(MEASURED_CORE) - busy_before
        count = summary["requests"]
        return Figures(
            user_us=spent.user * 1e6 / count,
            system_us=spent.system * 1e6 / count,
            requests_per_second=count * 1e6 / summary["microseconds"],
            p50_ms=summary["p50"] / 1000,
            p99_ms=summary["p99"] / 1000,
            others=max(0.0, busy - spent.total) / (time.monotonic() - began),
        )


def finish(load: subprocess.Popen[bytes], *, status: int = 200) -> dict[str, int]:
    """What a run reports at its end. Raises `WrongAnswerError`."""
    output = load.communicate()[0].decode(errors="replace")
    try:
        summary: dict[str, int] = json.loads(output.strip().rpartition("\n")[2])
    except ValueError:
        raise WrongAnswerError(f"wrk ended with {load.returncode}:\n{output}") from None
    expected = summary["requests"] if status > 399 else 0
    if summary["failures"] or summary["statuses_above_399"] != expected or not summary["requests"]:
        raise WrongAnswerError(f"Answers were missing or of another status than {status}:\n{output}")
    return summary
