"""Reads the CPU clocks of other processes: in nanoseconds, over all threads, unprivileged, in half a microsecond.

The clock ID of process P is ``(~P << 3) | 2`` (CPUCLOCK_SCHED; MAKE_PROCESS_CPUCLOCK in
include/linux/posix-timers_types.h), as computed by clock_getcpuclockid(3). The kernel looks P up in the *caller's* PID
namespace, whichever namespace /proc shows; :func:`is_usable` checks that they are the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from cpuwatch.samplers.procfs.parse import parse_process_stat

__all__ = ["GONE", "clock_id", "is_usable", "read_all", "read_one", "resolution_seconds"]

GONE = -1
"""The value for a process that has exited and so has no clock."""

_COMPARED_PROCESSES = 32
_COMPARISONS = 5
_PAUSE_SECONDS = 0.02


def clock_id(pid: int) -> int:
    """The clock ID of the CPU time of a whole process, for clock_gettime(2)."""
    return (~pid << 3) | 2


def read_one(pid: int) -> int:
    """The CPU time of the process in nanoseconds, or :data:`GONE`."""
    try:
        return time.clock_gettime_ns(clock_id(pid))
    except OSError:
        return GONE


def read_all(clock_ids: Iterable[int]) -> list[int]:
    """The values of many clocks in the given order, with :data:`GONE` for processes that have exited.

    The loop runs in C. When the clock of an exited process raises, ``extend`` keeps the values before it, and the next
    ``extend`` continues after it with the same iterator. A ``try`` around each clock would double the cost.
    """
    times: list[int] = []
    rest = iter(clock_ids)
    while True:
        try:
            times.extend(map(time.clock_gettime_ns, rest))
        except OSError:
            times.append(GONE)
        else:
            return times


def resolution_seconds() -> float:
    """The resolution of these clocks according to the kernel (1e-9)."""
    return time.clock_getres(clock_id(os.getpid()))


def is_usable(root: Path, tick_ns: int) -> bool:
    """Whether the clock of a PID belongs to the process that ``root``, a /proc, shows under this PID.

    ``root`` must show the caller's PID namespace (``NSpid`` in proc_pid_status(5) then has one number). Clock and
    ``stat`` must also agree on a sample of processes, as they may not on an emulated kernel. While a hypervisor keeps a
    CPU from running, ``stat`` can lag by more than a few ticks, so processes that disagree are compared again.
    """
    try:
        status = (root / "self" / "status").read_bytes()
        pids = [int(name) for name in os.listdir(root) if name.isdigit()]
    except OSError:
        return False
    own_pids = next((line.split()[1:] for line in status.splitlines() if line.startswith(b"NSpid:")), [])
    if own_pids != [b"%d" % os.getpid()]:
        return False
    sample = {os.getpid(), *pids[:: len(pids) // _COMPARED_PROCESSES + 1]}
    for _ in range(_COMPARISONS):
        sample = {pid for pid in sample if not _agrees(root, pid, tick_ns)}
        if not sample:
            return True
        time.sleep(_PAUSE_SECONDS)
    return False


def _agrees(root: Path, pid: int, tick_ns: int) -> bool:
    before = read_one(pid)
    try:
        stat = parse_process_stat((root / str(pid) / "stat").read_bytes())
    except OSError:
        return True  # Exited or hidden: no evidence either way.
    after = read_one(pid)
    if GONE in (before, after):
        return not (root / str(pid) / "stat").exists()
    # The kernel derives utime and stime from the same sum and rounds each down to a tick. For a process that is running
    # on another CPU, that sum is as old as the last scheduler tick of that CPU.
    return before - 4 * tick_ns <= (stat.utime + stat.stime) * tick_ns <= after
