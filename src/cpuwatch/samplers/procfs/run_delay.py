"""Reads how long the threads of a process have waited for a CPU: the run delay in ``schedstat``.

``/proc/PID/schedstat`` has three numbers: nanoseconds on a CPU, nanoseconds runnable but not running, and the number of
times that a CPU was assigned (Documentation/scheduler/sched-stats.rst). They are those of the main thread only, so the
other threads of a process are read from ``/proc/PID/task/TID/schedstat``. Any user may read these files.

The kernel adds a wait to the run delay when it ends (sched_info_arrive and sched_info_dequeue in kernel/sched/stats.h).
So a process that gets no CPU at all shows no growth. But a process that was runnable at one reading (state R) and has
not run until the next cannot have gone to sleep in between, which takes a CPU: it has waited all the time. That time
is counted at once, and what the kernel adds later only counts as far as it exceeds it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from pathlib import Path

from msgspec import Struct

from cpuwatch.samplers.procfs.stat_files import StatFiles, read_once
from cpuwatch.samplers.procfs.thread_budget import ThreadBudget

__all__ = ["STEP_NS", "RunDelays", "counts_run_delay"]

STEP_NS = 1_000_000
"""Sums are rounded down to this. Shorter waits still add up, and a recording need not store their noise."""

_OWN_SCHEDSTAT = Path("/proc/self/schedstat")


def counts_run_delay(path: Path = _OWN_SCHEDSTAT) -> bool:
    """Whether this kernel counts run delay. A kernel that does not has no such file, or only zeros in it."""
    try:
        _, _, slices = path.read_bytes().split()
        return int(slices) > 0
    except (OSError, ValueError):
        return False


class _Queued(Struct, frozen=True, gc=False):
    """A runnable main thread: its ``schedstat``, the sum of its process, and the instant at which both were read."""

    schedstat: bytes
    wait_ns: int
    since_ns: int


class _Threads(Struct, gc=False):
    """The run delay of each thread of a process at its last reading, and the sum including threads that ended."""

    wait_ns: int
    by_thread: dict[int, int]


class RunDelays:
    """The run delay of processes, in sums that do not decrease when threads end.

    ``files`` keeps the files of busy threads open, under the negative of their IDs.
    What a thread waited after its last reading is missing from the sum once it has ended.
    """

    def __init__(self, files: StatFiles, budget: ThreadBudget | None = None) -> None:
        self._files = files
        self._budget = ThreadBudget() if budget is None else budget
        self._threads: dict[int, _Threads] = {}
        self._queued: dict[int, _Queued] = {}

    def read_main_thread(self, pid: int, directory: str) -> bytes | None:
        """The ``schedstat`` of the main thread; None if it cannot be read."""
        try:
            return self._files.read(-pid, f"{directory}/schedstat")
        except OSError:
            return None

    def begin(self, pid: int, directory: str) -> bytes | None:
        """Forget the process that had this PID, and return the ``schedstat`` of the main thread of the new one.

        The files of a new process are not kept open: they would take the places of processes that always run.
        """
        self.forget(pid)
        try:
            return read_once(f"{directory}/schedstat")
        except OSError:
            return None

    def wait_ns(
        self, pid: int, directory: str, schedstat: bytes | None, threads: int, state: str, now_ns: int
    ) -> int | None:
        """The run delay of a process, given what was just read of it; None if it is unknown."""
        booked_ns = None if schedstat is None else self._booked_ns(pid, directory, schedstat, threads)
        if booked_ns is None or schedstat is None:
            self._queued.pop(pid, None)
            return None
        if state != "R":
            self._queued.pop(pid, None)
        else:
            queued = self._queued.get(pid)
            if queued is None or queued.schedstat != schedstat:
                self._queued[pid] = _Queued(schedstat, booked_ns, now_ns)
            else:
                booked_ns = max(booked_ns, queued.wait_ns + now_ns - queued.since_ns)
        return booked_ns // STEP_NS * STEP_NS

    def still_waiting(self, now_ns: int) -> list[tuple[int, int]]:
        """The runnable processes and their run delay, on the condition that they have not run since they were read."""
        return [
            (pid, (queued.wait_ns + now_ns - queued.since_ns) // STEP_NS * STEP_NS)
            for pid, queued in self._queued.items()
            if queued.since_ns != now_ns
        ]

    def forget(self, pid: int) -> None:
        """Begin anew: another process has this PID now, or the process has run and could not be read."""
        self._threads.pop(pid, None)
        self._queued.pop(pid, None)

    def end_sweep(self, processes: Container[int]) -> None:
        """Forget processes that have exited, and plan the next sweep."""
        for pid in [pid for pid in (*self._threads, *self._queued) if pid not in processes]:
            self.forget(pid)
        self._budget.end_reading()

    def _booked_ns(self, pid: int, directory: str, schedstat: bytes, threads: int) -> int | None:
        try:
            of_main_thread = int(schedstat.split()[1])
        except (IndexError, ValueError):
            return None
        known = self._threads.get(pid)
        if threads == 1 and known is None:
            return of_main_thread
        by_thread = {pid: of_main_thread}
        if threads > 1:
            if not self._budget.grants(pid, threads):
                return None
            # As in begin(), the first reading keeps no file open.
            read = self._files.read if known is not None else lambda _, path: read_once(path)
            try:
                _read_other_threads(pid, directory, by_thread, read)
            except (OSError, ValueError, IndexError):
                return None
        if known is None:
            self._threads[pid] = _Threads(sum(by_thread.values()), by_thread)
            return self._threads[pid].wait_ns
        before = known.by_thread
        for tid, booked_ns in by_thread.items():
            # A lower value is that of a new thread with a reused ID.
            previous_ns = before.get(tid, 0)
            known.wait_ns += booked_ns - previous_ns if booked_ns >= previous_ns else booked_ns
        known.by_thread = by_thread
        return known.wait_ns


def _read_other_threads(pid: int, directory: str, by_thread: dict[int, int], read: Callable[[int, str], bytes]) -> None:
    for name in os.listdir(f"{directory}/task"):
        tid = int(name)
        if tid != pid:
            try:
                data = read(-tid, f"{directory}/task/{name}/schedstat")
            except (FileNotFoundError, ProcessLookupError):
                continue  # It has ended.
            by_thread[tid] = int(data.split()[1])
