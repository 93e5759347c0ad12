"""Makes readings and snapshots from records again. Pure.

Snapshots come from the same :func:`~cpuwatch.accounting.usage.account` as live ones, so a snapshot that is replayed is
equal to the one that was live.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, compress
from operator import add, attrgetter
from typing import Any, cast

from msgspec.structs import replace

from cpuwatch.accounting.reaped import NO_CARRY, Carry
from cpuwatch.accounting.usage import account
from cpuwatch.errors import ReadingOrderError, RecordingDamagedError
from cpuwatch.model import CgroupTimes, CpuTimes, MachineTimes, ProcessTimes, Reading, Snapshot
from cpuwatch.recording.cgroup_changes import cgroups_after
from cpuwatch.recording.clock_time import time_of
from cpuwatch.recording.records import CPU_KINDS, Context, Identity, KeyRecord, TickRecord

__all__ = ["Replay"]

_GROWTHS = ("cpu_ns", "user_ns", "system_ns", "children_ns")
_ROWS = (*_GROWTHS, "statuses")


class Replay:
    """The state of a machine after a key record and the tick records that followed.

    ``replayed`` is the number of records that fitted. The next one raises
    :class:`~cpuwatch.errors.RecordingDamagedError`.
    """

    def __init__(self, key: KeyRecord) -> None:
        self._run = key.run
        self._carry = NO_CARRY
        self._processes: dict[int, ProcessTimes] = {}
        self._identities: dict[int, Identity] = {}
        self._context: Context | None = None
        self._cpus: list[int] = []
        self._load_average: tuple[float, float, float] | None = None
        self._pressure_ns: int | None = None
        self._cgroups: dict[str, CgroupTimes] = {}
        self._is_in_order = True
        self._tick = key.tick
        self.replayed: int = 0
        self._update(key.tick)
        self._reading: Reading | None = None

    def reading(self) -> Reading:
        """The reading of the last record."""
        if self._reading is None:
            self._reading = self._current_reading()
        return self._reading

    def snapshots(self, records: list[TickRecord]) -> Iterator[Snapshot]:
        """The snapshots of the records that follow, each as soon as it is computed."""
        for record in records:
            snapshot = self.next(record)
            if snapshot is not None:
                yield snapshot

    def chosen(self, records: Sequence[TickRecord], indexes: Iterable[int]) -> Iterator[tuple[int, Snapshot]]:
        """The snapshots of the records at these ascending indexes, each as soon as it is computed."""
        begin = 0
        for index in indexes:
            self.skip(records[begin:index])
            snapshot = self.next(records[index])
            if snapshot is not None:
                yield index, snapshot
            begin = index + 1

    def next(self, record: TickRecord) -> Snapshot | None:
        """Apply a record, and return its snapshot; None if none was made from this reading."""
        earlier, carry = self.reading(), self._carry
        self._apply(record)
        if not record.sequence:
            self.replayed += 1
            return None
        later = self.reading()
        try:
            snapshot, _ = account(earlier, later, carry, sequence=record.sequence)
        except (ReadingOrderError, ArithmeticError, ValueError) as error:
            raise RecordingDamagedError(f"reading {record.number} does not fit the one before") from error
        self.replayed += 1
        sampling = replace(
            snapshot.sampling,
            lateness_seconds=record.lateness_ns / 1e9,
            missed_ticks=record.missed_ticks,
            failed_ticks=record.failed_ticks,
            run=self._run,
        )
        return replace(snapshot, sampling=sampling)

    def skip(self, records: Sequence[TickRecord]) -> None:
        """Apply records without computing their snapshots.

        If one does not fit, those before it have been applied.
        """
        joint, cgroups = self._joint_record(records), self._joint_cgroups(records)
        if joint is None or cgroups is None:
            for record in records:
                self._apply(record)
                self.replayed += 1
            return
        for record in records:
            self._update_machine(record)
            if record.excess_ns is not None:
                self._carry = Carry(record.excess_ns)
        self._update_processes(joint)
        self._cgroups = cgroups
        self._tick = records[-1]
        self._reading = None
        self.replayed += len(records)

    def _joint_record(self, records: Sequence[TickRecord]) -> TickRecord | None:
        """What these records change about processes, as one record: to apply them one by one takes three times as long.

        None if that is necessary: if a PID was used again, or if a record is invalid.
        """
        if len(records) <= 1:
            return None
        known, removed = set(self._processes), set[int]()
        identities: dict[int, Identity] = {}
        for number, record in enumerate(records, start=self._tick.number + 1):
            is_usual = record.number == number and record.order is None and len(record.load_average or [0]) == 1
            if not is_usual or not known.issuperset(record.removed):
                return None
            known.difference_update(record.removed)
            removed.update(record.removed)
            identities.update((identity.pid, identity) for identity in record.identities)
            if not removed.isdisjoint(record.pids):
                return None
            if not known.issuperset(record.pids):
                new = set(record.pids) - known
                if not all(pid in identities or pid in self._identities for pid in new):
                    return None
                known |= new
            lists = [getattr(record, name) for name in _ROWS]
            if {len(values) for values in (*lists, _waits(record))} != {len(record.pids)}:
                return None
        pids = _joined(records, "pids")
        statuses = dict(zip(pids, _joined(records, "statuses"), strict=True))
        changed = sorted(statuses.keys() - removed)
        sums = (_sums(pids, _joined(records, name)) for name in _GROWTHS)
        cpu_ns, user_ns, system_ns, children_ns = ([of_pid.get(pid, 0) for pid in changed] for of_pid in sums)
        return replace(
            records[-1],
            removed=[pid for pid in removed if pid in self._processes],
            identities=[identity for pid, identity in identities.items() if pid not in removed],
            pids=changed,
            cpu_ns=cpu_ns,
            user_ns=user_ns,
            system_ns=system_ns,
            children_ns=children_ns,
            statuses=[statuses[pid] for pid in changed],
            wait_ns=self._joint_waits(pids, list(chain.from_iterable(map(_waits, records))), changed),
        )

    def _joint_cgroups(self, records: Sequence[TickRecord]) -> dict[str, CgroupTimes] | None:
        """The cgroups after these records; None if one does not fit."""
        try:
            return cgroups_after(self._cgroups, [record.cgroups for record in records if record.cgroups is not None])
        except (LookupError, ValueError):
            return None

    def _joint_waits(
        self, pids: Sequence[int], growths: Sequence[int | None], changed: Iterable[int]
    ) -> list[int | None]:
        """The growth of the run delay of each changed process, from the changes of all ticks in their order."""
        if None not in growths:
            sums = _sums(pids, cast("Sequence[int]", growths))
            return [sums.get(pid, 0) for pid in changed]
        before = {pid: known.wait_ns for pid, known in self._processes.items()}
        after = before.copy()
        for pid, growth in zip(pids, growths, strict=True):
            after[pid] = _grown(after.get(pid), growth)
        return [_difference(before.get(pid), after[pid]) for pid in changed]

    def _apply(self, record: TickRecord) -> None:
        if record.number != self._tick.number + 1:
            raise RecordingDamagedError(f"reading {record.number} follows reading {self._tick.number}")
        self._update(record)
        self._tick = record
        self._reading = None

    def _update(self, record: TickRecord) -> None:
        try:
            self._update_machine(record)
            self._update_processes(record)
            if record.cgroups is not None:
                self._cgroups = cgroups_after(self._cgroups, [record.cgroups])
            if record.excess_ns is not None:
                self._carry = Carry(record.excess_ns)
        except (LookupError, ValueError) as error:
            raise RecordingDamagedError(f"reading {record.number} does not fit the one before") from error

    def _update_machine(self, record: TickRecord) -> None:
        is_relative = bool(self._cpus)
        if record.context is not None:
            is_relative = self._context is not None and record.context.cpus == self._context.cpus
            self._context = record.context
        self._cpus = list(map(add, record.cpus, self._cpus)) if is_relative else record.cpus
        if record.load_average is not None:
            (self._load_average,) = record.load_average
        self._pressure_ns = _grown(self._pressure_ns, record.pressure_ns)

    def _update_processes(self, record: TickRecord) -> None:
        # A new dict: the last reading keeps the old one.
        processes = self._processes.copy()
        for pid in record.removed:
            del processes[pid]
        for identity in record.identities:
            self._identities[identity.pid] = identity
        is_in_order = self._is_in_order
        last_pid = next(reversed(processes), 0)
        rows = zip(
            record.pids,
            record.cpu_ns,
            record.user_ns,
            record.system_ns,
            record.children_ns,
            record.statuses,
            _waits(record),
            strict=True,
        )
        for pid, cpu_ns, user_ns, system_ns, children_ns, (state, threads), wait_ns in rows:
            known = processes.get(pid)
            if known is None:
                is_in_order &= pid > last_pid
                last_pid = max(pid, last_pid)
            else:
                cpu_ns += known.cpu_ns  # noqa: PLW2901  the growth becomes the counter
                user_ns += known.user_ns  # noqa: PLW2901
                system_ns += known.system_ns  # noqa: PLW2901
                children_ns += known.children_ns or 0  # noqa: PLW2901
                wait_ns = _grown(known.wait_ns, wait_ns)  # noqa: PLW2901
            identity = self._identities[pid]
            processes[pid] = ProcessTimes(
                pid,
                identity.key,
                identity.start_ns,
                identity.start_time,
                identity.first_seen,
                identity.ppid,
                identity.name,
                identity.user,
                state,
                threads,
                cpu_ns,
                user_ns,
                system_ns,
                children_ns if identity.has_children_time else None,
                identity.cgroup,
                identity.command_line,
                identity.pid_namespace,
                identity.user_id,
                wait_ns,
                identity.cgroup if isinstance(identity.cpu_cgroup, bool) else identity.cpu_cgroup,
            )
        if record.order is not None:
            processes = {pid: processes[pid] for pid in record.order}
            is_in_order = False
        elif not is_in_order:
            processes = dict(sorted(processes.items()))
            is_in_order = True
        for pid in record.removed:
            if pid not in processes:
                del self._identities[pid]
        self._processes = processes
        self._is_in_order = is_in_order

    def _current_reading(self) -> Reading:
        tick, context = self._tick, self._context
        if context is None:
            raise RecordingDamagedError("the first reading has no context")
        try:
            time = time_of(tick.time_us)
        except OverflowError as error:
            raise RecordingDamagedError(f"reading {tick.number} has no valid time") from error
        return Reading(
            time=time,
            monotonic_ns=tick.monotonic_ns,
            uptime_ns=tick.uptime_ns,
            sweep_ns=tick.sweep_ns,
            host=context.host,
            machine=self._machine(context),
            processes=self._processes,
            start_resolution_ns=context.start_resolution_ns,
            unreadable=context.unreadable,
            exits=tick.exits,
            exited_names=context.exited_names,
            lost_exits=context.lost_exits,
            unexpected_messages=context.unexpected_messages,
            present_cpus=context.present_cpus,
            hidden_parents=frozenset(context.hidden_parents),
            hidden=context.hidden,
            cgroups=self._cgroups,
        )

    def _machine(self, context: Context) -> MachineTimes:
        values = iter(self._cpus)
        try:
            times = {
                number: CpuTimes(**{kind: next(values) for bit, kind in enumerate(CPU_KINDS) if mask >> bit & 1})
                for number, mask in context.cpus
            }
            return MachineTimes(times.pop(-1), times, self._load_average, self._pressure_ns)
        except (StopIteration, TypeError, KeyError) as error:
            raise RecordingDamagedError("the counters of the CPUs are incomplete") from error


def _waits(record: TickRecord) -> Sequence[int | None]:
    return [None] * len(record.pids) if record.wait_ns is None else record.wait_ns


def _grown(counter_ns: int | None, growth_ns: int | None) -> int | None:
    return growth_ns if counter_ns is None or growth_ns is None else counter_ns + growth_ns


def _difference(earlier_ns: int | None, later_ns: int | None) -> int | None:
    return later_ns if earlier_ns is None or later_ns is None else later_ns - earlier_ns


def _joined(records: Sequence[TickRecord], name: str) -> list[Any]:
    return list(chain.from_iterable(map(attrgetter(name), records)))


def _sums(pids: Sequence[int], growths: Sequence[int]) -> dict[int, int]:
    """The sum of the growths of each PID. Most are 0: times other than ``cpu_ns`` are whole hundredths of a second."""
    sums: dict[int, int] = defaultdict(int)
    for pid, growth in zip(compress(pids, growths), filter(None, growths), strict=True):
        sums[pid] += growth
    return sums
