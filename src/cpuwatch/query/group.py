"""Groups processes by name, by user or by process tree. Pure: a snapshot in, groups out.

Every amount of the snapshot, exited processes included, is in exactly one group, so the groups add up to the snapshot.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import asdict

from cpuwatch.accounting.kernel_threads import summing_names
from cpuwatch.accounting.verdict import stolen_share, verdict_of
from cpuwatch.model import ExitedUsage, ProcessUsage, Snapshot, Verdict

__all__ = ["Sums", "TreeUsage", "UsageGroup", "by_name", "by_tree", "by_user"]

_Number = TypeVar("_Number", int, float)


class UsageGroup(Struct, frozen=True, gc=False):
    """The CPU use of a group of processes in the interval.

    A group contains living and exited processes, so its ``cpu_percent`` (of one CPU) and ``machine_percent`` are those
    of both; ``exited_percent`` is the part of ``cpu_percent`` that exited processes used. ``processes`` counts living
    processes, ``exited`` counts exited processes whose name is known. ``group`` is ``None`` for processes whose group
    is unknown.
    ``wait_percent``, ``throttled_percent``, ``threads``, ``cpu_seconds``, ``user_percent`` and ``system_percent`` are
    those of the living processes, and ``None`` if they are unknown for all of them. ``verdict`` says whether the group
    as a whole got the CPU that it wanted, and if not, why (docs/accounting.md).
    """

    group: str | None
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


class TreeUsage(Struct, frozen=True, gc=False):
    """A process with all its descendants: the cost of ``make -j`` with all its compilers, even those that have exited.

    ``parent`` is the PID of the tree that contains this one as a branch, ``None`` for a root. ``pid``, ``key`` and
    ``name`` are ``None`` for the one root of exited processes whose ancestor is not in the snapshot. All other fields
    are those of :class:`UsageGroup`.
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
    wait_percent: float | None = None
    throttled_percent: float | None = None
    threads: int | None = None
    cpu_seconds: float | None = None
    user_percent: float | None = None
    system_percent: float | None = None
    verdict: Verdict | None = None


class Sums(Struct, gc=False):
    """The sums of a group, as in :class:`UsageGroup`; unknown amounts add nothing."""

    processes: int = 0
    exited: int = 0
    cpu_percent: float = 0.0
    machine_percent: float = 0.0
    exited_percent: float = 0.0
    wait_percent: float | None = None
    throttled_percent: float | None = None
    threads: int | None = None
    cpu_seconds: float | None = None
    user_percent: float | None = None
    system_percent: float | None = None

    def add_process(self, row: ProcessUsage) -> None:
        """Add a living process."""
        self.processes += 1
        self.cpu_percent += row.cpu_percent or 0.0
        self.machine_percent += row.machine_percent or 0.0
        self._add_living(row)

    def add_exited(self, row: ExitedUsage) -> None:
        """Add exited processes."""
        self.exited += row.count or 0
        self.cpu_percent += row.cpu_percent or 0.0
        self.machine_percent += row.machine_percent or 0.0
        self.exited_percent += row.cpu_percent or 0.0

    def add(self, other: Sums) -> None:
        """Add the sums of a part of the group."""
        self.processes += other.processes
        self.exited += other.exited
        self.cpu_percent += other.cpu_percent
        self.machine_percent += other.machine_percent
        self.exited_percent += other.exited_percent
        self._add_living(other)

    def verdict(self, stolen: float) -> Verdict | None:
        """That of the whole group; ``stolen`` is a share, 0..1."""
        return verdict_of(self.cpu_percent, self.wait_percent, self.throttled_percent, stolen)

    def with_verdict(self, stolen: float) -> dict[str, Any]:
        """The fields that all kinds of groups have."""
        return {**asdict(self), "verdict": self.verdict(stolen)}

    def _add_living(self, part: ProcessUsage | Sums) -> None:
        self.wait_percent = _known_sum(self.wait_percent, part.wait_percent)
        self.throttled_percent = _known_sum(self.throttled_percent, part.throttled_percent)
        self.threads = _known_sum(self.threads, part.threads)
        self.cpu_seconds = _known_sum(self.cpu_seconds, part.cpu_seconds)
        self.user_percent = _known_sum(self.user_percent, part.user_percent)
        self.system_percent = _known_sum(self.system_percent, part.system_percent)


