"""`workers: auto`: affinity, and the quota of either version of control groups."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.server.cores import usable_cores


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


def machine(root: Path, files: Mapping[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/cpu"


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        pytest.param("0::/\n", {}, 8, id="no-quota"),
        pytest.param("0::/\n", {f"{V2}/cpu.max": "max 100000\n"}, 8, id="max"),
        pytest.param("0::/\n", {f"{V2}/cpu.max": "200000 100000\n"}, 2, id="two"),
        pytest.param("0::/\n", {f"{V2}/cpu.max": "250000 100000\n"}, 2, id="rounded-down"),
        pytest.param("0::/\n", {f"{V2}/cpu.max": "50000 100000\n"}, 1, id="half-a-core-is-one"),
        pytest.param("0::/\n", {f"{V2}/cpu.max": "1600000 100000\n"}, 8, id="more-than-there-are"),
        pytest.param(
            "0::/a/b\n",
            {f"{V2}/a/b/cpu.max": "max 100000", f"{V2}/a/cpu.max": "300000 100000", f"{V2}/cpu.max": "max 100000"},
            3,
            id="the-group-around-counts",
        ),
        pytest.param("0::/not/here\n", {f"{V2}/cpu.max": "100000 50000"}, 2, id="path-of-the-host"),
        pytest.param("0::/\n", {f"{V2}/cpu.max": "nonsense"}, 8, id="unreadable"),
        pytest.param("0::/\n", {f"{V2}/cpu.max": "100000 0"}, 8, id="no-period"),
        pytest.param(
            "3:cpu,cpuacct:/a\n1:memory:/a\n0::/\n",
            {f"{V1}/a/cpu.cfs_quota_us": "400000\n", f"{V1}/a/cpu.cfs_period_us": "100000\n"},
            4,
            id="version-1",
        ),
        pytest.param(
            "1:cpu:/\n",
            {f"{V1}/cpu.cfs_quota_us": "-1\n", f"{V1}/cpu.cfs_period_us": "100000\n"},
            8,
            id="version-1-without",
        ),
        pytest.param(
            "2:memory:/\n", {f"{V1}/cpu.cfs_quota_us": "100000", f"{V1}/cpu.cfs_period_us": "100000"}, 8, id="not-cpu"
        ),
    ],
)
def test_quota(groups: str, files: Mapping[str, str], cores: int, tmp_path: Path) -> None:
    root = machine(tmp_path, {"proc/self/cgroup": groups, **files})
    assert usable_cores(root) == cores


def test_without_control_groups_affinity_counts(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 8


def test_without_affinity_all_cores_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1
