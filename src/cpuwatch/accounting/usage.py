"""The arithmetic of CPU accounting: two readings in, one snapshot out. Pure.

Impossible values follow the rule of `below`: a negative delta is absent (``None``), neither 0 nor clamped, because a
wrong number is worse than none. A process's own counter is trusted even if it grew by more than the CPUs can provide:
it is exact, and a container may see only some of the CPUs (lxcfs).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.ancestry import Ancestry
from cpuwatch.accounting.exited import (
    ExitedShare,
    bound_estimates,
    claimed_by_messages,
    match_exits,
    share_credits,
)
from cpuwatch.accounting.machine import machine_usage
from cpuwatch.accounting.reaped import NO_CARRY, Carry, credit_children, slack_ns
from cpuwatch.accounting.reapers import Candidates
from cpuwatch.errors import ReadingOrderError
from cpuwatch.model import (
    Attribution,
    ExitedUsage,
    ProcessTimes,
    ProcessUsage,
    Reading,
    Sampling,
    Snapshot,
)
from cpuwatch.packed_rows import PackedRows

__all__ = ["account", "usage"]


class _Span(Struct, frozen=True, gc=False):
    """The interval between two readings, and its limits."""

    interval_ns: int
    logical_cpus: int
    capacity_ns: int
    """The CPU time of the visible CPUs."""
    max_ns: int
    """The CPU time of all present CPUs."""
    tolerance_ns: int
    """How far counters can exceed that: sweeps take time and ticks are rounded."""
    started_after_ns: int
    """A process that started at or after this instant (since boot) started inside the interval."""

    def percent(self, amount_ns: float | None) -> float | None:
        """The amount in percent of one CPU over the interval; None if the amount is unknown or the interval is 0."""
        return None if amount_ns is None or not self.interval_ns else 100 * amount_ns / self.interval_ns


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
    span = _span(earlier, later)
    machine = machine_usage(earlier.machine, later.machine)
    processes: Sequence[ProcessUsage] = []
    exited: list[ExitedUsage] = []
    attribution = Attribution(None, None, None, None)
    if span.interval_ns:
        # The work on all processes runs in C. An idle process is the identical record in both readings, and costs only
        # this comparison and the choice of its row below.
        before = earlier.processes.get
        may_have_run = list(map(operator.is_not, later.processes.values(), map(before, later.processes)))
        changes = [_change(now, before(now.pid), span) for now in compress(later.processes.values(), may_have_run)]
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
        active_rows = [_active_row(change, credits_ns, span) for change in changes]
        next_row = iter(active_rows).__next__
        rows = [
            next_row() if ran else record.at_rest
            for ran, record in zip(may_have_run, later.processes.values(), strict=True)
        ]
        processes = PackedRows(rows, may_have_run)
        plausible_ns = {pid: ns for pid, ns in credits_ns.items() if _is_plausible_credit(ns, span)}
        # On a platform without children's time the use of exited processes is unknown.
        has_children_time = any(record.children_ns is not None for record in later.processes.values())
        exited_ns = sum(plausible_ns.values()) if has_children_time else None
        attribution = _attribution(active_rows, exited_ns, machine.cpu_percent, span)
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
    else:
        processes = [_row(record, span) for record in later.processes.values()]
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
    )
    return snapshot, carry


def _reapers(process: ProcessTimes, ancestry: Ancestry, changes: Iterable[_Change]) -> Candidates:
    """The candidates for a reaper. If an ancestor is hidden, any process that is not younger and grew may be it."""
    found = ancestry.reapers_of_process(process)
    if found.is_complete:
        return found
    others = (change.record for change in changes if change.children_ns and change.record.pid not in found.pids)
    return replace(found, others=tuple(other.pid for other in others if other.start_ns <= process.start_ns))


class _Change(Struct, frozen=True, gc=False):
    """How much the counters of a process that may have run grew in the interval; None without a baseline."""

    record: ProcessTimes
    survived: bool
    cpu_ns: int | None = None
    user_ns: int = 0
    system_ns: int = 0
    children_ns: int | None = None


def _change(record: ProcessTimes, before: ProcessTimes | None, span: _Span) -> _Change:
    children_ns = record.children_ns
    if before is not None and before.key == record.key:
        if children_ns is not None:
            children_ns = None if before.children_ns is None else children_ns - before.children_ns
        return _Change(
            record,
            survived=True,
            cpu_ns=_plausible(record.cpu_ns - before.cpu_ns, span),
            user_ns=record.user_ns - before.user_ns,
            system_ns=record.system_ns - before.system_ns,
            children_ns=None if children_ns is None or children_ns < 0 else children_ns,
        )
    if record.start_ns >= span.started_after_ns:
        cpu_ns = _plausible(record.cpu_ns, span)
        return _Change(record, False, cpu_ns, record.user_ns, record.system_ns, children_ns)
    return _Change(record, survived=False)


def _plausible(cpu_ns: int, span: _Span) -> int | None:
    """A delta, capped if it exceeds the interval by no more than the tolerance; None for an impossible one."""
    if cpu_ns < 0:
        return None
    return span.max_ns if span.max_ns < cpu_ns <= span.max_ns + span.tolerance_ns else cpu_ns


def _is_plausible_credit(credit_ns: int, span: _Span) -> bool:
    """False for more than the CPUs can provide: that is older time, of processes that were never read."""
    return credit_ns <= span.max_ns + span.tolerance_ns


def _vanished(
    earlier: Mapping[int, ProcessTimes], later: Mapping[int, ProcessTimes], changes: list[_Change]
) -> dict[int, ProcessTimes]:
    """The processes that did not survive the interval."""
    new_pids = {change.record.pid for change in changes if not change.survived}
    if len(later) - len(new_pids) == len(earlier):
        return {}
    return {pid: record for pid, record in earlier.items() if pid not in later or pid in new_pids}


def _span(earlier: Reading, later: Reading) -> _Span:
    if earlier.host.boot_id != later.host.boot_id:
        raise ReadingOrderError(
            f"the readings are of different boots ({earlier.host.boot_id!r} and {later.host.boot_id!r}): "
            "counters restart at each boot, so usage() needs two readings of the same boot"
        )
    interval_ns = later.monotonic_ns - earlier.monotonic_ns
    if interval_ns < 0:
        raise ReadingOrderError(
            f"the second reading was taken {-interval_ns / 1e9:.6f} s before the first: call usage(earlier, later)"
        )
    cpus = later.host.logical_cpus
    capacity_ns = cpus * interval_ns
    # utime and stime are each rounded down to a tick, so a sampler that counts ticks can be off by two.
    rounding_ns = round(2e9 * later.host.clock_resolution_seconds)
    return _Span(
        interval_ns=interval_ns,
        logical_cpus=cpus,
        capacity_ns=capacity_ns,
        max_ns=max(cpus, later.present_cpus or 0) * interval_ns,
        tolerance_ns=cpus * (earlier.sweep_ns + later.sweep_ns) + rounding_ns,
        # A sweep lists the processes shortly before its instant, and start times are rounded down to a tick.
        started_after_ns=earlier.uptime_ns - earlier.sweep_ns - later.start_resolution_ns,
    )


def _active_row(change: _Change, credits_ns: Mapping[int, int], span: _Span) -> ProcessUsage:
    """The row of a process that may have run."""
    if change.cpu_ns is None:
        return _row(change.record, span)
    user_share = _user_share(change)
    user_ns = None if user_share is None else change.cpu_ns * user_share
    system_ns = None if user_ns is None else change.cpu_ns - user_ns
    children_ns = None if change.children_ns is None else credits_ns.get(change.record.pid, 0)
    if children_ns is not None and not _is_plausible_credit(children_ns, span):
        children_ns = None
    return _row(change.record, span, change.cpu_ns, user_ns, system_ns, children_ns)


def _user_share(change: _Change) -> float | None:
    """The fraction of the CPU time that was spent in user mode, 0..1.

    The exact clock does not distinguish modes, so its total is split in proportion to the ticks of this interval. If
    there are none, it is split in proportion to those of the process's whole life, as the kernel itself does
    (cputime_adjust in kernel/sched/cputime.c). The split of a process that never filled a tick is unknown.
    """
    if change.cpu_ns == 0:
        return 0.0
    user_ns, system_ns = change.user_ns, change.system_ns
    if user_ns < 0 or system_ns < 0 or user_ns + system_ns == 0:
        user_ns, system_ns = change.record.user_ns, change.record.system_ns
    ticks_ns = user_ns + system_ns
    return user_ns / ticks_ns if ticks_ns > 0 else None


def _row(
    record: ProcessTimes,
    span: _Span,
    cpu_ns: int | None = None,
    user_ns: float | None = None,
    system_ns: float | None = None,
    children_ns: int | None = None,
) -> ProcessUsage:
    """The row of a process from its use in the interval in nanoseconds; None is unknown."""
    # Inlined: a call for each of the four percentages costs more than the arithmetic.
    interval_ns = span.interval_ns
    cpu_percent = None if cpu_ns is None else 100 * cpu_ns / interval_ns
    exited_percent = None if children_ns is None else 100 * children_ns / interval_ns
    return ProcessUsage(
        pid=record.pid,
        start_time=record.start_time,
        key=record.key,
        ppid=record.ppid,
        name=record.name,
        user=record.user,
        state=record.state,
        threads=record.threads,
        cpu_percent=cpu_percent,
        machine_percent=None if cpu_percent is None else cpu_percent / span.logical_cpus,
        user_percent=None if user_ns is None else 100 * user_ns / interval_ns,
        system_percent=None if system_ns is None else 100 * system_ns / interval_ns,
        exited_percent=exited_percent,
        # Most rows have no exited descendants and share one float for both.
        total_percent=cpu_percent + exited_percent if cpu_percent is not None and exited_percent else cpu_percent,
        cpu_seconds=record.cpu_ns / 1e9,
        first_seen=record.first_seen,
        cgroup=record.cgroup,
        command_line=record.command_line,
    )


def _exited(share: ExitedShare, processes: Mapping[int, ProcessTimes], span: _Span) -> ExitedUsage:
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
    rows: Iterable[ProcessUsage], exited_ns: int | None, busy_percent: float | None, span: _Span
) -> Attribution:
    in_processes = sum(row.machine_percent for row in rows if row.machine_percent)
    in_exited = None if exited_ns is None else 100 * exited_ns / span.capacity_ns
    if busy_percent is None:
        return Attribution(in_processes, in_exited, None, None)
    rest = busy_percent - in_processes - (in_exited or 0.0)
    return Attribution(in_processes, in_exited, max(0.0, rest), max(0.0, -rest))


def _unattributed_ns(attribution: Attribution, span: _Span) -> float | None:
    percent = attribution.unattributed_percent
    return None if percent is None else percent / 100 * span.capacity_ns
