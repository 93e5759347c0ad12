"""Cgroups are read from directories that look like those of cgroup v2 and v1.

That the kernel counts in these files what is expected is tested by tests/functional/test_quota_truth.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from readings import process

from cpuwatch import CgroupTimes, ProcessTimes
from cpuwatch.samplers.procfs.cgroup_mounts import CgroupMounts, Hierarchy
from cpuwatch.samplers.procfs.cgroup_table import READINGS_PER_ROUND, CgroupTable

PRESSURE = "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


class Tree:
    """A hierarchy in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hierarchy = Hierarchy(str(root), "/")
        root.mkdir()

    def write(self, path: str, **files: str) -> None:
        """Write the files; an underscore in a name stands for a point, two for an underscore."""
        directory = self.root / path.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name.replace("__", "\0").replace("_", ".").replace("\0", "_")).write_text(f"{text}\n")

    def remove(self, path: str) -> None:
        directory = self.root / path.lstrip("/")
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()


@pytest.fixture
def unified(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "unified")
    tree.write("/", cpuset_cpus_effective="0-3")
    return tree


@pytest.fixture
def table(unified: Tree) -> Iterator[CgroupTable]:
    table = CgroupTable(CgroupMounts(unified.hierarchy), {"/a/b": "web"}.get)
    yield table
    table.close()


def in_cgroup(path: str, pid: int = 10, cpu_ns: int = 0) -> ProcessTimes:
    return replace(process(pid, cpu_ns=cpu_ns), cgroup=path, cpu_cgroup=path)


def stat(periods: int, throttled: int, throttled_us: int) -> str:
    return f"usage_usec 5\nnr_periods {periods}\nnr_throttled {throttled}\nthrottled_usec {throttled_us}"


def test_a_cgroup_of_v2_and_its_ancestors(unified: Tree, table: CgroupTable) -> None:
    unified.write("/a", cpu_max="max 100000", cpu_stat=stat(0, 0, 0), cpu_pressure=PRESSURE.format(2999))
    unified.write("/a/b", cpu_max="150000 100000", cpu_stat=stat(7, 3, 250), cpu_pressure=PRESSURE.format(5))
    unified.write("/a/b", cpuset_cpus_effective="1,3")
    assert table.read([in_cgroup("/a/b")], []) == {
        "/": CgroupTimes(cpus=4),
        "/a": CgroupTimes(cpus=4, pressure_ns=2_000_000),
        "/a/b": CgroupTimes(
            quota_ns=150_000_000,
            period_ns=100_000_000,
            periods=7,
            throttled_periods=3,
            throttled_ns=250_000,
            cpus=2,
            pressure_ns=0,
            name="web",
        ),
    }


def test_figures_of_v1_come_from_the_hierarchy_of_each_controller(unified: Tree, tmp_path: Path) -> None:
    cpu, cpuset = Tree(tmp_path / "cpu"), Tree(tmp_path / "cpuset")
    cpu.write("/limited", cpu_cfs__quota__us="50000", cpu_cfs__period__us="20000")
    cpu.write("/limited", cpu_stat="nr_periods 9\nnr_throttled 2\nthrottled_time 77")
    cpu.write("/free", cpu_cfs__quota__us="-1", cpu_cfs__period__us="100000")
    cpuset.write("/", cpuset_effective__cpus="0-7")
    cpuset.write("/free", cpuset_effective__cpus="2")
    unified.write("/x.service", cpu_pressure=PRESSURE.format(1_000_000))
    table = CgroupTable(CgroupMounts(unified.hierarchy, cpu.hierarchy, cpuset.hierarchy), lambda _: None)
    limited = replace(in_cgroup("/x.service"), cpu_cgroup="/limited")
    found = table.read([limited, in_cgroup("/free", pid=11)], [])
    table.close()
    assert found == {
        "/": CgroupTimes(cpus=8),
        "/free": CgroupTimes(cpus=1),
        "/limited": CgroupTimes(50_000_000, 20_000_000, 9, 2, 77, cpus=8),
        "/x.service": CgroupTimes(cpus=8, pressure_ns=10**9),
    }