def by_name(snapshot: Snapshot) -> list[UsageGroup]:
    """Groups by the name of the process, busiest first. Exited processes without a name form the group ``None``.

    Kernel workers form one group (:func:`~cpuwatch.accounting.kernel_threads.summed_name`).
    """
    summed = summing_names(snapshot.processes)
    return _grouped(
        snapshot,
        lambda row: summed(row.name, row.ppid),
        lambda exited: None if exited.name is None else summed(exited.name, exited.parent_pid),
    )


def by_user(snapshot: Snapshot) -> list[UsageGroup]:
    """Groups by user, busiest first. Exited processes of an unknown user count for the user of their reaper."""
    owner = {row.pid: row.user for row in snapshot.processes}
    return _grouped(
        snapshot,
        lambda row: row.user,
        lambda exited: owner.get(exited.parent_pid or 0) if exited.user is None else exited.user,
    )


def by_tree(snapshot: Snapshot) -> list[TreeUsage]:
    """Every process with all its descendants, busiest tree first; the roots add up to the snapshot."""
    rows = {row.pid: row for row in snapshot.processes}
    parents = _parents(rows)
    sums: dict[int | None, Sums] = {pid: Sums() for pid in rows}
    without_ancestor = Sums()
    for row in rows.values():
        sums[row.pid].add_process(row)
    for exited in snapshot.exited:
        sums.get(exited.parent_pid, without_ancestor).add_exited(exited)
    for pid in _leaves_first(parents):
        parent = parents[pid]
        if parent is not None:
            sums[parent].add(sums[pid])
    stolen = stolen_share(snapshot.machine)
    trees = [
        TreeUsage(pid, row.key, row.name, parents[pid], **sums[pid].with_verdict(stolen)) for pid, row in rows.items()
    ]
    if without_ancestor != Sums():
        trees.append(TreeUsage(None, None, None, None, **without_ancestor.with_verdict(stolen)))
    return sorted(trees, key=lambda tree: (-tree.cpu_percent, tree.pid or 0))


def _known_sum(one: _Number | None, other: _Number | None) -> _Number | None:
    return other if one is None else one if other is None else one + other


def sums_by(
    snapshot: Snapshot,
    of_process: Callable[[ProcessUsage], str | None],
    of_exited: Callable[[ExitedUsage], str | None],
) -> defaultdict[str | None, Sums]:
    """The sums of each group, given the group of each row. A group without rows has sums of 0."""
    sums: defaultdict[str | None, Sums] = defaultdict(Sums)
    for row in snapshot.processes:
        sums[of_process(row)].add_process(row)
    for exited in snapshot.exited:
        sums[of_exited(exited)].add_exited(exited)
    return sums


def _grouped(
    snapshot: Snapshot,
    of_process: Callable[[ProcessUsage], str | None],
    of_exited: Callable[[ExitedUsage], str | None],
) -> list[UsageGroup]:
    stolen = stolen_share(snapshot.machine)
    sums = sums_by(snapshot, of_process, of_exited)
    groups = [UsageGroup(group, **total.with_verdict(stolen)) for group, total in sums.items()]
    return sorted(groups, key=lambda group: (-group.cpu_percent, group.group or ""))


def _parents(rows: Mapping[int, ProcessUsage]) -> dict[int, int | None]:
    """The parent of each process that is among the rows. Decoded rows may form a cycle, which is broken up."""
    parents = {pid: row.ppid if row.ppid in rows else None for pid, row in rows.items()}
    visited: set[int] = set()
    for pid in rows:
        chain: list[int] = []
        ancestor: int | None = pid
        while ancestor is not None and ancestor not in visited:
            visited.add(ancestor)
            chain.append(ancestor)
            ancestor = parents[ancestor]
        if ancestor in chain:
            parents[chain[-1]] = None
    return parents


def _leaves_first(parents: Mapping[int, int | None]) -> list[int]:
    """The PIDs, each before its parent."""
    children: defaultdict[int | None, list[int]] = defaultdict(list)
    for pid, parent in parents.items():
        children[parent].append(pid)
    order = list(children[None])
    for pid in order:  # grows during the iteration: breadth first
        order += children[pid]
    return order[::-1]
