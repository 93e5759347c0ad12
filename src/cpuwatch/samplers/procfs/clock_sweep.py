"""Reads all processes in two phases: every CPU clock, then the stat files of those whose clock moved.

A process whose clock did not move has not run. So it cannot have changed its name, its user ID or its number of
threads, and its record stays true. What others change about it is handled separately: its parent may have exited
(:class:`~cpuwatch.samplers.reconciliation.Reconciler`), it may have been moved to another cgroup or frozen, and its
user may have been renamed (:meth:`~cpuwatch.samplers.procfs.process_reader.ProcessReader.reread`).
"""

from __future__ import annotations

import errno
import operator
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Container
from itertools import compress, count

from msgspec.structs import replace

from cpuwatch.samplers.process_table import ProcessTable
from cpuwatch.samplers.procfs import cpu_clock
from cpuwatch.samplers.procfs.new_pids import NewPids
from cpuwatch.samplers.procfs.process_reader import ProcessReader, errno_name
from cpuwatch.samplers.procfs.sweep import Instant, SweepResult
from cpuwatch.samplers.reconciliation import Reconciler

__all__ = ["ClockSweep"]

_UNREAD = -2
"""The last clock of a process whose stat is yet to be read. It equals neither a clock nor GONE."""

_PERMANENT = {errno.EACCES, errno.EPERM}
"""Errors that last until the process does something, so retrying before its clock moves is useless."""

_SHORTAGES = {"EMFILE", "ENFILE", "ENOMEM"}
"""Errors of this program, not of the process: its clock needs no descriptor and still tells how much CPU it uses."""

_MIN_CANDIDATES = 100
"""Up to this many candidates are checked, even on a machine with fewer processes."""


class ClockSweep:
    """Keeps the table of all processes up to date.

    Three parallel lists, sorted by PID, hold the PIDs, the IDs of their clocks and the last values. The loops over
    *all* processes run over these in C, always in the same order, so the skew between the clocks stays the same.
    ``_unreadable`` holds the reason why a process could not be read last time.
    """

    backend = "procfs/clock"

    def __init__(
        self,
        table: ProcessTable,
        list_pids: Callable[[], Collection[int]],
        reader: ProcessReader,
        new_pids: NewPids | None,
    ) -> None:
        self.resolution_seconds: float = cpu_clock.resolution_seconds()
        self._table = table
        self._list_pids = list_pids
        self._reader = reader
        self._new_pids = new_pids
        self._pids: list[int] = []
        self._clock_ids: list[int] = []
        self._clocks: list[int] = []
        self._unreadable: dict[int, str] = {}
        self._unlisted: Counter[str] = Counter()
        self._has_listed = False

    def find_new(self, forks: int | None, last_pid: int, *, hidden_can_appear: bool) -> None:
        """Add new processes to the lists.

        If /proc cannot be listed (EMFILE), the known processes are still sampled, and the next call lists it again.
        """
        self._unlisted.clear()
        candidates = None if self._new_pids is None else self._new_pids.candidates(forks, last_pid)
        # Trying the clock of a PID that does not exist costs as much as listing a process.
        if (
            self._has_listed
            and not hidden_can_appear
            and candidates is not None
            and len(candidates) <= max(_MIN_CANDIDATES, len(self._pids))
        ):
            clocks = cpu_clock.read_all(map(cpu_clock.clock_id, candidates))
            # The kernel also accepts the ID of the calling thread as a process (pid_for_clock in
            # kernel/time/posix-cpu-timers.c), so a thread that was started since the last call would pass for one.
            own_thread = threading.get_native_id()
            for pid in compress(candidates, map(cpu_clock.GONE.__ne__, clocks)):
                if pid != own_thread:
                    self._insert(pid)
            return
        try:
            listed = self._list_pids()
        except OSError as error:
            self._unlisted[errno_name(error)] += 1
            self._has_listed = False
        else:
            self._has_listed = True
            for pid in sorted(set(listed).difference(self._pids)):
                self._insert(pid)

    def sweep(self, instant: Instant) -> SweepResult:
        """Read the processes."""
        before, self._clocks = self._clocks, cpu_clock.read_all(self._clock_ids)
        reconciler = Reconciler(
            self._table,
            # The clock keeps the value of the sweep, since all clocks belong to one instant.
            lambda known: self._reader.read(known.pid, known.cpu_ns, known, instant),
            lambda pid: cpu_clock.read_one(pid) == cpu_clock.GONE,
        )
        # The comparison runs in C for all processes, the loop body in Python only for those that ran.
        moved = list(compress(count(), map(operator.ne, self._clocks, before)))
        for index in moved:
            pid, clock_ns = self._pids[index], self._clocks[index]
            known = self._table.get(pid)
            try:
                record = self._reader.read(pid, clock_ns, known, instant)
            except OSError as error:
                reason = self._unreadable[pid] = errno_name(error)
                if error.errno not in _PERMANENT:
                    self._clocks[index] = _UNREAD
                if reason in _SHORTAGES and known is not None and clock_ns >= known.cpu_ns:
                    self._table.put(replace(known, cpu_ns=clock_ns))
                continue
            self._unreadable.pop(pid, None)
            if record is not None:
                self._clocks[index] = record.cpu_ns
            reconciler.apply(pid, record, exited_during_sweep=clock_ns != cpu_clock.GONE)
        reconciler.reconcile()
        active = {self._pids[index] for index in moved}
        active.update(self._count_waiting(instant, active))
        for pid in reconciler.exited_pids:
            self._remove(pid)
        processes = self._table.copy()
        for record in self._reader.reread(processes):
            self._table.put(record)
            processes[record.pid] = record
            active.add(record.pid)
        self._reader.end_sweep(processes)
        for pid, reason in self._unreadable.items():
            if reason not in _SHORTAGES:
                processes.pop(pid, None)
        return SweepResult(
            processes,
            Counter(self._unreadable.values()) + self._unlisted,
            reconciler.hidden_parents(),
            active=[processes[pid] for pid in active if pid in processes],
            exited=reconciler.exited(),
        )

    def _count_waiting(self, instant: Instant, have_run: Container[int]) -> list[int]:
        """Update the run delay of processes that were runnable and have not run since, and return their PIDs."""
        waiting: list[int] = []
        for pid, wait_ns in self._reader.still_waiting(instant):
            known = self._table.get(pid)
            if pid not in have_run and known is not None and known.wait_ns is not None and wait_ns > known.wait_ns:
                self._table.put(replace(known, wait_ns=wait_ns))
                waiting.append(pid)
        return waiting

    def _insert(self, pid: int) -> None:
        index = bisect_left(self._pids, pid)
        if self._pids[index : index + 1] != [pid]:
            self._pids.insert(index, pid)
            self._clock_ids.insert(index, cpu_clock.clock_id(pid))
            self._clocks.insert(index, _UNREAD)

    def _remove(self, pid: int) -> None:
        index = bisect_left(self._pids, pid)
        del self._pids[index], self._clock_ids[index], self._clocks[index]
        self._unreadable.pop(pid, None)
