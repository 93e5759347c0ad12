"""What cpuwatch shows of quotas, compared with the counters of the kernel, and the verdicts on real situations."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from quota_groups import Counters, counters, path_of, quota_group

from benchmarks.processes import burning
from cpuwatch import CgroupUsage, ProcessUsage, Snapshot, open_sampler, usage
from cpuwatch.samplers.procfs.cgroup_mounts import CgroupMounts

pytestmark = pytest.mark.timeout(120)

CPUS = sorted(os.sched_getaffinity(0))
PERIOD_US = 100_000


def put_into(group: Path, *pids: int) -> None:
    for pid in pids:
        (group / "cgroup.procs").write_text(str(pid))


def watched(seconds: float, *, settle_seconds: float = 0.5) -> Snapshot:
    """The usage in these seconds, after the processes got going."""
    time.sleep(settle_seconds)
    with open_sampler("procfs") as sampler:
        earlier = sampler.read()
        time.sleep(seconds)
        return usage(earlier, sampler.read())


def row_of(snapshot: Snapshot, pid: int) -> ProcessUsage:
    return next(row for row in snapshot.processes if row.pid == pid)


def cgroup_of(snapshot: Snapshot, group: Path) -> CgroupUsage:
    return next(row for row in snapshot.cgroups if row.path == path_of(group))


class Bounds:
    """What the counters of a cgroup grew by at least and at most between two readings that lie between these."""

    def __init__(self, groups: list[Path]) -> None:
        self._groups = groups
        self._seen: list[list[Counters]] = []

    def look(self) -> None:
        """Call it before and after each of the two readings."""
        self._seen.append([counters(group) for group in self._groups])

    def of(self, group: Path, value: Callable[[Counters], int]) -> tuple[int, int]:
        before, after, before_later, after_later = (value(seen[self._groups.index(group)]) for seen in self._seen)
        return before_later - after, after_later - before


def measured(groups: list[Path], seconds: float) -> tuple[Snapshot, Bounds]:
    bounds = Bounds(groups)
    with open_sampler("procfs") as sampler:
        sampler.read()
        time.sleep(0.3)
        bounds.look()
        earlier = sampler.read()
        bounds.look()
        time.sleep(seconds)
        bounds.look()
        later = sampler.read()
        bounds.look()
    return usage(earlier, later), bounds


def assert_as_counted(snapshot: Snapshot, bounds: Bounds, group: Path) -> None:
    row = cgroup_of(snapshot, group)
    least_ns, most_ns = bounds.of(group, lambda found: found.throttled_ns)
    assert row.throttled_percent is not None
    assert row.throttled_periods_percent is not None
    shown_ns = row.throttled_percent / 100 * snapshot.interval_seconds * 1e9
    assert least_ns - 1 <= shown_ns <= most_ns + 1
    periods, throttled = (bounds.of(group, value) for value in (lambda c: c.periods, lambda c: c.throttled_periods))
    assert periods[0] > 0
    assert 100 * throttled[0] / periods[1] - 1e-6 <= row.throttled_periods_percent
    assert row.throttled_periods_percent <= max(100 * throttled[1] / periods[0], 0) + 1e-6


@pytest.mark.parametrize("percent", [10, 50, 150])
@pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")
def test_throttling_is_that_of_the_kernel(percent: int) -> None:
    with (
        quota_group(percent * PERIOD_US // 100, PERIOD_US) as group,
        burning(1, CPUS[0]) as first,
        burning(1, CPUS[1]) as second,
    ):
        put_into(group, *first, *second)
        time.sleep(0.3)
        snapshot, bounds = measured([group], 2.0)
    assert_as_counted(snapshot, bounds, group)
    row = cgroup_of(snapshot, group)
    assert row.quota_cpus == row.limit_cpus == percent / 100
    assert row.limited_by == path_of(group)
    used = sum(row_of(snapshot, pid).cpu_percent or 0 for pid in (*first, *second))
    assert row.cpu_percent == pytest.approx(used)
    # A CPU may use what it took of a quota after the period has ended: up to 5 ms (sched_cfs_bandwidth_slice).
    assert row.quota_percent is not None
    assert row.quota_percent < 130


def test_with_nested_quotas_the_tightest_one_counts() -> None:
    # So small that the quotas and not other work on this machine keep the processes from running.
    with (
        quota_group(PERIOD_US // 25, PERIOD_US) as outer,
        quota_group(None, PERIOD_US, inside=outer) as free,
        quota_group(PERIOD_US // 100, PERIOD_US, inside=outer) as tight,
        burning(1, CPUS[0]) as [pid],
        burning(1, CPUS[-1]) as [other],
    ):
        put_into(free, pid)
        put_into(tight, other)
        time.sleep(0.3)
        snapshot, bounds = measured([outer, tight], 2.0)
    assert_as_counted(snapshot, bounds, outer)
    assert_as_counted(snapshot, bounds, tight)
    limits = {group: cgroup_of(snapshot, group) for group in (outer, free, tight)}
    assert [limits[group].quota_cpus for group in (outer, free, tight)] == [0.04, None, 0.01]
    assert [limits[group].limit_cpus for group in (outer, free, tight)] == [0.04, 0.04, 0.01]
    assert [limits[group].limited_by for group in (outer, free, tight)] == list(map(path_of, (outer, outer, tight)))
    assert [row_of(snapshot, one).verdict for one in (pid, other)] == ["throttled", "throttled"]


def test_the_wait_of_a_single_thread_is_throttled_as_long_as_its_cgroup() -> None:
    with quota_group(PERIOD_US // 20, PERIOD_US) as group, burning(1, CPUS[-1]) as [pid]:
        put_into(group, pid)
        time.sleep(0.3)
        snapshot, bounds = measured([group], 3.0)
    row = row_of(snapshot, pid)
    least_ns, most_ns = bounds.of(group, lambda found: found.throttled_ns)
    assert row.throttled_percent is not None
    assert row.wait_percent is not None
    shown_ns = row.throttled_percent / 100 * snapshot.interval_seconds * 1e9
    assert shown_ns <= most_ns + 1
    # The kernel counts throttling when a period begins, and waiting when the process gets the CPU. Other work on this
    # machine delays that by some periods.
    assert shown_ns >= least_ns - 6 * PERIOD_US * 1000
    assert row.verdict == "throttled"


@contextmanager
def unified_group() -> Iterator[Path]:
    """A cgroup of version 2, which is mounted beside version 1 on some machines."""
    unified = CgroupMounts.find().unified
    if unified is None or unified.root != "/":
        pytest.skip("no hierarchy of cgroup v2 is mounted")
    group = Path(unified.directory) / f"cpuwatch-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"needs a cgroup: {error}")
    try:
        yield group
    finally:
        group.rmdir()


def pressure_us(group: Path) -> int:
    return int((group / "cpu.pressure").read_text().split()[4].removeprefix("total="))


def test_the_pressure_of_a_cgroup_is_that_of_the_kernel() -> None:
    with unified_group() as group, burning(2, CPUS[-1]) as pids, open_sampler("procfs") as sampler:
        put_into(group, *pids)
        time.sleep(0.2)
        sampler.read()
        before = pressure_us(group)
        earlier = sampler.read()
        between = pressure_us(group)
        time.sleep(2)
        between_later = pressure_us(group)
        later = sampler.read()
        after = pressure_us(group)
        snapshot = usage(earlier, later)
    (row,) = [row for row in snapshot.cgroups if row.path == f"/{group.name}"]
    assert row.pressure_percent is not None
    shown_us = row.pressure_percent / 100 * snapshot.interval_seconds * 1e6
    # The counters of a reading are whole milliseconds, and more than the interval is shown as all of it.
    assert shown_us <= after - before + 1000
    assert shown_us >= between_later - between - 1000 or row.pressure_percent == 100
    assert row.pressure_percent > 50
    assert row.cpu_percent == pytest.approx(sum(row_of(snapshot, pid).cpu_percent or 0 for pid in pids))


def test_processes_that_share_one_cpu_are_crowded() -> None:
    with burning(4, CPUS[-1]) as pids:
        snapshot = watched(1.5)
    rows = [row_of(snapshot, pid) for pid in pids]
    assert [row.verdict for row in rows] == ["crowded"] * 4
    assert {row.throttled_percent for row in rows} == {0.0}
    assert snapshot.machine.verdict == "crowded"
    # Other work on this machine may use more than a quarter of a CPU.
    assert snapshot.machine.busiest[0].total_percent >= max(row.total_percent or 0 for row in rows)


def test_with_nice_levels_the_other_process_is_crowded() -> None:
    with burning(2, CPUS[-1]) as [favoured, other]:
        try:
            os.setpriority(os.PRIO_PROCESS, favoured, -20)
        except PermissionError:
            pytest.skip("needs CAP_SYS_NICE")
        os.setpriority(os.PRIO_PROCESS, other, 19)
        snapshot = watched(2.0)
    rows = [row_of(snapshot, pid) for pid in (favoured, other)]
    assert rows[1].verdict == "crowded"
    # Nice levels only count within a session (autogroups, sched(7)), so other work may crowd the favoured one.
    assert (rows[0].cpu_percent or 0) > (rows[1].cpu_percent or 0)


def test_a_process_that_nothing_keeps_from_running_is_busy() -> None:
    with burning(2, CPUS[-1]) as [favoured, other]:
        try:
            os.sched_setscheduler(favoured, os.SCHED_FIFO, os.sched_param(1))
        except OSError as error:
            pytest.skip(f"needs real-time scheduling: {error}")
        snapshot = watched(1.0)
    assert [row_of(snapshot, pid).verdict for pid in (favoured, other)] == ["busy", "crowded"]


def test_a_mixture_of_reasons() -> None:
    with ExitStack() as stack:
        group = stack.enter_context(quota_group(PERIOD_US // 20, PERIOD_US))
        [limited] = stack.enter_context(burning(1, CPUS[-1]))
        crowd = stack.enter_context(burning(3, CPUS[-1]))
        sleeping = stack.enter_context(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        put_into(group, limited)
        snapshot = watched(3.0, settle_seconds=1.0)
        assert sleeping.stdin is not None
        sleeping.stdin.close()
    assert [row_of(snapshot, pid).verdict for pid in crowd] == ["crowded"] * 3
    assert row_of(snapshot, sleeping.pid).verdict == "idle"
    assert row_of(snapshot, limited).verdict == "throttled"
