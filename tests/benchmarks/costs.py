"""What a server costs: CPU time and resident memory of a process and its children, read from /proc; and pinning."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.integration.processes import Server

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))
MEASURED_CORE = _CORES[0]
LOAD_CORE = _CORES[-1]
HAS_TWO_CORES = MEASURED_CORE != LOAD_CORE


@dataclass(frozen=True, slots=True)
class CpuSeconds:
    """CPU time since the process began, or between two looks. The kernel counts it in ticks of 10 ms."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system

    def __sub__(self, earlier: "CpuSeconds") -> "CpuSeconds":
        return CpuSeconds(self.user - earlier.user, self.system - earlier.system)


def pinned(argv: Sequence[str], core: int) -> list[str]:
    """`argv` on one core. taskset replaces itself by the command, so the process id is the command's."""
    return ["taskset", "--cpu-list", str(core), *argv]


def cpu_seconds(server: Server) -> CpuSeconds:
    user = system = 0
    for pid in _tree(server.process.pid):
        # Field 2 is the command's name in parentheses and may hold blanks; 14 and 15 are utime and stime (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user += int(fields[11])
        system += int(fields[12])
    return CpuSeconds(user / _TICKS_PER_SECOND, system / _TICKS_PER_SECOND)


def busy_seconds(core: int) -> float:
    """CPU time that a core has spent on whatever it was."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{core} "))
    user, nice, system, _idle, _waiting, *others = map(int, line.split()[1:9])
    return (user + nice + system + sum(others)) / _TICKS_PER_SECOND


def resident_bytes(server: Server) -> int:
    return sum(_resident_bytes(pid) for pid in _tree(server.process.pid))


def _resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from _tree(int(child))
