"""Pure parsers of the files under /proc: bytes in, numbers out. No file is opened here.

Formats: proc_pid_stat(5), proc_stat(5), proc_loadavg(5); Documentation/filesystems/proc.rst.
"""

from __future__ import annotations

from msgspec import Struct

from cpuwatch.model import CpuTimes
from cpuwatch.text import text_from_bytes

__all__ = [
    "KernelLoad",
    "KernelStat",
    "ProcessStat",
    "is_exiting",
    "parse_kernel_load",
    "parse_kernel_stat",
    "parse_process_stat",
]

_PF_EXITING = 0x4
"""In field 9, the flags (include/linux/sched.h)."""


_LEAST_FIELDS = 20
"""After the name: up to the start time."""


class ProcessStat(Struct, frozen=True, gc=False):
    """The fields of ``/proc/PID/stat`` that cpuwatch uses; times in ticks."""

    name: str
    state: str
    ppid: int
    utime: int
    stime: int
    children_time: int
    """``cutime + cstime``."""
    threads: int
    start_time: int
    """Ticks from boot."""


class KernelStat(Struct, frozen=True, gc=False):
    """``/proc/stat``: the CPUs' times, and how many processes and threads were ever forked (None: not told)."""

    total: CpuTimes
    per_cpu: dict[int, CpuTimes]
    forks: int | None


class KernelLoad(Struct, frozen=True, gc=False):
    """``/proc/loadavg``: the averages over 1, 5 and 15 minutes, and the PID given out last in our PID namespace."""

    average: tuple[float, float, float]
    last_pid: int


def parse_process_stat(data: bytes) -> ProcessStat:
    """Parse ``/proc/PID/stat``. Raises ``ValueError`` on anything else.

    The name stands in parentheses, unescaped, and may hold any byte, ``)`` and newline too. No field after it
    holds a parenthesis, so it ends at the last one (the same way as procps does it).
    """
    start = data.index(b"(") + 1
    end = data.rindex(b")")
    # From here field N of the man page is at N - 3; only as many are split off as are used.
    fields = data[end + 2 :].split(None, 20)
    if len(fields) < _LEAST_FIELDS:
        raise ValueError(f"only {len(fields)} fields after the name in {data[:80]!r}, of a process's stat")
    return ProcessStat(
        text_from_bytes(data[start:end]),
        fields[0].decode("ascii"),
        int(fields[1]),
        int(fields[11]),
        int(fields[12]),
        int(fields[13]) + int(fields[14]),
        int(fields[17]),
        int(fields[19]),
    )


def is_exiting(data: bytes) -> bool:
    """Whether ``/proc/PID/stat`` is of a process that is ending or has ended. ``data`` is what could be parsed."""
    return bool(int(data[data.rindex(b")") + 2 :].split(None, 7)[6]) & _PF_EXITING)


def parse_kernel_stat(data: bytes, tick_ns: int) -> KernelStat:
    """Parse ``/proc/stat``. Raises ``ValueError`` if it has no line for all CPUs."""
    total: CpuTimes | None = None
    per_cpu: dict[int, CpuTimes] = {}
    lines = data.split(b"\n")
    for line in lines:
        # The cpu lines come first (fs/proc/stat.c); the long interrupt lines after them are not looked at.
        if not line.startswith(b"cpu"):
            break
        label, *ticks = line.split()
        if label == b"cpu":
            total = _cpu_times(ticks, tick_ns)
        else:
            per_cpu[int(label[3:])] = _cpu_times(ticks, tick_ns)
    if total is None:
        raise ValueError(f"no 'cpu' line at the start of /proc/stat, which begins {data[:40]!r}")
    forks = data.rfind(b"\nprocesses ")
    return KernelStat(total, per_cpu, None if forks < 0 else int(data[forks + 11 :].split(b"\n", 1)[0]))


def _cpu_times(ticks: list[bytes], tick_ns: int) -> CpuTimes:
    # guest and guest_nice (fields 9 and 10) are part of user and nice already.
    user, nice, system, idle, iowait, irq, softirq, steal = (int(tick) * tick_ns for tick in ticks[:8])
    return CpuTimes(
        user_ns=user + nice,
        system_ns=system,
        idle_ns=idle,
        iowait_ns=iowait,
        irq_ns=irq + softirq,
        steal_ns=steal,
    )


def parse_kernel_load(data: bytes) -> KernelLoad:
    """Parse ``/proc/loadavg``."""
    one, five, fifteen, _, last_pid = data.split(None, 4)
    return KernelLoad((float(one), float(five), float(fifteen)), int(last_pid))
