"""The whole arithmetic of CPU accounting: two readings in, one snapshot out. Pure.

The rule for what cannot be true follows `below`'s: a negative delta is absent (``None``), not 0 and not cut to fit: a
wrong number is worse than none. A process's own counter that moved by more than the CPUs could give is believed all the
same: it is exact, and the number of CPUs may be what a container is shown of them (lxcfs).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.exited import ExitedShare, bound_estimates, explained, share_out, trace
from cpuwatch.accounting.kinship import Kinship
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
    """The interval between two readings, and what can have happened in it."""

    interval_ns: int
    logical_cpus: int
    capacity_ns: int
    """What the CPUs that are shown could give together."""
    most_ns: int
    """What all present CPUs could give."""
    tolerance_ns: int
    """How much more than that counters can show: sweeps take time and ticks are rounded."""
    born_after_ns: int
    """A process that started at or after this instant (since boot) started inside the interval."""

    def percent(self, amount_ns: float | None) -> float | None:
        """The amount in per cent of one CPU over the interval; None as long as either is not known."""
        return None if amount_ns is None or not self.interval_ns else 100 * amount_ns / self.interval_ns


def usage(earlier: Reading, later: Reading, *, sequence: int = 1) -> Snapshot:
    """The usage of the machine and of each process between two readings of one boot.

    Rates are taken over the monotonic time between the readings. A process in both is charged with what its clock
    moved; one that started inside the interval with all that it has; one that is older but was not in the earlier
    reading has no baseline, so its percentages are ``None``.

    Raises :class:`~cpuwatch.errors.ReadingOrderError` if the readings are of different boots or in the wrong order.
    Between two readings of the same instant all rates are ``None``.
    """
    return account(earlier, later, NO_CARRY, sequence=sequence)[0]


def account(earlier: Reading, later: Reading, carry: Carry, *, sequence: int = 1) -> tuple[Snapshot, Carry]:
    """The same for one of many intervals in a row: takes what the one before left over, and gives what this one does.

    So the rounding of children's time does not add up over intervals.
    """
    span = _span(earlier, later)
    machine = machine_usage(earlier.machine, later.machine)
    processes: Sequence[ProcessUsage] = []
    exited: list[ExitedUsage] = []
    attribution = Attribution(None, None, None, None)
    if span.interval_ns:
        # What is done for all processes is done in C. An idle one is the very same record, and costs this comparison
        # and the line that takes its row below, and nothing more.
        before = earlier.processes.get
        may_have_run = list(map(operator.is_not, later.processes.values(), map(before, later.processes)))
        moves = [_move(now, before(now.pid), span) for now in compress(later.processes.values(), may_have_run)]
        vanished = _vanished(earlier.processes, later.processes, moves)
        grown_ns = {move.record.pid: move.children_ns for move in moves if move.children_ns}
        kinship = Kinship(earlier, later, vanished)
        ended = trace(later.exits, vanished, kinship.reapers_of_ended)
        reaped = credit_children(
            vanished,
            lambda process: _reapers(process, kinship, moves),
            grown_ns,
            later.start_resolution_ns,
            carry,
            explained(ended),
        )
        credits_ns, carry = reaped.credits_ns, reaped.carry
        rows = [_active(move, credits_ns, span) for move in moves]
        next_row = iter(rows).__next__
        shown = [
            next_row() if ran else record.at_rest
            for ran, record in zip(may_have_run, later.processes.values(), strict=True)
        ]
        processes = PackedRows(shown, may_have_run)
        possible_ns = {pid: ns for pid, ns in credits_ns.items() if _can_be_of_children(ns, span)}
        # A platform that does not count children's time leaves it unknown what ended processes used.
        counted = any(record.children_ns is not None for record in later.processes.values())
        exited_ns = sum(possible_ns.values()) if counted else None
        attribution = _attribution(rows, exited_ns, machine.cpu_percent, span)
        shares = share_out(
            ended,
            reaped.reaper_of,
            possible_ns,
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


def _reapers(process: ProcessTimes, kinship: Kinship, moves: Iterable[_Move]) -> Candidates:
    """Who may have waited for a process; where its line of parents is hidden, any that is as old and grew."""
    found = kinship.reapers_of_seen(process)
    if found.is_complete:
        return found
    others = (move.record for move in moves if move.children_ns and move.record.pid not in found.pids)
    return replace(found, others=tuple(other.pid for other in others if other.start_ns <= process.start_ns))


class _Move(Struct, frozen=True, gc=False):
    """A process that may have run in the interval: by how much its counters moved (None: it has no baseline)."""

    record: ProcessTimes
    survived: bool
    cpu_ns: int | None = None
    user_ns: int = 0
    system_ns: int = 0
    children_ns: int | None = None


def _move(record: ProcessTimes, before: ProcessTimes | None, span: _Span) -> _Move:
    children_ns = record.children_ns
    if before is not None and before.key == record.key:
        if children_ns is not None:
            children_ns = None if before.children_ns is None else children_ns - before.children_ns
        return _Move(
            record,
            survived=True,
            cpu_ns=_possible(record.cpu_ns - before.cpu_ns, span),
            user_ns=record.user_ns - before.user_ns,
            system_ns=record.system_ns - before.system_ns,
            children_ns=None if children_ns is None or children_ns < 0 else children_ns,
        )
    if record.start_ns >= span.born_after_ns:
        cpu_ns = _possible(record.cpu_ns, span)
        return _Move(record, False, cpu_ns, record.user_ns, record.system_ns, children_ns)
    return _Move(record, survived=False)


def _possible(cpu_ns: int, span: _Span) -> int | None:
    """A delta without what its reading took beyond the interval; None for one that cannot be true."""
    if cpu_ns < 0:
        return None
    return span.most_ns if span.most_ns < cpu_ns <= span.most_ns + span.tolerance_ns else cpu_ns


def _can_be_of_children(credit_ns: int, span: _Span) -> bool:
    """More than the CPUs could give is of processes that had never been read, and of an earlier time."""
    return credit_ns <= span.most_ns + span.tolerance_ns


def _vanished(
    earlier: Mapping[int, ProcessTimes], later: Mapping[int, ProcessTimes], moves: list[_Move]
) -> dict[int, ProcessTimes]:
    """The processes that did not survive the interval."""
    new = sum(not move.survived for move in moves)
    if len(later) - new == len(earlier):
        return {}
    unchanged = {move.record.pid for move in moves if not move.survived}
    return {pid: record for pid, record in earlier.items() if pid not in later or pid in unchanged}


def _span(earlier: Reading, later: Reading) -> _Span:
    if earlier.host.boot_id != later.host.boot_id:
        raise ReadingOrderError(
            f"the readings are of two boots ({earlier.host.boot_id!r} and {later.host.boot_id!r}): "
            "counters start anew at each boot, so usage() needs two readings of the same one"
        )
    interval_ns = later.monotonic_ns - earlier.monotonic_ns
    if interval_ns < 0:
        raise ReadingOrderError(
            f"the second reading was taken {-interval_ns / 1e9:.6f} s before the first: call usage(earlier, later)"
        )
    cpus = later.host.logical_cpus
    capacity_ns = cpus * interval_ns
    # utime and stime are each cut down to a tick, so a backend of ticks can be off by two of them.
    rounding_ns = round(2e9 * later.host.clock_resolution_seconds)
    return _Span(
        interval_ns=interval_ns,
        logical_cpus=cpus,
        capacity_ns=capacity_ns,
        most_ns=max(cpus, later.present_cpus or 0) * interval_ns,
        tolerance_ns=cpus * (earlier.sweep_ns + later.sweep_ns) + rounding_ns,
        # A sweep lists the processes a little before its instant, and start times are rounded down to a tick.
        born_after_ns=earlier.uptime_ns - earlier.sweep_ns - later.start_resolution_ns,
    )


def _active(move: _Move, credits_ns: Mapping[int, int], span: _Span) -> ProcessUsage:
    """The row of a process that may have run."""
    if move.cpu_ns is None:
        return _row(move.record, span)
    user_share = _user_share(move)
    user_ns = None if user_share is None else move.cpu_ns * user_share
    system_ns = None if user_ns is None else move.cpu_ns - user_ns
    children_ns = None if move.children_ns is None else credits_ns.get(move.record.pid, 0)
    if children_ns is not None and not _can_be_of_children(children_ns, span):
        children_ns = None
    return _row(move.record, span, move.cpu_ns, user_ns, system_ns, children_ns)


def _user_share(move: _Move) -> float | None:
    """Which part of the CPU time was in user mode, in 0..1.

    The exact clock knows no modes, so its total is split as the ticks of this interval are; where they did not
    move, as those of the process's whole life are, which is also how the kernel itself splits (cputime_adjust in
    kernel/sched/cputime.c). A process that never filled a tick has no known split.
    """
    if move.cpu_ns == 0:
        return 0.0
    user_ns, system_ns = move.user_ns, move.system_ns
    if user_ns < 0 or system_ns < 0 or user_ns + system_ns == 0:
        user_ns, system_ns = move.record.user_ns, move.record.system_ns
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
    """What a process used in the interval, in nanoseconds (None: not known), as its row."""
    # Written out: a call for each of the four costs more than the arithmetic.
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
