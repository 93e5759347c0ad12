"""Adding processes up: by name, by user, by cgroup, by process tree. Pure: a snapshot in, groups out.

Every amount of the snapshot's list, ended processes included, is in exactly one group, so the groups add up to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.kernel_threads import summing_names
from cpuwatch.model import ExitedUsage, ProcessUsage, Snapshot
from cpuwatch.query.cgroup_name import unit_names, unit_path

__all__ = ["TreeUsage", "UsageGroup", "by_cgroup", "by_name", "by_tree", "by_user"]


class UsageGroup(Struct, frozen=True, gc=False):
    """What the processes of a group used in the interval.

    ``cpu_percent`` (of one CPU) and ``machine_percent`` are of the living processes, ``exited_percent`` of those that
    exited, ``total_percent`` of both. ``processes`` counts the living, ``exited`` the exited ones whose name is known.
    ``group`` is ``None`` for processes whose group is unknown.
    Where groups are units, ``cgroup`` is the unit's path. It tells units of the same name apart and stays the same over
    snapshots, while ``group`` depends on the other units.
    """

    group: str | None
    processes: int
    exited: int
    cpu_percent: float
    machine_percent: float
    exited_percent: float
    total_percent: float
    cgroup: str | None = None


class TreeUsage(Struct, frozen=True, gc=False):
    """A process with all its descendants: what ``make -j`` costs, compilers that have ended included.

    ``parent`` is the PID of the tree that this one is a branch of, None for a root. ``pid``, ``key`` and ``name`` are
    ``None`` for the one root that holds ended processes whose ancestor is not in the list.
    """

    pid: int | None
    key: str | None
    name: str | None
    parent: int | None
    processes: int
    exited: int
    cpu_percent: float
    machine_percent: float
    exited_percent: float
    total_percent: float


def by_name(snapshot: Snapshot) -> list[UsageGroup]:
    """Groups by the name of the process, busiest first. Ended processes without a name form the group ``None``.

    The kernel's workers form one group (:func:`~cpuwatch.accounting.kernel_threads.summed_name`).
    """
    summed = summing_names(snapshot.processes)
    return _grouped(
        snapshot,
        lambda row: summed(row.name, row.ppid),
        lambda ended: None if ended.name is None else summed(ended.name, ended.parent_pid),
    )


def by_user(snapshot: Snapshot) -> list[UsageGroup]:
    """Groups by user, busiest first. Ended processes of unknown user count for the one who waited for them."""
    owner = {row.pid: row.user for row in snapshot.processes}
    return _grouped(
        snapshot,
        lambda row: row.user,
        lambda ended: owner.get(ended.parent_pid or 0) if ended.user is None else ended.user,
    )


def by_cgroup(snapshot: Snapshot) -> list[UsageGroup]:
    """Groups by systemd unit or container, busiest first.

    A unit is its path (:func:`~cpuwatch.query.cgroup_name.unit_path`). ``group`` is the shortest name that no other
    unit of this snapshot could have (:func:`~cpuwatch.query.cgroup_name.unit_names`).
    Ended processes count for the cgroup of the one who waited for them: the kernel does not tell theirs.
    """
    units = {path: unit_path(path) for path in {row.cgroup for row in snapshot.processes} if path is not None}
    unit_of = {row.pid: None if row.cgroup is None else units[row.cgroup] for row in snapshot.processes}
    groups = _grouped(snapshot, lambda row: unit_of[row.pid], lambda ended: unit_of.get(ended.parent_pid or 0))
    names = unit_names(units.values())
    return [
        group if group.group is None else replace(group, group=names[group.group], cgroup=group.group)
        for group in groups
    ]


def by_tree(snapshot: Snapshot) -> list[TreeUsage]:
    """Every process with all its descendants, busiest tree first; the roots add up to the list."""
    rows = {row.pid: row for row in snapshot.processes}
    parents = _parents(rows)
    sums: dict[int | None, _Sum] = {pid: _Sum() for pid in (*rows, None)}
    for row in rows.values():
        sums[row.pid].add_process(row)
    for ended in snapshot.exited:
        sums[ended.parent_pid if ended.parent_pid in rows else None].add_exited(ended)
    for pid in _leaves_first(parents):
        parent = parents[pid]
        if parent is not None:
            sums[parent].add(sums[pid])
    trees = [TreeUsage(pid, rows[pid].key, rows[pid].name, parents[pid], *sums[pid].figures()) for pid in rows]
    unplaced = sums[None].figures()
    if any(unplaced):
        trees.append(TreeUsage(None, None, None, None, *unplaced))
    return sorted(trees, key=lambda tree: (-tree.total_percent, tree.pid or 0))


class _Sum:
    """Adds up what a group used; unknown amounts add nothing."""

    def __init__(self) -> None:
        self.processes = 0
        self.exited = 0
        self.cpu_percent = 0.0
        self.machine_percent = 0.0
        self.exited_percent = 0.0

    def add_process(self, row: ProcessUsage) -> None:
        self.processes += 1
        self.cpu_percent += row.cpu_percent or 0.0
        self.machine_percent += row.machine_percent or 0.0

    def add_exited(self, row: ExitedUsage) -> None:
        self.exited += row.count or 0
        self.exited_percent += row.cpu_percent or 0.0

    def add(self, other: _Sum) -> None:
        self.processes += other.processes
        self.exited += other.exited
        self.cpu_percent += other.cpu_percent
        self.machine_percent += other.machine_percent
        self.exited_percent += other.exited_percent

    def figures(self) -> tuple[int, int, float, float, float, float]:
        total_percent = self.cpu_percent + self.exited_percent
        return (
            self.processes,
            self.exited,
            self.cpu_percent,
            self.machine_percent,
            self.exited_percent,
            total_percent,
        )


def _grouped(
    snapshot: Snapshot,
    of_process: Callable[[ProcessUsage], str | None],
    of_exited: Callable[[ExitedUsage], str | None],
) -> list[UsageGroup]:
    sums: defaultdict[str | None, _Sum] = defaultdict(_Sum)
    for row in snapshot.processes:
        sums[of_process(row)].add_process(row)
    for ended in snapshot.exited:
        sums[of_exited(ended)].add_exited(ended)
    groups = [UsageGroup(group, *total.figures()) for group, total in sums.items()]
    return sorted(groups, key=lambda group: (-group.total_percent, group.group or ""))


def _parents(rows: Mapping[int, ProcessUsage]) -> dict[int, int | None]:
    """Each one's parent, if it is in the list. Rows from anywhere may go round in a circle, which is cut open."""
    parents = {pid: row.ppid if row.ppid in rows else None for pid, row in rows.items()}
    sound: set[int] = set()
    for pid in rows:
        line: list[int] = []
        above: int | None = pid
        while above is not None and above not in sound:
            sound.add(above)
            line.append(above)
            above = parents[above]
        if above in line:
            parents[line[-1]] = None
    return parents


def _leaves_first(parents: Mapping[int, int | None]) -> list[int]:
    """The PIDs in an order in which each comes before its parent."""
    children: defaultdict[int | None, list[int]] = defaultdict(list)
    for pid, parent in parents.items():
        children[parent].append(pid)
    order = list(children[None])
    for pid in order:  # grows while it is walked: breadth first
        order += children[pid]
    return order[::-1]
