"""What the limits of cgroups allow and cost: the growth of their counters between two readings. Pure.

The paths of a cgroup and of its ancestors are those of its hierarchy: a quota also limits all cgroups below it
(Documentation/scheduler/sched-bwc.rst).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import TypeAlias

from msgspec import Struct

from cpuwatch.accounting.active_rows import Change
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
    """What the processes of a cgroup did, in nanoseconds."""

    used_ns: int = 0
    """Including exited processes."""
    own_ns: int = 0
    wait_ns: int = 0


def throttled_shares(
    earlier: _Cgroups, later: _Cgroups, changes: Iterable[Change], span: Span
) -> Callable[[str | None], float | None]:
    """The share of the run delay of the processes of a cgroup that is due to quotas, 0..1, by the cgroup's path.

    The kernel counts how long the run queues of a cgroup were throttled, not how long its threads waited for that
    (unthrottle_cfs_rq in kernel/sched/fair.c). While a run queue is throttled, all of its runnable threads wait. So the
    time is multiplied by the number of threads per run queue, which is that of the runnable threads divided by the
    number of CPUs they can be on. It cannot exceed the run delay. Each process waited for the quota in proportion to
    its run delay. Of several quotas above a process, the one that throttled most counts: their throttled times overlap.

    Without any information about cgroups the result is None.
    """
    throttled_ns = {
        path: growth
        for path, times in later.items()
        if (growth := _growth(_value(earlier, path, "throttled_ns"), times.throttled_ns))
    }
    if not throttled_ns:
        share = 0.0 if later else None
        return lambda _: share
    sums = _sums_by_path(changes, {}, lambda change: {change.record.cpu_cgroup})
    shares: dict[str, float] = {}
    for path, growth_ns in throttled_ns.items():
        sums_of_cgroup = sums.get(path)
        if sums_of_cgroup is None or not sums_of_cgroup.wait_ns:
            continue
        runnable = (sums_of_cgroup.own_ns + sums_of_cgroup.wait_ns) / span.interval_ns
        run_queues = min(runnable, later[path].cpus or span.logical_cpus)
        waited_ns = growth_ns * max(1.0, runnable / run_queues)
        shares[path] = min(1.0, waited_ns / sums_of_cgroup.wait_ns)
    return lambda path: 0.0 if path is None else max(shares.get(above, 0.0) for above in path_with_ancestors(path))


def cgroup_usage(
    earlier: _Cgroups, later: _Cgroups, changes: Iterable[Change], credits_ns: Mapping[int, int], span: Span
) -> list[CgroupUsage]:
    """The usage of each cgroup, by ascending path. ``credits_ns`` is the use of exited descendants by PID."""
    if not later:
        return []
    # With cgroup v1, a process is in one cgroup of each hierarchy.
    sums = _sums_by_path(changes, credits_ns, lambda change: {change.record.cgroup, change.record.cpu_cgroup})
    rows: list[CgroupUsage] = []
    for path in sorted(later):
        times = later[path]
        limit_cpus, limited_by = _limit(path, later, span)
        used = sums.get(path)
        if used is None and times is earlier.get(path):
            rows.append(_at_rest(path, times, limit_cpus, limited_by))
        else:
            used_ns = 0 if used is None else used.used_ns
            rows.append(_usage(path, earlier.get(path), times, used_ns, limit_cpus, limited_by, span))
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
    throttled_ns = periods = throttled_periods = pressure_ns = None
    if before is not None:
        pressure_ns = _growth(before.pressure_ns, times.pressure_ns)
        if quota_cpus is not None:
            throttled_ns = _growth(before.throttled_ns, times.throttled_ns)
            periods = _growth(before.periods, times.periods)
            throttled_periods = _growth(before.throttled_periods, times.throttled_periods)
    return CgroupUsage(
        path=path,
        name=times.name,
        cpu_percent=cpu_percent,
        quota_cpus=quota_cpus,
        limit_cpus=limit_cpus,
        limited_by=limited_by,
        quota_percent=None if not quota_cpus else cpu_percent / quota_cpus,
        throttled_percent=span.percent(throttled_ns),
        throttled_periods_percent=_share_percent(throttled_periods, periods),
        pressure_percent=_at_most_100(span.percent(pressure_ns)),
        cpus=times.cpus,
    )


def _at_rest(path: str, times: CgroupTimes, limit_cpus: float | None, limited_by: str | None) -> CgroupUsage:
    """The usage of a cgroup in which nothing ran. Its record caches it, as that of an idle process does."""
    known: CgroupUsage | None = times.__dict__.get(_AT_REST)
    if known is not None and (known.path, known.limit_cpus, known.limited_by) == (path, limit_cpus, limited_by):
        return known
    quota_cpus = _quota_cpus(times)
    row = CgroupUsage(
        path=path,
        name=times.name,
        cpu_percent=0.0,
        quota_cpus=quota_cpus,
        limit_cpus=limit_cpus,
        limited_by=limited_by,
        quota_percent=0.0 if quota_cpus else None,
        throttled_percent=None if quota_cpus is None or times.throttled_ns is None else 0.0,
        throttled_periods_percent=None if quota_cpus is None or times.throttled_periods is None else 0.0,
        pressure_percent=None if times.pressure_ns is None else 0.0,
        cpus=times.cpus,
    )
    times.__dict__[_AT_REST] = row
    return row


def _sums_by_path(
    changes: Iterable[Change], credits_ns: Mapping[int, int], paths_of: Callable[[Change], set[str | None]]
) -> dict[str, _Sums]:
    """The sums of each cgroup, those of the cgroups below it included."""
    by_process: defaultdict[frozenset[str | None], _Sums] = defaultdict(_Sums)
    for change in changes:
        sums = by_process[frozenset(paths_of(change))]
        own_ns = change.cpu_ns or 0
        sums.own_ns += own_ns
        sums.used_ns += own_ns + credits_ns.get(change.record.pid, 0)
        sums.wait_ns += change.wait_ns or 0
    by_path: defaultdict[str, _Sums] = defaultdict(_Sums)
    for paths, part in by_process.items():
        for above in set(chain.from_iterable(path_with_ancestors(path) for path in paths if path is not None)):
            total = by_path[above]
            total.own_ns += part.own_ns
            total.used_ns += part.used_ns
            total.wait_ns += part.wait_ns
    return by_path


def _limit(path: str, cgroups: _Cgroups, span: Span) -> tuple[float | None, str | None]:
    """The number of CPUs that a cgroup can use at most, and the path of the quota that says so."""
    cpus = cgroups[path].cpus
    quotas = (
        (quota_cpus, above)
        for above in path_with_ancestors(path)
        if (times := cgroups.get(above)) is not None and (quota_cpus := _quota_cpus(times)) is not None
    )
    tightest, limited_by = min(quotas, default=(None, None))
    if tightest is None:
        return None if cpus is None else float(cpus), None
    if tightest < (cpus or span.logical_cpus):
        return tightest, limited_by
    return float(cpus or span.logical_cpus), None


def _quota_cpus(times: CgroupTimes) -> float | None:
    return None if times.quota_ns is None or not times.period_ns else times.quota_ns / times.period_ns


def _value(cgroups: _Cgroups, path: str, name: str) -> int | None:
    times = cgroups.get(path)
    value: int | None = None if times is None else getattr(times, name)
    return value


def _growth(earlier: int | None, later: int | None) -> int | None:
    return None if earlier is None or later is None or later < earlier else later - earlier


def _share_percent(part: int | None, whole: int | None) -> float | None:
    """0 if there was no period: nothing was runnable."""
    if part is None or whole is None:
        return None
    return min(100.0, 100 * part / whole) if whole else 0.0


def _at_most_100(percent: float | None) -> float | None:
    """The files are read slightly before or after the instant of the reading."""
    return None if percent is None else min(100.0, percent)
