"""The kernel's CPU clocks of other processes: nanoseconds, all threads, no privilege, half a microsecond.

A clock id for the CPU time of process P is ``(~P << 3) | 2`` (CPUCLOCK_SCHED; MAKE_PROCESS_CPUCLOCK in
include/linux/posix-timers_types.h), what clock_getcpuclockid(3) computes. The PID in it is one of the *caller's*
PID namespace, whatever /proc shows: hence :func:`speaks_for`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from cpuwatch.samplers.procfs.parse import parse_process_stat

__all__ = ["GONE", "clock_id", "read_all", "read_one", "resolution_seconds", "speaks_for"]

GONE = -1
"""Stands in for the time of a process that has no clock any more."""

_COMPARED_PROCESSES = 32
_COMPARISONS = 5
_PAUSE_SECONDS = 0.02


def clock_id(pid: int) -> int:
    """The id under which clock_gettime(2) knows the CPU time of the whole process."""
    return (~pid << 3) | 2


def read_one(pid: int) -> int:
    """Nanoseconds of CPU that the process has used, or :data:`GONE`."""
    try:
        return time.clock_gettime_ns(clock_id(pid))
    except OSError:
        return GONE


def read_all(clock_ids: Iterable[int]) -> list[int]:
    """The times of many clocks, in their order, with :data:`GONE` for a process that has ended.

    The loop runs in C: ``extend`` keeps what it has taken when the clock of a vanished process raises, and goes on
    behind it with the same iterator. A ``try`` for each clock would cost as much again as the clock.
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
    """The step of these clocks, as the kernel tells it (1e-9)."""
    return time.clock_getres(clock_id(os.getpid()))


def speaks_for(root: Path, tick_ns: int) -> bool:
    """Whether the clock of a PID is that of the process which ``root`` (a /proc) shows under this PID.

    Two questions: is ``root`` of the caller's PID namespace (``NSpid`` in proc_pid_status(5) then lists just one),
    and do clock and ``stat`` agree on a sample of processes, as they may not on an emulated kernel. Where a hypervisor
    keeps a CPU from running, ``stat`` can lag behind for longer than a few ticks, so one that disagrees is asked again.
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
        return True  # Ended, or hidden from us: it says nothing for or against.
    after = read_one(pid)
    if GONE in (before, after):
        return not (root / str(pid) / "stat").exists()
    # The kernel derives utime + stime from the same sum and cuts each down to a tick; of a process that runs on
    # another CPU just now, that sum is as old as this CPU's last scheduler tick.
    return before - 4 * tick_ns <= (stat.utime + stat.stime) * tick_ns <= after
