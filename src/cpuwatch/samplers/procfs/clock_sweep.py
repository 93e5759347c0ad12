"""Reads all processes in two phases: every CPU clock, then only what the clocks say has changed.

The ground it stands on: a process whose clock did not move has not run, so it cannot have changed its name, user ID or
number of threads; what was read of it stays true. What others change meanwhile is looked at apart from that: its parent
may have ended (``_settle``), and it may have been moved to another cgroup, frozen, or its user may have got another
name (:meth:`~cpuwatch.samplers.procfs.process_reader.ProcessReader.renewed`).
"""

from __future__ import annotations

import errno
import operator
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection
from itertools import compress, count

from msgspec.structs import replace

from cpuwatch.samplers.procfs import cpu_clock as _cpu_clock
from cpuwatch.samplers.procfs.new_pids import GivenPids
from cpuwatch.samplers.procfs.process_reader import Instant, ProcessReader, errno_name
from cpuwatch.samplers.procfs.process_table import ProcessTable
from cpuwatch.samplers.procfs.swept import Swept
from cpuwatch.samplers.settling import Settling

__all__ = ["ClockSweep"]

_NEVER = -2
"""The last clock of a process that is yet to be read: equal to no clock and not to GONE."""

_LASTING = {errno.EACCES, errno.EPERM}
"""Refusals that stay until the process does something: asking again before its clock moves is in vain."""

_SHORTAGES = {"EMFILE", "ENFILE", "ENOMEM"}
"""Refusals that are ours, not the process's: its clock, which takes no descriptor, still tells what it uses."""

_FEW_PIDS = 100
"""So many are asked for whether they are there, on however small a machine."""


class ClockSweep:
    """The table of all processes, brought up to date at each reading.

    Three lists run side by side, sorted by PID, so that the order in which clocks are read, and with it the skew, stays
    the same: they are what the loops over *all* processes work on, in C. Why a process could not be read last time
    stands in ``_unreadable``.
    """

    backend = "procfs/clock"

    def __init__(
        self,
        table: ProcessTable,
        list_pids: Callable[[], Collection[int]],
        reader: ProcessReader,
        given: GivenPids | None,
    ) -> None:
        self.resolution_seconds = _cpu_clock.resolution_seconds()
        self._table = table
        self._list_pids = list_pids
        self._reader = reader
        self._given = given
        self._pids: list[int] = []
        self._clock_ids: list[int] = []
        self._clocks: list[int] = []
        self._unreadable: dict[int, str] = {}
        self._unlisted: Counter[str] = Counter()
        self._has_listed = False

    def prepare(self, forks: int | None, last_pid: int, *, some_can_appear: bool) -> None:
        """Find the processes that are new, from what the kernel counted just before.

        ``some_can_appear``: there are hidden ones, which the kernel does not count when they are shown.
        If /proc cannot be listed (EMFILE), those that are known go on, and new ones are found next time.
        """
        self._unlisted.clear()
        given = None if self._given is None else self._given.look(forks, last_pid)
        # To ask for a clock in vain costs as much as to list a process.
        if (
            self._has_listed
            and not some_can_appear
            and given is not None
            and len(given) <= max(_FEW_PIDS, len(self._pids))
        ):
            clocks = _cpu_clock.read_all(map(_cpu_clock.clock_id, given))
            # To the thread that asks, the kernel tells its process's clock under its own number too (pid_for_clock in
            # kernel/time/posix-cpu-timers.c): a thread started since the last look would pass for a process.
            own_thread = threading.get_native_id()
            for pid in compress(given, map(_cpu_clock.GONE.__ne__, clocks)):
                if pid != own_thread:
                    self._admit(pid)
            return
        try:
            listed = self._list_pids()
        except OSError as error:
            self._unlisted[errno_name(error)] += 1
            self._has_listed = False
        else:
            self._has_listed = True
            for pid in sorted(set(listed).difference(self._pids)):
                self._admit(pid)

    def sweep(self, instant: Instant) -> Swept:
        """Read the processes."""
        before, self._clocks = self._clocks, _cpu_clock.read_all(self._clock_ids)
        settling = Settling(
            self._table,
            # The clock stays what it was at the sweep: all clocks are of one instant.
            lambda known: self._reader.read(known.pid, known.cpu_ns, known, instant),
            lambda pid: _cpu_clock.read_one(pid) == _cpu_clock.GONE,
        )
        # In C for all processes; what follows in Python is for those that ran.
        for index in list(compress(count(), map(operator.ne, self._clocks, before))):
            pid, clock_ns = self._pids[index], self._clocks[index]
            known = self._table.get(pid)
            try:
                record = self._reader.read(pid, clock_ns, known, instant)
            except OSError as error:
                reason = self._unreadable[pid] = errno_name(error)
                if error.errno not in _LASTING:
                    self._clocks[index] = _NEVER
                if reason in _SHORTAGES and known is not None and clock_ns >= known.cpu_ns:
                    self._table.put(replace(known, cpu_ns=clock_ns))
                continue
            self._unreadable.pop(pid, None)
            if record is not None:
                self._clocks[index] = record.cpu_ns
            settling.note(pid, record, ended_meanwhile=clock_ns != _cpu_clock.GONE)
        settling.settle()
        for pid in settling.gone:
            self._dismiss(pid)
        processes = self._table.copy()
        for record in self._reader.renewed(processes):
            self._table.put(record)
            processes[record.pid] = record
        self._reader.end_sweep()
        for pid, reason in self._unreadable.items():
            if reason not in _SHORTAGES:
                processes.pop(pid, None)
        return Swept(processes, Counter(self._unreadable.values()) + self._unlisted, settling.hidden_parents())

    def _admit(self, pid: int) -> None:
        index = bisect_left(self._pids, pid)
        if self._pids[index : index + 1] != [pid]:
            self._pids.insert(index, pid)
            self._clock_ids.insert(index, _cpu_clock.clock_id(pid))
            self._clocks.insert(index, _NEVER)

    def _dismiss(self, pid: int) -> None:
        index = bisect_left(self._pids, pid)
        del self._pids[index], self._clock_ids[index], self._clocks[index]
        self._unreadable.pop(pid, None)
