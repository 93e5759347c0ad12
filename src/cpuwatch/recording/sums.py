"""Sums of CPU time over slots of ticks: what a ranking of hours or days is made of. Pure.

A slot is a number of consecutive ticks. In each, every process, name, user and cgroup has its CPU time, that of what
exited, and its peak. Amounts are whole nanoseconds, so that the order of additions does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar, get_args

from msgspec import Struct

from cpuwatch.accounting.kernel_threads import KTHREADD, summed_name
from cpuwatch.model import ProcessTimes, Snapshot
from cpuwatch.packed_rows import PackedRows
from cpuwatch.query.cgroup_name import unit_path

__all__ = [
    "DIMENSIONS",
    "Amount",
    "Dimension",
    "ExitedKey",
    "Key",
    "MachineSums",
    "ProcessId",
    "ProcessKey",
    "SegmentSums",
    "Slot",
    "add_amounts",
    "add_slot",
    "add_table",
    "add_tick",
    "empty_slot",
    "process_ids",
]

Dimension = Literal["process", "name", "user", "cgroup", "exited"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)


class ProcessKey(Struct, frozen=True, array_like=True, gc=False):
    """A process of one boot, and what it was called in this slot."""

    boot_id: str
    key: str
    pid: int
    name: str
    user: str | None
    cgroup: str | None


class ExitedKey(Struct, frozen=True, array_like=True, gc=False):
    """Processes that exited, by their name, their user and the name of the process that waited for them."""

    name: str | None
    user: str | None
    parent_name: str | None


_FIELDS = ("key", "pid", "ppid", "name", "user", "cgroup", "cpu_percent", "exited_percent")

# The same few hundred cgroups come up every second.

Key = ProcessKey | ExitedKey | str | None

_Key = TypeVar("_Key")

ProcessId = tuple[str, str]
"""The boot ID and the key of a process: it stays the same one when its name changes."""


class Amount(Struct, gc=False):
    """CPU time in nanoseconds: ``own_ns`` of living processes, ``exited_ns`` of exited ones.

    ``peak_percent`` is the highest sum of both in one tick, in hundredths of a percent of one CPU.
    """

    own_ns: int = 0
    exited_ns: int = 0
    peak: int = 0


class MachineSums(Struct, gc=False):
    """The machine over a slot, in nanoseconds of CPU time: ``busy = own + exited + unattributed - excess``.

    ``capacity_ns`` is the elapsed time times the number of CPUs; ``ticks`` the number of snapshots. ``peak`` is the
    highest ``machine.cpu_percent`` of a tick, in hundredths of a percent.
    """

    ticks: int = 0
    elapsed_ns: int = 0
    capacity_ns: int = 0
    busy_ns: int = 0
    own_ns: int = 0
    exited_ns: int = 0
    unattributed_ns: int = 0
    excess_ns: int = 0
    peak: int = 0

    def add(self, other: MachineSums) -> None:
        """Add the sums of another slot."""
        self.ticks += other.ticks
        self.elapsed_ns += other.elapsed_ns
        self.capacity_ns += other.capacity_ns
        self.busy_ns += other.busy_ns
        self.own_ns += other.own_ns
        self.exited_ns += other.exited_ns
        self.unattributed_ns += other.unattributed_ns
        self.excess_ns += other.excess_ns
        self.peak = max(self.peak, other.peak)


class Slot(Struct, gc=False):
    """Sums over consecutive ticks whose times are above ``begin_us`` and at most ``end_us``."""

    begin_us: int
    end_us: int
    machine: MachineSums
    amounts: dict[Dimension, dict[Key, Amount]]


class SegmentSums(Struct, gc=False):
    """The sums of one segment or of consecutive ones: a slot over all ticks, and slots of a minute.

    ``total`` is None if there are no snapshots. ``started`` has the processes that are not in the first reading, and
    ``ended`` those that are not in the last one: what is in both is in no other segment. If ``is_complete`` is false,
    only the largest of those are in the amounts.
    """

    total: Slot | None
    minutes: list[Slot]
    started: set[ProcessId]
    ended: set[ProcessId]
    is_complete: bool = True


def add_tick(into: Slot, begin_us: int, end_us: int, processes: Mapping[int, ProcessTimes], snapshot: Snapshot) -> None:
    """Add a single tick: a snapshot and the processes of its reading."""
    interval_ns = round(snapshot.interval_seconds * 1e9)
    _extend(into, begin_us, end_us, _machine(snapshot, interval_ns))
    boot_id = snapshot.host.boot_id
    name_of = _summing_names(processes)
    of_processes: list[tuple[Key, int, int, int]] = []
    names, users, cgroups, exited = _TickTable(), _TickTable(), _TickTable(), _TickTable()
    for key, pid, ppid, name, user, cgroup, own_percent, exited_percent in _ran(snapshot):
        if own_percent is None:
            continue
        own_ns, exited_ns = _ns(own_percent, interval_ns), _ns(exited_percent, interval_ns)
        if own_ns or exited_ns:
            process = ProcessKey(boot_id, key, pid, name, user, cgroup)
            of_processes.append((process, own_ns, exited_ns, _peak(own_ns + exited_ns, interval_ns)))
        if own_ns:
            names.add_own(name_of(name, ppid), own_ns)
            users.add_own(user, own_ns)
            cgroups.add_own(None if cgroup is None else unit_path(cgroup), own_ns)
    for one in snapshot.exited:
        exited_ns = _ns(one.cpu_percent, interval_ns)
        if exited_ns:
            # The groups of what exited are those of cpuwatch.query.group.
            parent = processes.get(one.parent_pid or 0)
            cgroup = None if parent is None else parent.cgroup
            name = None if one.name is None else name_of(one.name, one.parent_pid)
            exited.add_exited(ExitedKey(name, one.user, one.parent_name), exited_ns)
            names.add_exited(name, exited_ns)
            users.add_exited(one.user if one.user is not None or parent is None else parent.user, exited_ns)
            cgroups.add_exited(None if cgroup is None else unit_path(cgroup), exited_ns)
    add_amounts(into.amounts["process"], of_processes)
    for dimension, tick in zip(DIMENSIONS[1:], (names, users, cgroups, exited), strict=True):
        add_amounts(into.amounts[dimension], tick.rows(interval_ns))


class _TickTable:
    """The amounts of a dimension in one tick. The peak is that of their sums."""

    __slots__ = ("_exited_ns", "_own_ns")

    def __init__(self) -> None:
        self._own_ns: dict[Key, int] = {}
        self._exited_ns: dict[Key, int] = {}

    def add_own(self, key: Key, own_ns: int) -> None:
        self._own_ns[key] = self._own_ns.get(key, 0) + own_ns

    def add_exited(self, key: Key, exited_ns: int) -> None:
        self._exited_ns[key] = self._exited_ns.get(key, 0) + exited_ns

    def rows(self, interval_ns: int) -> Iterator[tuple[Key, int, int, int]]:
        """For :func:`add_amounts`."""
        for key in {**self._own_ns, **self._exited_ns}:
            own_ns, exited_ns = self._own_ns.get(key, 0), self._exited_ns.get(key, 0)
            yield key, own_ns, exited_ns, _peak(own_ns + exited_ns, interval_ns)


def _peak(used_ns: int, interval_ns: int) -> int:
    return 10_000 * used_ns // interval_ns if interval_ns else 0


def add_amounts(sums: dict[_Key, Amount], rows: Iterable[tuple[_Key, int, int, int]]) -> None:
    """Add rows to the sums: a key, and the fields of an :class:`Amount`."""
    for key, own_ns, exited_ns, peak in rows:
        amount = sums.get(key)
        if amount is None:
            sums[key] = Amount(own_ns, exited_ns, peak)
        else:
            amount.own_ns += own_ns
            amount.exited_ns += exited_ns
            amount.peak = max(amount.peak, peak)


def add_table(sums: dict[_Key, Amount], table: Mapping[_Key, Amount]) -> None:
    """Add the amounts of another slot to the sums."""
    add_amounts(sums, ((key, amount.own_ns, amount.exited_ns, amount.peak) for key, amount in table.items()))


def empty_slot(begin_us: int) -> Slot:
    """A slot to which others are added."""
    return Slot(begin_us, begin_us, MachineSums(), {name: {} for name in DIMENSIONS})


def add_slot(into: Slot, slot: Slot) -> None:
    """Add the sums of another slot."""
    _extend(into, slot.begin_us, slot.end_us, slot.machine)
    for dimension, table in slot.amounts.items():
        add_table(into.amounts[dimension], table)


def _extend(into: Slot, begin_us: int, end_us: int, machine: MachineSums) -> None:
    into.begin_us = min(into.begin_us, begin_us)
    into.end_us = max(into.end_us, end_us)
    into.machine.add(machine)


def process_ids(slot: Slot) -> set[ProcessId]:
    """The processes of a slot."""
    return {(key.boot_id, key.key) for key in slot.amounts["process"] if isinstance(key, ProcessKey)}


def _machine(snapshot: Snapshot, interval_ns: int) -> MachineSums:
    attribution = snapshot.attribution
    capacity_ns = interval_ns * snapshot.host.logical_cpus
    return MachineSums(
        ticks=1,
        elapsed_ns=interval_ns,
        capacity_ns=capacity_ns,
        busy_ns=_ns(snapshot.machine.cpu_percent, capacity_ns),
        own_ns=_ns(attribution.processes_percent, capacity_ns),
        exited_ns=_ns(attribution.exited_percent, capacity_ns),
        unattributed_ns=_ns(attribution.unattributed_percent, capacity_ns),
        excess_ns=_ns(attribution.excess_percent, capacity_ns),
        peak=round(100 * (snapshot.machine.cpu_percent or 0)),
    )


def _ns(percent: float | None, of_ns: int) -> int:
    return round(percent * of_ns / 100) if percent else 0


def _ran(snapshot: Snapshot) -> Iterator[tuple[Any, ...]]:
    """The fields of the processes that may have run. Whole rows would take half the time of the sums."""
    rows = snapshot.processes
    return rows.fields_of_fresh(_FIELDS) if isinstance(rows, PackedRows) else iter(())


def _summing_names(processes: Mapping[int, ProcessTimes]) -> Callable[[str, int | None], str]:
    """As :func:`~cpuwatch.accounting.kernel_threads.summing_names`, without a walk over all rows."""
    second = processes.get(KTHREADD)
    return summed_name if second is None or second.name == "kthreadd" else lambda name, _: name
