"""The CPU time of this process, its threads and its children at one instant."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from msgspec import Struct

from cpuwatch.samplers.procfs.cpu_clock import GONE, read_one
from cpuwatch.samplers.procfs.parse import parse_process_stat

__all__ = ["LivingChild", "ProcessCounters", "read_counters"]

_THREAD_CLOCK = 0b110
"""CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED (include/linux/posix-timers_types.h)."""


class LivingChild(Struct, frozen=True, gc=False):
    """A living descendant. ``children_ns`` is the CPU time of the children that it waited for."""

    name: str
    cpu_ns: int
    children_ns: int


class ProcessCounters(Struct, frozen=True):
    """Cumulative counters. ``threads`` are those that Python started, by name and ID; ``living`` is by process key."""

    monotonic_ns: int
    own_ns: int
    user_seconds: float
    system_seconds: float
    waited_seconds: float
    waited_user_seconds: float
    threads: dict[tuple[str, int], int]
    living: dict[str, LivingChild]

    @property
    def children_seconds(self) -> float:
        """What all descendants used so far. A child that exits moves from one sum to the other."""
        return self.waited_seconds + sum(child.cpu_ns + child.children_ns for child in self.living.values()) / 1e9


def read_counters() -> ProcessCounters:
    """The counters of this moment. Without children and with few threads, this takes some 20 microseconds."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    living = dict(_living_children()) if _has_children() else {}
    waited = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ProcessCounters(
        monotonic_ns=time.monotonic_ns(),
        own_ns=time.process_time_ns(),
        user_seconds=own.ru_utime,
        system_seconds=own.ru_stime,
        waited_seconds=waited.ru_utime + waited.ru_stime,
        waited_user_seconds=waited.ru_utime,
        threads=dict(_threads()),
        living=living,
    )


def _threads() -> Iterator[tuple[tuple[str, int], int]]:
    for thread in threading.enumerate():
        if thread.native_id is not None:
            with suppress(OSError):
                clock = time.clock_gettime_ns((~thread.native_id << 3) | _THREAD_CLOCK)
                yield (thread.name, thread.native_id), clock


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _living_children() -> Iterator[tuple[str, LivingChild]]:
    """The descendants, found through ``/proc/PID/task/TID/children`` (proc_pid_task(5))."""
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    own_pid = os.getpid()
    waiting = list(_children(own_pid, os.listdir("/proc/self/task")))
    seen = {own_pid}
    while waiting:
        pid = waiting.pop()
        if pid in seen:
            continue
        seen.add(pid)
        # The process may exit at any point; then its parent has its time.
        with suppress(OSError):
            stat = parse_process_stat(_read(f"/proc/{pid}/stat"))
            cpu_ns = read_one(pid)
            if cpu_ns != GONE:
                yield f"{pid}-{stat.start_time}", LivingChild(stat.name, cpu_ns, stat.children_time * tick_ns)
            waiting += _children(pid, os.listdir(f"/proc/{pid}/task") if stat.threads > 1 else [str(pid)])


def _children(pid: int, threads: Iterable[str]) -> Iterator[int]:
    for thread in threads:
        with suppress(OSError):
            yield from map(int, _read(f"/proc/{pid}/task/{thread}/children").split())


def _read(path: str) -> bytes:
    # A file object takes three times as long.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while chunk := os.read(fd, 65_536):
            data += chunk
        return data
    finally:
        os.close(fd)
