"""Parsers for files under /proc. Pure: they take bytes and open no files.

Formats: proc_pid_stat(5), proc_stat(5), proc_loadavg(5); Documentation/filesystems/proc.rst.
"""

from __future__ import annotations

from msgspec import Struct

from cpuwatch.model import CpuTimes
from cpuwatch.text import text_from_bytes

__all__ = [
    "MachineLoad",
    "MachineStat",
    "ProcessStat",
    "is_exiting",
    "last_cpu",
    "parse_machine_load",
    "parse_machine_stat",
    "parse_process_stat",
    "pressure_ns",
]

_PF_EXITING = 0x4
"""A flag in field 9 (include/linux/sched.h)."""


_MIN_FIELDS = 20
"""The number of fields from the one after the name to the start time."""


class ProcessStat(Struct, frozen=True, gc=False):
    """The fields of ``/proc/PID/stat`` that cpuwatch uses, with times in ticks."""

    name: str
    state: str
    ppid: int
    utime: int
    stime: int
    children_time: int
    """``cutime + cstime``."""
    threads: int
    start_time: int
    """Ticks since boot."""
    parsed_bytes: int
    """The length of the line up to the first field after these, which are all that cpuwatch uses."""


class MachineStat(Struct, frozen=True, gc=False):
    """``/proc/stat``: CPU times, and the number of processes and threads forked since boot (None if missing)."""

    total: CpuTimes
    per_cpu: dict[int, CpuTimes]
    forks: int | None


class MachineLoad(Struct, frozen=True, gc=False):
    """``/proc/loadavg``: averages over 1, 5 and 15 minutes, and the last PID allocated in this PID namespace."""

    average: tuple[float, float, float]
    last_pid: int


def parse_process_stat(data: bytes) -> ProcessStat:
    """Parse ``/proc/PID/stat``. Raises ``ValueError`` on malformed input.

    The name is in parentheses and unescaped. It can contain any byte, including ``)`` and a newline. No later field
    contains a parenthesis, so the name ends at the last one, as in procps.
    """
    start = data.index(b"(") + 1
    end = data.rindex(b")")
    # fields[N - 3] is field N of the man page. Fields after the start time are not split.
    fields = data[end + 2 :].split(None, 20)
    if len(fields) < _MIN_FIELDS:
        raise ValueError(
            f"a process's stat has {len(fields)} fields after the name, not at least {_MIN_FIELDS}: {data[:80]!r}"
        )
    return ProcessStat(
        text_from_bytes(data[start:end]),
        fields[0].decode("ascii"),
        int(fields[1]),
        int(fields[11]),
        int(fields[12]),
        int(fields[13]) + int(fields[14]),
        int(fields[17]),
        int(fields[19]),
        len(data) - sum(map(len, fields[20:])),
    )


def is_exiting(data: bytes) -> bool:
    """Whether ``data``, a valid ``/proc/PID/stat``, belongs to a process that is exiting or has exited."""
    return bool(int(data[data.rindex(b")") + 2 :].split(None, 7)[6]) & _PF_EXITING)


def last_cpu(data: bytes) -> int | None:
    """The CPU that ran this thread last: field 39 of ``data``, a valid ``stat``. None if the kernel does not tell."""
    fields = data[data.rindex(b")") + 2 :].split(None, 37)
    return int(fields[36]) if len(fields) > 36 else None


def parse_machine_stat(data: bytes, tick_ns: int) -> MachineStat:
    """Parse ``/proc/stat``. Raises ``ValueError`` if the line with the sum over all CPUs is missing."""
    total: CpuTimes | None = None
    per_cpu: dict[int, CpuTimes] = {}
    lines = data.split(b"\n")
    for line in lines:
        # The cpu lines come first (fs/proc/stat.c). The long interrupt lines after them are skipped.
        if not line.startswith(b"cpu"):
            break
        label, *ticks = line.split()
        if label == b"cpu":
            total = _cpu_times(ticks, tick_ns)
        else:
            per_cpu[int(label[3:])] = _cpu_times(ticks, tick_ns)
    if total is None:
        raise ValueError(f"expected a 'cpu' line at the start, found {data[:40]!r}")
    forks = data.rfind(b"\nprocesses ")
    return MachineStat(total, per_cpu, None if forks < 0 else int(data[forks + 11 :].split(b"\n", 1)[0]))


def _cpu_times(ticks: list[bytes], tick_ns: int) -> CpuTimes:
    # guest and guest_nice (fields 9 and 10) are already included in user and nice.
    user, nice, system, idle, iowait, irq, softirq, steal = (int(tick) * tick_ns for tick in ticks[:8])
    return CpuTimes(
        user_ns=user + nice,
        system_ns=system,
        idle_ns=idle,
        iowait_ns=iowait,
        irq_ns=irq + softirq,
        steal_ns=steal,
    )


def parse_machine_load(data: bytes) -> MachineLoad:
    """Parse ``/proc/loadavg``."""
    one, five, fifteen, _, last_pid = data.split(None, 4)
    return MachineLoad((float(one), float(five), float(fifteen)), int(last_pid))


def pressure_ns(data: bytes) -> int:
    """The ``total`` of the line ``some`` in a pressure file, rounded down to a whole millisecond.

    That is a thousandth of an interval of one second. More digits would take more space in a recording than they tell.
    Format: Documentation/accounting/psi.rst. Raises ``ValueError`` on malformed input.
    """
    some, _, _ = data.partition(b"\n")
    kind, _, total = some.partition(b" avg10=")
    if kind != b"some":
        raise ValueError(f"expected a line 'some' at the start, found {data[:40]!r}")
    return int(total[total.index(b" total=") + 7 :]) // 1000 * 1_000_000
