"""What used the CPU in a range of a recording."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from heapq import nlargest
from itertools import repeat
from typing import Any, TypeVar

from msgspec.structs import astuple

from cpuwatch.errors import QueryError
from cpuwatch.query.cgroup_name import unit_names
from cpuwatch.query.summary import (
    SUMMARY_GROUPS,
    ExitedSummary,
    GroupSummaries,
    GroupSummary,
    MachineSummary,
    ProcessSummaries,
    ProcessSummary,
    Rest,
    SummaryAttribution,
    SummaryGroup,
)
from cpuwatch.recording.clock_time import time_us
from cpuwatch.recording.packed_processes import PackedProcesses, ProcessTable
from cpuwatch.recording.range_sums import RangeSums
from cpuwatch.recording.reader import Recording
from cpuwatch.recording.sums import Amount, ExitedKey, Key, MachineSums, ProcessId, ProcessKey, add_amounts, add_table
from cpuwatch.recording.sums_files import MAX_SHORT_LIVED
from cpuwatch.text import time_text

__all__ = ["summarize"]

_Key = TypeVar("_Key")


def summarize(
    recording: Recording,
    start: datetime,
    end: datetime,
    group_by: SummaryGroup | None = None,
    top: int | None = None,
) -> ProcessSummaries | GroupSummaries:
    """What each process or group used in the ticks with ``start < time <= end``, the largest first.

    At most ``top`` rows are listed, and the others are in ``rest``. The amounts of a row are rounded to a tenth of a
    millisecond in each segment and minute that is not replayed; ``rest`` contains the difference.

    Raises :class:`~cpuwatch.errors.QueryError` for an empty range or an unknown group, and
    :class:`~cpuwatch.errors.RecordingError` if the files cannot be read.
    """
    if start >= end:
        raise QueryError(f"empty range: {time_text(start)} is not before {time_text(end)}")
    if group_by is not None and group_by not in SUMMARY_GROUPS:
        raise QueryError(f"unknown group {group_by!r}: must be one of {', '.join(SUMMARY_GROUPS)}")
    slots = RangeSums(
        recording.segments,
        time_us(start),
        time_us(end),
        ("process", "exited") if group_by is None else (group_by,),
        is_complete=top is None or top > MAX_SHORT_LIVED,
    )
    machine = MachineSums()
    processes = _ProcessTotals()
    others: dict[Any, Amount] = {}
    for slot in slots:
        machine.add(slot.machine)
        for dimension, table in slot.amounts.items():
            if dimension == "process":
                processes.add(table)
            else:
                add_table(others, table)
    # Estimates are in the rows, but not in the exited time of the machine.
    estimated_ns = max(0, sum(amount.exited_ns for amount in others.values()) - machine.exited_ns)
    head = _head(start, end, machine, estimated_ns, 60.0 if slots.omits_ticks else None)
    if group_by is None:
        return _by_process(head, machine, processes, others, estimated_ns, top)
    return _by_group(head, machine, group_by, others, estimated_ns, top)


class _ProcessTotals:
    """The amounts of processes. A process is the same one under any name."""

    def __init__(self) -> None:
        self.amounts: dict[ProcessId, Amount] = {}
        self._last: dict[ProcessId, tuple[ProcessTable, int] | ProcessKey] = {}

    def add(self, table: Mapping[Key, Amount]) -> None:
        if isinstance(table, PackedProcesses):
            ids = table.table.ids
            self._last.update(zip(ids, zip(repeat(table.table), range(len(ids)), strict=False), strict=True))
            add_amounts(self.amounts, zip(ids, table.own_ns, table.exited_ns, table.peaks, strict=True))
            return
        keys = [key for key in table if isinstance(key, ProcessKey)]
        self._last.update(((key.boot_id, key.key), key) for key in keys)
        add_amounts(self.amounts, (((key.boot_id, key.key), *astuple(table[key])) for key in keys))

    def key(self, process: ProcessId) -> ProcessKey:
        """What the process was called last."""
        last = self._last[process]
        return last if isinstance(last, ProcessKey) else last[0].key(last[1])


def _largest(sums: Mapping[_Key, Amount], top: int | None) -> list[tuple[_Key, Amount]]:
    """The largest amounts; of equal ones, that of the lower key."""
    rows = list(sums.items())
    if top is not None and top < len(rows):
        # The order of the keys only matters for amounts that are as large as the last one.
        least_ns = min(nlargest(top, (_total_ns(amount) for _, amount in rows)), default=0)
        rows = [row for row in rows if _total_ns(row[1]) >= least_ns]
    return sorted(rows, key=lambda row: (-_total_ns(row[1]), repr(row[0])))[:top]


def _head(
    start: datetime, end: datetime, machine: MachineSums, estimated_ns: int, resolution_seconds: float | None
) -> dict[str, Any]:
    """The fields that all summaries have."""
    return {
        "start": start,
        "end": end,
        "covered_seconds": machine.elapsed_ns / 1e9,
        "ticks": machine.ticks,
        "resolution_seconds": resolution_seconds,
        "machine": MachineSummary(
            machine.busy_ns / 1e9,
            machine.capacity_ns / 1e9,
            _percent(machine.busy_ns, machine.capacity_ns),
            machine.peak / 100,
        ),
        "attribution": SummaryAttribution(
            machine.own_ns / 1e9,
            machine.exited_ns / 1e9,
            machine.unattributed_ns / 1e9,
            machine.excess_ns / 1e9,
            estimated_ns / 1e9,
        ),
    }


def _by_process(
    head: dict[str, Any],
    machine: MachineSums,
    processes: _ProcessTotals,
    exited: Mapping[ExitedKey, Amount],
    estimated_ns: int,
    top: int | None,
) -> ProcessSummaries:
    rows = _largest(processes.amounts, top)
    exited_rows = _largest(exited, top)
    return ProcessSummaries(
        **head,
        processes=[_process(processes.key(process), amount, machine) for process, amount in rows],
        rest=Rest(
            (machine.own_ns - sum(amount.own_ns for _, amount in rows)) / 1e9,
            (machine.exited_ns - sum(amount.exited_ns for _, amount in rows)) / 1e9,
        ),
        exited=[
            ExitedSummary(key.name, key.user, key.parent_name, amount.exited_ns / 1e9) for key, amount in exited_rows
        ],
        exited_rest_seconds=(machine.exited_ns + estimated_ns - sum(amount.exited_ns for _, amount in exited_rows))
        / 1e9,
    )


def _by_group(
    head: dict[str, Any],
    machine: MachineSums,
    group_by: SummaryGroup,
    groups: Mapping[str | None, Amount],
    estimated_ns: int,
    top: int | None,
) -> GroupSummaries:
    rows = _largest(groups, top)
    names = unit_names(path for path in groups if path is not None) if group_by == "cgroup" else {}
    exited_ns = machine.exited_ns + estimated_ns - sum(amount.exited_ns for _, amount in rows)
    own_ns = machine.own_ns - sum(amount.own_ns for _, amount in rows)
    return GroupSummaries(
        **head,
        group_by=group_by,
        groups=[
            GroupSummary(
                names.get(key, key) if key is not None else None,
                key if group_by == "cgroup" else None,
                _total_ns(amount) / 1e9,
                amount.exited_ns / 1e9,
                _percent(_total_ns(amount), machine.elapsed_ns),
                amount.peak / 100,
                _percent(_total_ns(amount), machine.capacity_ns),
            )
            for key, amount in rows
        ],
        rest=Rest((own_ns + exited_ns) / 1e9, exited_ns / 1e9),
    )


def _process(key: ProcessKey, amount: Amount, machine: MachineSums) -> ProcessSummary:
    return ProcessSummary(
        key.key,
        key.boot_id,
        key.pid,
        key.name,
        key.user,
        key.cgroup,
        amount.own_ns / 1e9,
        amount.exited_ns / 1e9,
        _total_ns(amount) / 1e9,
        _percent(_total_ns(amount), machine.elapsed_ns),
        amount.peak / 100,
        _percent(_total_ns(amount), machine.capacity_ns),
    )


def _total_ns(amount: Amount) -> int:
    return amount.own_ns + amount.exited_ns


def _percent(part_ns: int, of_ns: int) -> float | None:
    return 100 * part_ns / of_ns if of_ns else None
