"""What the limits of cgroups allow and cost: the growth of their counters between two readings. Pure.

The paths of a cgroup and of its ancestors are those of its hierarchy: a quota also limits all cgroups below it
(Documentation/scheduler/sched-bwc.rst).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from msgspec import Struct

from cpuwatch.accounting.active_rows import Change
from cpuwatch.accounting.growth import growth, pressure_percent
from cpuwatch.accounting.span import Span
from cpuwatch.model import CgroupTimes, CgroupUsage

__all__ = ["cgroup_usage", "path_with_ancestors", "throttled_shares"]

_Cgroups: TypeAlias = Mapping[str, CgroupTimes]

_AT_REST = "at_rest"


def path_with_ancestors(path: str) -> list[str]:
    """The path and those of all its ancestors, innermost first; the root is ``/``."""
    paths = [path]
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        paths.append(path)
    return paths


class _Sums(Struct, gc=False):
    """What the processes of a cgroup itself did, in nanoseconds."""

    own_ns: int = 0
    wait_ns: int = 0
    other_wait_ns: float = 0.0
    """The part of ``wait_ns`` that is not due to a quota."""


def throttled_shares(
    earlier: _Cgroups, later: _Cgroups, changes: Iterable[Change], span: Span
) -> Callable[[str | None], float | None]:
    """The share of the run delay of the processes of a cgroup that is due to quotas, 0..1, by the cgroup's path.

    The kernel counts how long the run queues of a cgroup were throttled, not how long its threads waited for that
    (unthrottle_cfs_rq in kernel/sched/fair.c). While a run queue is throttled, all of its runnable threads wait. So the
    time is multiplied by the number of threads per run queue, which is that of the runnable threads divided by the
    number of CPUs they can be on. It cannot exceed the run delay, and each process waited for the quota in proportion
    to its run delay. If affinities keep the threads on fewer CPUs than their cpuset does, the result is too low.

    A run queue that its own quota throttles is not throttled by the quota of an ancestor at the same time. So quotas
    are taken from the inside out, and each one explains only what those inside of it leave.

    Without any information about cgroups the result is None.
    """
    throttled_ns = {
        path: grown_ns
        for path, times in later.items()
        if (before := earlier.get(path)) is not None and (grown_ns := growth(before.throttled_ns, times.throttled_ns))
    }
    if not throttled_ns:
        share = 0.0 if later else None
        return lambda _: share
    sums: defaultdict[str, _Sums] = defaultdict(_Sums)
    for change in changes:
        if change.record.cpu_cgroup is not None and change.wait_ns is not None:
            part = sums[change.record.cpu_cgroup]
            part.own_ns += change.cpu_ns or 0
            part.wait_ns += change.wait_ns
            part.other_wait_ns += change.wait_ns
    for path in sorted(throttled_ns, key=lambda path: len(path_with_ancestors(path)), reverse=True):
        inside = [part for below, part in sums.items() if path in path_with_ancestors(below)]
        other_wait_ns = sum(part.other_wait_ns for part in inside)
        if not other_wait_ns:
            continue
        runnable = (sum(part.own_ns for part in inside) + other_wait_ns) / span.interval_ns
        run_queues = min(runnable, later[path].cpus or span.logical_cpus)
        waited_ns = throttled_ns[path] * max(1.0, runnable / run_queues)
        for part in inside:
            part.other_wait_ns *= 1 - min(1.0, waited_ns / other_wait_ns)
    return lambda path: _throttled_share(sums.get(path or ""))


def _throttled_share(sums: _Sums | None) -> float:
    return 1 - sums.other_wait_ns / sums.wait_ns if sums is not None and sums.wait_ns else 0.0


def cgroup_usage(
    earlier: _Cgroups, later: _Cgroups, changes: Iterable[Change], credits_ns: Mapping[int, int], span: Span
) -> list[CgroupUsage]:
    """The usage of each cgroup, by ascending path. ``credits_ns`` is the use of exited descendants by PID."""
    if not later:
        return []
    used = _used_by_path(changes, credits_ns)
    rows: list[CgroupUsage] = []
    quotas: dict[str, tuple[float, str]] = {}
    # Every path comes after those of its ancestors.
    for path in sorted(later):
        times = later[path]
        tightest = _tightest_quota(path, times, quotas)
        limit_cpus, limited_by = _limit(times.cpus, tightest, span)
        used_ns = used.get(path)
        if used_ns is None and times is earlier.get(path):
            rows.append(_at_rest(path, times, limit_cpus, limited_by, span))
        else:
            rows.append(_usage(path, earlier.get(path), times, used_ns or 0, limit_cpus, limited_by, span))
    return rows


def _usage(
    path: str,
    before: CgroupTimes | None,
    times: CgroupTimes,
    used_ns: int,
    limit_cpus: float | None,
    limited_by: str | None,
    span: Span,
) -> CgroupUsage:
    cpu_percent = span.percent(used_ns) or 0.0
    quota_cpus = _quota_cpus(times)
    quota_percent = throttled_percent = throttled_periods_percent = None
    if quota_cpus is not None:
        quota_percent = cpu_percent / quota_cpus if quota_cpus else None
        if before is not None:
            throttled_percent = span.percent(growth(before.throttled_ns, times.throttled_ns))
            throttled_periods_percent = _share_percent(
                growth(before.throttled_periods, times.throttled_periods), growth(before.periods, times.periods)
            )
    return CgroupUsage(
        path=path,
        name=times.name,
        cpu_percent=cpu_percent,
        quota_cpus=quota_cpus,
        limit_cpus=limit_cpus,
        limited_by=limited_by,
        quota_percent=quota_percent,
        throttled_percent=throttled_percent,
        throttled_periods_percent=throttled_periods_percent,
        pressure_percent=None
        if before is None
        else pressure_percent(before.pressure_ns, times.pressure_ns, span.interval_ns),
        cpus=times.cpus,
    )


def _at_rest(
    path: str, times: CgroupTimes, limit_cpus: float | None, limited_by: str | None, span: Span
) -> CgroupUsage:
    """The usage of a cgroup in which nothing ran. Its record caches it, as that of an idle process does."""
    row: CgroupUsage | None = times.__dict__.get(_AT_REST)
    if row is None or (row.path, row.limit_cpus, row.limited_by) != (path, limit_cpus, limited_by):
        row = times.__dict__[_AT_REST] = _usage(path, times, times, 0, limit_cpus, limited_by, span)
    return row


def _used_by_path(changes: Iterable[Change], credits_ns: Mapping[int, int]) -> dict[str, int]:
    """The CPU time of each cgroup, that of the cgroups below it included."""
    by_process: defaultdict[tuple[str | None, str | None], int] = defaultdict(int)
    for change in changes:
        record = change.record
        by_process[record.cgroup, record.cpu_cgroup] += (change.cpu_ns or 0) + credits_ns.get(record.pid, 0)
    by_path: defaultdict[str, int] = defaultdict(int)
    for (path, cpu_path), used_ns in by_process.items():
        above = [] if path is None else path_with_ancestors(path)
        if cpu_path is not None and cpu_path != path:
            # With cgroup v1, a process is in one cgroup of each hierarchy.
            above = list({*above, *path_with_ancestors(cpu_path)})
        for one in above:
            by_path[one] += used_ns
    return by_path


def _tightest_quota(path: str, times: CgroupTimes, quotas: dict[str, tuple[float, str]]) -> tuple[float, str] | None:
    """The lowest quota of a cgroup and its ancestors in CPUs, and whose it is. It is added to ``quotas``, by path."""
    above = None if path == "/" else quotas.get(path.rpartition("/")[0] or "/")
    own_cpus = _quota_cpus(times)
    tightest = above if own_cpus is None or (above is not None and above[0] <= own_cpus) else (own_cpus, path)
    if tightest is not None:
        quotas[path] = tightest
    return tightest


def _limit(cpus: int | None, tightest: tuple[float, str] | None, span: Span) -> tuple[float | None, str | None]:
    """The number of CPUs that a cgroup can use at most, and the path of the quota if that is the reason."""
    if tightest is None:
        return None if cpus is None else float(cpus), None
    return tightest if tightest[0] < (cpus or span.logical_cpus) else (float(cpus or span.logical_cpus), None)


def _quota_cpus(times: CgroupTimes) -> float | None:
    return None if times.quota_ns is None or not times.period_ns else times.quota_ns / times.period_ns


def _share_percent(part: int | None, whole: int | None) -> float | None:
    """0 if there was no period: nothing was runnable."""
    if part is None or whole is None:
        return None
    return min(100.0, 100 * part / whole) if whole else 0.0
