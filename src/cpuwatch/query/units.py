"""The tree of units: slices, services, containers and pods, with sums, limits and a verdict for each. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct

from cpuwatch.accounting.cgroups import path_with_ancestors
from cpuwatch.accounting.verdict import stolen_share
from cpuwatch.model import CgroupUsage, Snapshot, Verdict
from cpuwatch.query.cgroup_name import UnitType, slice_name, unit_names, unit_path, unit_type
from cpuwatch.query.group import Sums, sums_by

__all__ = ["UnitUsage", "by_cgroup", "in_tree_order", "is_in"]


class UnitUsage(Struct, frozen=True, gc=False):
    """A systemd unit, a container, a pod or a directory of these, with everything below it.

    ``cgroup`` is its path, which distinguishes units of the same name and is stable across snapshots. ``parent`` is the
    path of the unit that contains it, ``None`` for a root. ``group`` is the shortest unambiguous name: that of the
    container or pod if it is known. ``cgroup`` and ``group`` are ``None`` for the processes whose cgroup is unknown.
    ``type`` is ``None`` for a directory.

    The sums and ``verdict`` are those of :class:`~cpuwatch.UsageGroup`: ``throttled_percent`` is how long threads
    waited because of a quota, be it of this unit, of one below it or of one above it.

    All other fields are those of the cgroup with this path (:class:`~cpuwatch.CgroupUsage`), and ``None`` if they are
    unknown. ``quota_throttled_percent`` and ``throttled_periods_percent`` tell how much its own quota throttled it:
    the former in percent of the interval, summed over CPUs, the latter in percent of the periods.
    """

    group: str | None
    cgroup: str | None
    parent: str | None
    type: UnitType | None
    processes: int
    exited: int
    cpu_percent: float
    machine_percent: float
    exited_percent: float
    wait_percent: float | None = None
    throttled_percent: float | None = None
    threads: int | None = None
    cpu_seconds: float | None = None
    user_percent: float | None = None
    system_percent: float | None = None
    verdict: Verdict | None = None
    quota_cpus: float | None = None
    limit_cpus: float | None = None
    limited_by: str | None = None
    quota_percent: float | None = None
    quota_throttled_percent: float | None = None
    throttled_periods_percent: float | None = None
    pressure_percent: float | None = None
    cpus: int | None = None


def by_cgroup(snapshot: Snapshot) -> list[UnitUsage]:
    """Every unit with all units below it, busiest first, so each comes after its parent.

    A process counts for the innermost unit that contains it (:func:`~cpuwatch.query.cgroup_name.unit_path`). The roots
    add up to the snapshot. Units without processes are included if the snapshot has their cgroups.
    Exited processes count for the cgroup of their reaper, because the kernel does not report their own.
    """
    unit_of = {row.pid: None if row.cgroup is None else unit_path(row.cgroup) for row in snapshot.processes}
    sums = sums_by(snapshot, lambda row: unit_of[row.pid], lambda exited: unit_of.get(exited.parent_pid or 0))
    cgroups = {row.path: row for row in snapshot.cgroups}
    parents = _parents([*(path for path in sums if path is not None), *filter(_has_row, cgroups)])
    for path in sorted(parents, key=_depth, reverse=True):
        parent = parents[path]
        if parent is not None:
            sums[parent].add(sums[path])
    stolen = stolen_share(snapshot.machine)
    names = unit_names(parents, _preferred_names(parents, cgroups))
    units = [
        UnitUsage(names[path], path, parent, unit_type(path), **_figures(sums[path], cgroups.get(path), stolen))
        for path, parent in parents.items()
    ]
    if None in sums:
        units.append(UnitUsage(None, None, None, None, **_figures(sums[None], None, stolen)))
    return sorted(units, key=_busiest_first)


def in_tree_order(units: Iterable[UnitUsage]) -> Iterator[tuple[UnitUsage, int]]:
    """Each unit followed by those below it, in the given order, with its depth; a root has the depth 0."""
    children: defaultdict[str | None, list[UnitUsage]] = defaultdict(list)
    for unit in units:
        children[unit.parent].append(unit)
    stack = [(unit, 0) for unit in reversed(children[None])]
    while stack:
        unit, depth = stack.pop()
        yield unit, depth
        if unit.cgroup is not None:
            stack += [(below, depth + 1) for below in reversed(children[unit.cgroup])]


def is_in(cgroup: str | None, unit: str | None) -> bool:
    """Whether a cgroup is that of a unit or below it, both given by their paths.

    The unit without a path contains the unknown cgroups.
    """
    if cgroup is None or unit is None:
        return cgroup == unit
    return cgroup == unit or cgroup.startswith(unit.rstrip("/") + "/")


def _parents(paths: Iterable[str]) -> dict[str, str | None]:
    """The parent of each of these units and of each unit above them."""
    parents: dict[str, str | None] = {}
    for path in paths:
        at: str | None = path
        while at is not None and at not in parents:
            above = parents[at] = _parent(at)
            at = above
    return parents


@lru_cache(maxsize=4096)
def _parent(path: str) -> str | None:
    for above in path_with_ancestors(path):
        # Such a path is outside of the cgroup namespace (cgroup_namespaces(7)), whose root is not above it.
        if above.endswith("/.."):
            return None
        if above != path and _has_row(above):
            return above
    return None


def _has_row(path: str) -> bool:
    """Whether the cgroup is a unit, or above all units. A directory in a unit is a part of it, unless it is a slice."""
    return unit_path(path) == path or unit_type(path) == "slice"


def _busiest_first(unit: UnitUsage) -> tuple[float, int, str]:
    path = unit.cgroup
    return (-unit.cpu_percent, 0, "") if path is None else (-unit.cpu_percent, _depth(path), path)


@lru_cache(maxsize=4096)
def _depth(path: str) -> int:
    return len(path_with_ancestors(path))


def _preferred_names(paths: Iterable[str], cgroups: Mapping[str, CgroupUsage]) -> dict[str, str]:
    names = {path: slice_name(path) for path in paths}
    names |= {path: row.name for path, row in cgroups.items() if row.name is not None}
    return {path: name for path, name in names.items() if name is not None}


def _figures(total: Sums, cgroup: CgroupUsage | None, stolen: float) -> dict[str, Any]:
    figures = total.with_verdict(stolen)
    if cgroup is None:
        return figures
    # With cgroup v1, a cgroup of the cpu hierarchy may contain processes that are elsewhere in this tree.
    if not total.processes and not total.cpu_percent and not cgroup.cpu_percent:
        figures["verdict"] = "idle"
    return {
        **figures,
        "quota_cpus": cgroup.quota_cpus,
        "limit_cpus": cgroup.limit_cpus,
        "limited_by": cgroup.limited_by,
        "quota_percent": cgroup.quota_percent,
        "quota_throttled_percent": cgroup.throttled_percent,
        "throttled_periods_percent": cgroup.throttled_periods_percent,
        "pressure_percent": cgroup.pressure_percent,
        "cpus": cgroup.cpus,
    }
