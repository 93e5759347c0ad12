"""The tree of units on a real cgroup with a quota."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from quota_groups import path_of, quota_group

from benchmarks.processes import burning

pytestmark = pytest.mark.timeout(60)

PERIOD_US = 100_000
HIERARCHIES = [path for path in map(Path, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")) if path.is_dir()]
"""Those of cgroup v1 in which systemd makes its units, beside that of the cpu controller."""


@contextmanager
def made_in_all_hierarchies(group: Path) -> Iterator[list[Path]]:
    """The cgroup, and one of the same path in each of the other hierarchies, as systemd makes them."""
    others = [hierarchy / path_of(group).lstrip("/") for hierarchy in HIERARCHIES]
    for other in others:
        other.mkdir()
    try:
        yield [group, *others]
    finally:
        for other in others:
            until = time.monotonic() + 10
            while (other / "cgroup.procs").read_text() and time.monotonic() < until:
                time.sleep(0.05)
            other.rmdir()


def units() -> dict[str | None, dict[str, Any]]:
    command = [sys.executable, "-m", "cpuwatch", "sample", "--group-by", "cgroup", "--json"]
    body = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    return {unit["cgroup"]: unit for unit in body["groups"]}


def test_a_unit_with_a_quota_is_throttled_and_so_is_shown_in_the_tree() -> None:
    # So small that the quota and not other work on this machine keeps the process from running.
    with (
        quota_group(PERIOD_US // 50, PERIOD_US) as group,
        made_in_all_hierarchies(group) as directories,
        burning(1, max(os.sched_getaffinity(0))) as [pid],
    ):
        for directory in directories:
            (directory / "cgroup.procs").write_text(str(pid))
        time.sleep(0.5)
        found = units()
    path = path_of(group)
    unit, root = found[path], found["/"]
    assert (unit["processes"], unit["quota_cpus"], unit["limit_cpus"], unit["limited_by"]) == (1, 0.02, 0.02, path)
    assert unit["verdict"] == "throttled"
    assert unit["throttled_periods_percent"] > 0
    assert unit["parent"] == str(Path(path).parent)
    assert root["parent"] is None
    assert root["processes"] > unit["processes"]
    assert root["cpu_percent"] >= unit["cpu_percent"]
