"""The arithmetic of CPU accounting: two readings in, one snapshot out. Pure.

Impossible values follow the rule of `below`: a negative delta is absent (``None``), neither 0 nor clamped, because a
wrong number is worse than none. A process's own counter is trusted even if it grew by more than the CPUs can provide:
it is exact, and a container may see only some of the CPUs (lxcfs).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from itertools import compress, count, filterfalse

from msgspec.structs import replace

from cpuwatch.accounting.active_rows import UNKNOWN_DENIAL, Change, Denial, active_columns, change_of
from cpuwatch.accounting.ancestry import Ancestry
from cpuwatch.accounting.cgroups import cgroup_usage, throttled_shares
from cpuwatch.accounting.exited import (
    ExitedShare,
    bound_estimates,
    claimed_by_messages,
    match_exits,
    share_credits,
)
from cpuwatch.accounting.machine import machine_usage, with_processes
from cpuwatch.accounting.reaped import NO_CARRY, Carry, credit_children, slack_ns
from cpuwatch.accounting.reapers import Candidates
from cpuwatch.accounting.span import Span
from cpuwatch.accounting.verdict import stolen_share
from cpuwatch.model import (
    Attribution,
    CgroupUsage,
    ExitedUsage,
    ProcessTimes,
    Reading,
    Sampling,
    Snapshot,
)
from cpuwatch.packed_rows import PackedRows

__all__ = ["account", "usage"]


def usage(earlier: Reading, later: Reading, *, sequence: int = 1) -> Snapshot:
    """The usage of the machine and of each process between two readings of one boot.

    Rates are relative to the monotonic time between the readings. A process in both readings is charged with the growth
    of its CPU clock, and one that started inside the interval with all of its CPU time. An older process that is not in
    the earlier reading has no baseline, so its percentages are ``None``.

    Raises :class:`~cpuwatch.errors.ReadingOrderError` if the readings are of different boots or in the wrong order.
    Between two readings of the same instant all rates are ``None``.
    """
    return account(earlier, later, NO_CARRY, sequence=sequence)[0]


def account(earlier: Reading, later: Reading, carry: Carry, *, sequence: int = 1) -> tuple[Snapshot, Carry]:
    """:func:`usage` for consecutive intervals: takes the carry of the interval before, and returns the next one.

    This keeps the rounding of children's time from adding up over intervals.
    """
    span = Span.between(earlier, later)
    machine = machine_usage(earlier.machine, later.machine, span.interval_ns)
    records = list(later.processes.values())
    processes: PackedRows
    exited: list[ExitedUsage] = []
    cgroups: list[CgroupUsage] = []
    attribution = Attribution(None, None, None, None)
    if span.interval_ns:
        # The work on all processes runs in C. An idle process is the identical record in both readings, and costs only
        # this comparison.
        before = earlier.processes.get
        may_have_run = list(map(operator.is_not, records, map(before, later.processes)))
        places = list(compress(count(), may_have_run))
        changes = [change_of(records[place], before(records[place].pid), span) for place in places]
        vanished = _vanished(earlier.processes, later.processes, changes)
        growth_ns = {change.record.pid: change.children_ns for change in changes if change.children_ns}
        ancestry = Ancestry(earlier, later, vanished)
        exited_processes = match_exits(later.exits, vanished, ancestry.reapers_of_exit)
        reaped = credit_children(
            vanished,
            lambda process: _reapers(process, ancestry, changes),
            growth_ns,
            later.start_resolution_ns,
            carry,
            claimed_by_messages(exited_processes),
        )
        credits_ns, carry = reaped.credits_ns, reaped.carry
        denial = Denial(throttled_shares(earlier.cgroups, later.cgroups, changes, span), stolen_share(machine))
        columns = active_columns(changes, credits_ns, span, denial)
        idle: list[ProcessTimes | None] = [*records]
        for place in places:
            idle[place] = None
        processes = PackedRows(idle, places, columns)
        plausible_ns = {pid: ns for pid, ns in credits_ns.items() if span.is_plausible_credit(ns)}
        # On a platform without children's time the use of exited processes is unknown.
        has_children_time = any(record.children_ns is not None for record in records)
        exited_ns = sum(plausible_ns.values()) if has_children_time else None
        attribution = _attribution(columns.get("machine_percent", ()), exited_ns, machine.cpu_percent, span)
        shares = share_credits(
            exited_processes,
            reaped.reaper_of,
            plausible_ns,
            some_lost=later.lost_exits != earlier.lost_exits,
            slack_ns=slack_ns(later.start_resolution_ns),
        )
        exited = [
            _exited(share, later.processes, span)
            for share in bound_estimates(shares, _unattributed_ns(attribution, span))
        ]
        cgroups = cgroup_usage(earlier.cgroups, later.cgroups, changes, plausible_ns, span)
        machine = with_processes(machine, columns, span.logical_cpus)
    else:
        changes = [Change(record, survived=False) for record in records]
        processes = PackedRows(
            [None] * len(records), range(len(records)), active_columns(changes, {}, span, UNKNOWN_DENIAL)
        )
    snapshot = Snapshot(
        sequence=sequence,
        time=later.time,
        interval_seconds=span.interval_ns / 1e9,
        sweep_seconds=later.sweep_ns / 1e9,
        host=later.host,
        machine=machine,
        attribution=attribution,
        processes=processes,
        exited=exited,
        exited_names=later.exited_names,
        sampling=Sampling(
            unreadable=later.unreadable,
            lost_exits=later.lost_exits,
            unexpected_messages=later.unexpected_messages,
            hidden=later.hidden,
        ),
        cgroups=cgroups,
    )
    return snapshot, carry


def _reapers(process: ProcessTimes, ancestry: Ancestry, changes: Iterable[Change]) -> Candidates:
    """The candidates for a reaper. If an ancestor is hidden, any process that is not younger and grew may be it."""
    found = ancestry.reapers_of_process(process)
    if found.is_complete:
        return found
    others = (change.record for change in changes if change.children_ns and change.record.pid not in found.pids)
    return replace(found, others=tuple(other.pid for other in others if other.start_ns <= process.start_ns))


def _vanished(
    earlier: Mapping[int, ProcessTimes], later: Mapping[int, ProcessTimes], changes: list[Change]
) -> dict[int, ProcessTimes]:
    """The processes that did not survive the interval."""
    new_pids = {change.record.pid for change in changes if not change.survived}
    if len(later) - len(new_pids) == len(earlier):
        return {}
    gone = filterfalse(later.__contains__, earlier)
    replaced = filter(earlier.__contains__, new_pids)
    return {pid: earlier[pid] for pid in (*gone, *replaced)}


def _exited(share: ExitedShare, processes: Mapping[int, ProcessTimes], span: Span) -> ExitedUsage:
    parent = None if share.parent_pid is None else processes.get(share.parent_pid)
    cpu_percent = span.percent(share.cpu_ns)
    return ExitedUsage(
        name=share.name,
        user=share.user,
        parent_pid=share.parent_pid,
        parent_name=None if parent is None else parent.name,
        count=share.count,
        cpu_percent=cpu_percent,
        machine_percent=None if cpu_percent is None else cpu_percent / span.logical_cpus,
        estimated=share.estimated,
    )


def _attribution(
    machine_percents: Iterable[float | None], exited_ns: int | None, busy_percent: float | None, span: Span
) -> Attribution:
    in_processes = sum(filter(None, machine_percents))
    in_exited = None if exited_ns is None else 100 * exited_ns / span.capacity_ns
    if busy_percent is None:
        return Attribution(in_processes, in_exited, None, None)
    rest = busy_percent - in_processes - (in_exited or 0.0)
    return Attribution(in_processes, in_exited, max(0.0, rest), max(0.0, -rest))


def _unattributed_ns(attribution: Attribution, span: Span) -> float | None:
    percent = attribution.unattributed_percent
    return None if percent is None else percent / 100 * span.capacity_ns