def test_counters_are_read_when_a_process_has_run_and_otherwise_kept(unified: Tree, table: CgroupTable) -> None:
    unified.write("/a", cpu_max="max 100000", cpu_pressure=PRESSURE.format(0))
    unified.write("/b", cpu_max="max 100000", cpu_pressure=PRESSURE.format(0))
    sleeping = in_cgroup("/b", pid=11)
    before = table.read([in_cgroup("/a"), sleeping], [])
    unified.write("/a", cpu_pressure=PRESSURE.format(9000))
    after = table.read([in_cgroup("/a", cpu_ns=1)], [])
    assert after["/a"].pressure_ns == 9_000_000
    assert after["/b"] is before["/b"]


def test_a_quota_that_is_set_later_is_found_at_once_and_its_removal_too(unified: Tree, table: CgroupTable) -> None:
    unified.write("/a", cpu_max="max 100000", cpu_stat=stat(0, 0, 0))
    assert table.read([in_cgroup("/a")], [])["/a"].quota_ns is None
    unified.write("/a", cpu_max="1000 100000")
    assert table.read([in_cgroup("/a", cpu_ns=1)], [])["/a"].quota_ns == 1_000_000
    unified.write("/a", cpu_max="max 100000")
    assert table.read([in_cgroup("/a", cpu_ns=2)], [])["/a"] == CgroupTimes(cpus=4)


def test_changes_of_a_cgroup_at_rest_are_found_within_a_round(unified: Tree, table: CgroupTable) -> None:
    unified.write("/a", cpu_max="max 100000", cpuset_cpus_effective="0-3")
    assert table.read([in_cgroup("/a")], [])["/a"].cpus == 4
    unified.write("/a", cpu_max="1000 100000", cpuset_cpus_effective="0-1")
    rounds = [table.read([], []) for _ in range(READINGS_PER_ROUND)]
    assert (rounds[-1]["/a"].quota_ns, rounds[-1]["/a"].cpus) == (1_000_000, 2)


def test_a_removed_cgroup_vanishes_with_its_last_process(unified: Tree, table: CgroupTable) -> None:
    unified.write("/a", cpu_max="max 100000")
    assert table.read([in_cgroup("/a")], []).keys() == {"/", "/a"}
    unified.remove("/a")
    assert table.read([], [in_cgroup("/a")]).keys() == {"/"}


def test_an_unreadable_or_malformed_file_is_unknown(unified: Tree, table: CgroupTable) -> None:
    unified.write("/a", cpu_max="1000 100000", cpu_stat="nr_periods x", cpu_pressure="none")
    assert table.read([in_cgroup("/a")], [])["/a"] == CgroupTimes(1_000_000, 100_000_000, cpus=4)


def test_a_path_outside_of_the_mounts_has_no_cgroup(table: CgroupTable) -> None:
    assert table.read([in_cgroup("/../other"), in_cgroup("/not/there", pid=11)], []).keys() == {"/"}


def test_without_cgroups_nothing_is_read() -> None:
    assert CgroupTable(CgroupMounts(), lambda _: None).read([in_cgroup("/a")], []) == {}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts the open files in /proc")
def test_files_of_idle_cgroups_are_closed(unified: Tree, table: CgroupTable) -> None:
    open_before = len(os.listdir("/proc/self/fd"))
    for number in range(50):
        unified.write(f"/{number}", cpu_max="max 100000", cpu_pressure=PRESSURE.format(0))
    records = [in_cgroup(f"/{number}", pid=10 + number) for number in range(50)]
    table.read(records, [])
    assert len(os.listdir("/proc/self/fd")) > open_before + 50
    for _ in range(2):
        table.read([], [])
    assert len(os.listdir("/proc/self/fd")) < open_before + 10
    table.close()
    assert len(os.listdir("/proc/self/fd")) == open_before
