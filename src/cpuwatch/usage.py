"""The whole arithmetic of CPU accounting: two readings in, one snapshot out. Pure.

The rule for what cannot be true follows `below`'s: a delta that is negative, or more than the CPUs could give,
is absent (``None``), not 0 and not cut to fit: a wrong number is worse than none.
"""

from __future__ import annotations

from msgspec import Struct

from cpuwatch.errors import ReadingOrderError
from cpuwatch.model import (
    Attribution,
    CpuTimes,
    MachineTimes,
    MachineUsage,
    ProcessTimes,
    ProcessUsage,
    Reading,
    Sampling,
    Snapshot,
)

__all__ = ["usage"]


class _Span(Struct, frozen=True, gc=False):
    """The interval between two readings, and what can have happened in it."""

    interval_ns: int
    logical_cpus: int
    slack_ns: int
    """How far an honest delta can lie above the interval: sweeps take time and ticks are rounded."""
    born_after_ns: int
    """A process that started at or after this instant (since boot) started inside the interval."""


def usage(earlier: Reading, later: Reading, *, sequence: int = 1) -> Snapshot:
    """The usage of the machine and of each process between two readings of one boot.

    Rates are taken over the monotonic time between the readings. A process in both is charged with what its clock
    moved; one that started inside the interval with all that it has; one that is older but was not in the earlier
    reading has no baseline, so its percentages are ``None``.

    Raises :class:`~cpuwatch.errors.ReadingOrderError` if the readings are of different boots or in the wrong order.
    Between two readings of the same instant all rates are ``None``.
    """
    span = _span(earlier, later)
    known = earlier.processes.get
    processes: list[ProcessUsage] = []
    if span.interval_ns:
        # The hot line of the module: an idle process costs this one comparison and nothing more.
        processes = [
            record.at_rest if record is before else _active(record, before, span)
            for record, before in zip(later.processes.values(), map(known, later.processes), strict=True)
        ]
    else:
        processes = [_row(record, None, None, None, span) for record in later.processes.values()]
    machine = _machine(earlier.machine, later.machine)
    return Snapshot(
        sequence=sequence,
        time=later.time,
        interval_seconds=span.interval_ns / 1e9,
        sweep_seconds=later.sweep_ns / 1e9,
        host=later.host,
        machine=machine,
        attribution=_attribution(processes, machine.cpu_percent, span),
        processes=processes,
        sampling=Sampling(unreadable=later.unreadable),
    )


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
    # utime and stime are each rounded down to a tick, so a backend of ticks can be off by two of them.
    rounding_ns = round(2e9 * later.host.clock_resolution_seconds)
    return _Span(
        interval_ns=interval_ns,
        logical_cpus=cpus,
        slack_ns=cpus * (earlier.sweep_ns + later.sweep_ns) + rounding_ns,
        # A sweep lists the processes a little before its instant, and start times are rounded down to a tick.
        born_after_ns=earlier.uptime_ns - earlier.sweep_ns - later.start_resolution_ns,
    )


def _active(record: ProcessTimes, before: ProcessTimes | None, span: _Span) -> ProcessUsage:
    """The row of a process that may have run: all of its figures from its counters."""
    if before is not None and before.key == record.key:
        cpu_ns = record.cpu_ns - before.cpu_ns
        user_ns = record.user_ns - before.user_ns
        system_ns = record.system_ns - before.system_ns
    elif record.start_ns >= span.born_after_ns:
        cpu_ns, user_ns, system_ns = record.cpu_ns, record.user_ns, record.system_ns
    else:
        return _row(record, None, None, None, span)
    capacity_ns = span.logical_cpus * span.interval_ns
    if not 0 <= cpu_ns <= capacity_ns + span.slack_ns:
        return _row(record, None, None, None, span)
    used_ns = min(cpu_ns, capacity_ns)
    user_share = _user_share(record, user_ns, system_ns)
    if used_ns == 0:
        return _row(record, 0, 0.0, 0.0, span)
    if user_share is None:
        return _row(record, used_ns, None, None, span)
    user_part_ns = used_ns * user_share
    return _row(record, used_ns, user_part_ns, used_ns - user_part_ns, span)


