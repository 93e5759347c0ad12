"""The machine as a whole: the growth of the ``cpu`` lines of /proc/stat between two readings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from cpuwatch.accounting.growth import pressure_percent
from cpuwatch.accounting.verdict import IDLE_MACHINE_PERCENT, stolen_share, verdict_of
from cpuwatch.model import BusyProcess, CpuTimes, MachineTimes, MachineUsage

__all__ = ["machine_usage", "with_processes"]

_MAX_BUSIEST = 10


def machine_usage(earlier: MachineTimes, later: MachineTimes, interval_ns: int) -> MachineUsage:
    """The usage of the machine between two readings of its counters, in percent of all CPUs.

    Of these counters, none tells about the processes: see :func:`with_processes`.
    """
    total = _cpu_delta(earlier.total, later.total)
    numbers = range(max(later.per_cpu, default=-1) + 1)
    return MachineUsage(
        cpu_percent=_busy_percent(total),
        user_percent=_percent_of(total, total.user_ns),
        system_percent=_percent_of(total, total.system_ns),
        iowait_percent=_percent_of(total, total.iowait_ns),
        irq_percent=_percent_of(total, total.irq_ns),
        steal_percent=_percent_of(total, total.steal_ns),
        per_cpu_percent=[_one_cpu(earlier.per_cpu.get(cpu), later.per_cpu.get(cpu)) for cpu in numbers],
        load_average=later.load_average,
        pressure_percent=pressure_percent(earlier.pressure_ns, later.pressure_ns, interval_ns),
    )


def with_processes(machine: MachineUsage, columns: Mapping[str, Sequence[Any]], logical_cpus: int) -> MachineUsage:
    """The usage with what is known from the rows of its processes, given as columns: waiting, verdict, the busiest."""
    pids = columns.get("pid", ())
    # Of equal totals, the lowest PID comes first, whatever the order of the rows.
    totals = [(total, -pids[place], place) for place, total in enumerate(columns.get("total_percent", ())) if total]
    busiest = [
        BusyProcess(columns["pid"][place], columns["name"][place], columns["cgroup"][place], total)
        for total, _, place in sorted(totals, reverse=True)[:_MAX_BUSIEST]
    ]
    waits = [wait for wait in columns.get("wait_percent", ()) if wait is not None]
    if not waits:
        return replace(machine, busiest=busiest)
    throttled_percents = [
        throttled
        for wait, throttled in zip(columns["wait_percent"], columns["throttled_percent"], strict=True)
        if wait is not None
    ]
    wait_percent = sum(waits)
    own_percent = None if machine.cpu_percent is None else machine.cpu_percent - (machine.steal_percent or 0.0)
    return replace(
        machine,
        busiest=busiest,
        waiting_threads=wait_percent / 100,
        verdict=verdict_of(
            None if own_percent is None else own_percent * logical_cpus,
            wait_percent,
            None if None in throttled_percents else sum(throttled_percents),
            stolen_share(machine),
            IDLE_MACHINE_PERCENT * logical_cpus,
        ),
    )


def _one_cpu(earlier: CpuTimes | None, later: CpuTimes | None) -> float | None:
    """None for a CPU that is offline, or came online within the interval."""
    return None if earlier is None or later is None else _busy_percent(_cpu_delta(earlier, later))


def _cpu_delta(earlier: CpuTimes, later: CpuTimes) -> CpuTimes:
    """The growth of each kind of time; 0 if it decreased.

    The kernel's documentation warns that idle and iowait can decrease (Documentation/filesystems/proc.rst, 1.7).
    """

    def growth(old: int | None, new: int | None) -> int | None:
        return None if old is None or new is None else max(0, new - old)

    return CpuTimes(
        user_ns=max(0, later.user_ns - earlier.user_ns),
        system_ns=max(0, later.system_ns - earlier.system_ns),
        idle_ns=max(0, later.idle_ns - earlier.idle_ns),
        iowait_ns=growth(earlier.iowait_ns, later.iowait_ns),
        irq_ns=growth(earlier.irq_ns, later.irq_ns),
        steal_ns=growth(earlier.steal_ns, later.steal_ns),
    )


def _busy_ns(times: CpuTimes) -> int:
    return times.user_ns + times.system_ns + (times.irq_ns or 0) + (times.steal_ns or 0)


def _percent_of(times: CpuTimes, amount_ns: int | None) -> float | None:
    """``amount_ns`` in percent of all time that the CPU counted; relative to its own counters, so always 0..100."""
    counted_ns = _busy_ns(times) + times.idle_ns + (times.iowait_ns or 0)
    return None if amount_ns is None or counted_ns == 0 else 100 * amount_ns / counted_ns


def _busy_percent(times: CpuTimes) -> float | None:
    return _percent_of(times, _busy_ns(times))
