"""How many cores this process may use: what `workers: auto` means."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/")


def usable_cores(root: Path = _ROOT) -> int:
    """Cores by affinity, or what the CPU quota of the control group comes to, rounded down; at least one.

    Rounded down, because a worker that shares its core with another one's quota is stopped for the rest of each period
    (100 ms): that is the latency of whoever waits. `root` is where `proc` and `sys` are.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([cores, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Every quota that counts for this process, in cores: a group is also bound by those around it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux, or no control groups
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts, read = ("sys/fs/cgroup", "sys/fs/cgroup/unified"), _quota
        elif "cpu" in controllers.split(","):
            mounts, read = ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"), _quota_of_version_1
        else:
            continue
        # In a container the path may be the host's while the mount begins at the container's own group: whatever is
        # not there is skipped, the mount's top always counts.
        group = Path(path.lstrip("/"))
        for mount in mounts:
            for place in (group, *group.parents):
                quota = read(root / mount / place)
                if quota is not None:
                    yield quota


def _quota(group: Path) -> float | None:
    """Control groups version 2: `cpu.max` holds `QUOTA PERIOD` in µs, or `max PERIOD`."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_of_version_1(group: Path) -> float | None:
    """A quota of -1 is none."""
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        return None if quota < 0 else quota / int((group / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError, ZeroDivisionError):
        return None