def _user_share(record: ProcessTimes, user_ns: int, system_ns: int) -> float | None:
    """Which part of the CPU time was in user mode, in 0..1.

    The exact clock knows no modes, so its total is split as the ticks of this interval are; where they did not
    move, as those of the process's whole life are, which is also how the kernel itself splits (cputime_adjust in
    kernel/sched/cputime.c). A process that never filled a tick has no known split.
    """
    if user_ns < 0 or system_ns < 0 or user_ns + system_ns == 0:
        user_ns, system_ns = record.user_ns, record.system_ns
    ticks_ns = user_ns + system_ns
    return user_ns / ticks_ns if ticks_ns > 0 else None


def _row(
    record: ProcessTimes,
    cpu_ns: int | None,
    user_ns: float | None,
    system_ns: float | None,
    span: _Span,
) -> ProcessUsage:
    def percent(amount_ns: float | None) -> float | None:
        return None if amount_ns is None else 100 * amount_ns / span.interval_ns

    cpu_percent = percent(cpu_ns)
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
        user_percent=percent(user_ns),
        system_percent=percent(system_ns),
        children_percent=None,
        cpu_seconds=record.cpu_ns / 1e9,
        first_seen=record.first_seen,
    )


def _machine(earlier: MachineTimes, later: MachineTimes) -> MachineUsage:
    total = _cpu_delta(earlier.total, later.total)
    before = earlier.per_cpu.get
    return MachineUsage(
        cpu_percent=_busy_percent(total),
        user_percent=_percent_of(total, total.user_ns),
        system_percent=_percent_of(total, total.system_ns),
        iowait_percent=_percent_of(total, total.iowait_ns),
        irq_percent=_percent_of(total, total.irq_ns),
        steal_percent=_percent_of(total, total.steal_ns),
        per_cpu_percent=[
            # A CPU that was plugged in inside the interval has no baseline.
            None if old is None else _busy_percent(_cpu_delta(old, new))
            for old, new in ((before(cpu), new) for cpu, new in sorted(later.per_cpu.items()))
        ],
        load_average=later.load_average,
    )


def _cpu_delta(earlier: CpuTimes, later: CpuTimes) -> CpuTimes:
    """What each kind of time moved; a kind that went back moved by nothing.

    The kernel's documentation warns that idle and iowait can decrease (Documentation/filesystems/proc.rst, 1.7).
    """

    def moved(old: int | None, new: int | None) -> int | None:
        return None if old is None or new is None else max(0, new - old)

    return CpuTimes(
        user_ns=max(0, later.user_ns - earlier.user_ns),
        system_ns=max(0, later.system_ns - earlier.system_ns),
        idle_ns=max(0, later.idle_ns - earlier.idle_ns),
        iowait_ns=moved(earlier.iowait_ns, later.iowait_ns),
        irq_ns=moved(earlier.irq_ns, later.irq_ns),
        steal_ns=moved(earlier.steal_ns, later.steal_ns),
    )


def _busy_ns(times: CpuTimes) -> int:
    return times.user_ns + times.system_ns + (times.irq_ns or 0) + (times.steal_ns or 0)


def _percent_of(times: CpuTimes, amount_ns: int | None) -> float | None:
    """``amount_ns`` in per cent of all that the CPU counted; relative to its own books, so always in 0..100."""
    counted_ns = _busy_ns(times) + times.idle_ns + (times.iowait_ns or 0)
    return None if amount_ns is None or counted_ns == 0 else 100 * amount_ns / counted_ns


def _busy_percent(times: CpuTimes) -> float | None:
    return _percent_of(times, _busy_ns(times))


def _attribution(processes: list[ProcessUsage], busy_percent: float | None, span: _Span) -> Attribution:
    if not span.interval_ns:
        return Attribution(None, None, None, None)
    in_processes = sum(row.machine_percent for row in processes if row.machine_percent)
    if busy_percent is None:
        return Attribution(in_processes, None, None, None)
    rest = busy_percent - in_processes
    return Attribution(in_processes, None, max(0.0, rest), max(0.0, -rest))
