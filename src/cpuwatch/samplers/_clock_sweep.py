"""Reads all processes in two phases: every CPU clock, then only what the clocks say has changed.

The ground it stands on: a process whose clock did not move has not run, so it cannot have changed its name, user ID or
number of threads; what was read of it stays true. What others change meanwhile is looked at apart from that: its parent
may have ended (``_settle``), and it may have been moved to another cgroup, frozen, or its user may have got another
name (:meth:`~cpuwatch.samplers._process_reader.ProcessReader.renewed`).
"""

from __future__ import annotations

import errno
import operator
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import compress, count

from cpuwatch.model import ProcessTimes
from cpuwatch.samplers import _cpu_clock
from cpuwatch.samplers._given_pids import GivenPids
from cpuwatch.samplers._process_reader import Instant, ProcessReader, errno_name
from cpuwatch.samplers._process_table import ProcessTable

__all__ = ["ClockSweep"]

_NEVER = -2
"""The last clock of a process that is yet to be read: equal to no clock and not to GONE."""

_LASTING = {errno.EACCES, errno.EPERM}
"""Refusals that stay until the process does something: asking again before its clock moves is in vain."""

_SETTLING_ROUNDS = 20

_FEW_PIDS = 100
"""So many are asked for whether they are there, on however small a machine."""


class _Seen:
    """What one sweep finds out about processes that others depend on."""

    def __init__(self) -> None:
        self.read: set[int] = set()
        """Read after the last process ended that is known to have."""
        self.gone: set[int] = set()
        """No longer there."""
        self.ended: dict[int, ProcessTimes] = {}
        """As they were known, by the PID they had."""
        self.childless: set[int] = set()
        """Whose children have another parent now."""
        self.reapers: set[int] = set()
        """Whose children's time has grown."""


class ClockSweep:
    """The table of all processes, brought up to date at each reading.

    Three lists run side by side, sorted by PID, so that the order in which clocks are read, and with it the skew, stays
    the same: they are what the loops over *all* processes work on, in C. Why a process could not be read last time
    stands in ``_unreadable``.
    """

    backend = "procfs/clock"

    def __init__(
        self, list_pids: Callable[[], Collection[int]], reader: ProcessReader, given: GivenPids | None
    ) -> None:
        self.resolution_seconds = _cpu_clock.resolution_seconds()
        self._list_pids = list_pids
        self._reader = reader
        self._given = given
        self._pids: list[int] = []
        self._clock_ids: list[int] = []
        self._clocks: list[int] = []
        self._table = ProcessTable()
        self._unreadable: dict[int, str] = {}
        self._unlisted: Counter[str] = Counter()
        self._has_listed = False

    def prepare(self, forks: int | None, last_pid: int) -> None:
        """Find the processes that are new, from what the kernel counted just before.

        If /proc cannot be listed (EMFILE), those that are known go on, and new ones are found next time.
        """
        self._unlisted.clear()
        given = None if self._given is None else self._given.look(forks, last_pid)
        # To ask for a clock in vain costs as much as to list a process.
        if self._has_listed and given is not None and len(given) <= max(_FEW_PIDS, len(self._pids)):
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

    def sweep(self, instant: Instant) -> tuple[dict[int, ProcessTimes], Counter[str]]:
        """All processes that could be read, by PID, and how many could not, by reason."""
        before, self._clocks = self._clocks, _cpu_clock.read_all(self._clock_ids)
        seen = _Seen()
        # In C for all processes; what follows in Python is for those that ran.
        for index in list(compress(count(), map(operator.ne, self._clocks, before))):
            pid = self._pids[index]
            try:
                record = self._read(pid, self._clocks[index], instant, seen)
            except OSError as error:
                self._unreadable[pid] = errno_name(error)
                if error.errno not in _LASTING:
                    self._clocks[index] = _NEVER
                continue
            self._unreadable.pop(pid, None)
            if record is not None:
                self._clocks[index] = record.cpu_ns
        self._settle(seen, instant)
        for pid in seen.gone:
            self._dismiss(pid)
        processes = self._table.copy()
        for record in self._reader.renewed(processes):
            self._table.put(record)
            processes[record.pid] = record
        self._reader.end_sweep()
        for pid in self._unreadable:
            processes.pop(pid, None)
        return processes, Counter(self._unreadable.values()) + self._unlisted

    def _read(self, pid: int, clock: int, instant: Instant, seen: _Seen) -> ProcessTimes | None:
        """Read one process into the table, and note what follows from it for others."""
        known = self._table.get(pid)
        record = self._reader.read(pid, clock, known, instant)
        replaced = record is not None and known is not None and known.key != record.key
        if record is None:
            seen.gone.add(pid)
            self._table.remove(pid)
            if clock != _cpu_clock.GONE:
                # It ended only now, so it is not in the children's time of those that were read before.
                seen.read.clear()
        else:
            seen.read.add(pid)
            self._table.put(record)
            if record.children_ns != (0 if known is None else known.children_ns):
                seen.reapers.add(pid)
        if known is not None and (record is None or replaced):
            seen.ended[pid] = known
        if record is None or replaced or record.state == "Z":
            seen.childless.add(pid)
        return record

    def _settle(self, seen: _Seen, instant: Instant) -> None:
        """Make the parents, the children's time and the list of the living agree.

        Children of what has ended get another parent without running (find_new_reaper in kernel/exit.c).

        The kernel adds an ended process to the children's time of its reaper just before it takes it off the list
        (wait_task_zombie, then release_task). So one that is gone is in the time of an ancestor that is read
        afterwards, and one that is still there after an ancestor was read is not in that. Where it came otherwise, its
        time would be shown twice: then the ancestor or the process is looked at again, until nothing has changed. In a
        storm something always has; the bound is there for that.
        """
        for _ in range(_SETTLING_ROUNDS):
            again = self._possible_reapers(seen.ended) - seen.read
            for parent in seen.childless:
                again |= self._table.children(parent)
            for parent in seen.reapers:
                children = self._table.children(parent)
                again.update(pid for pid in children if _cpu_clock.read_one(pid) == _cpu_clock.GONE)
            seen.childless.clear()
            seen.reapers.clear()
            known = [record for record in map(self._table.get, again) if record is not None]
            if not known:
                return
            for record in known:
                # One that cannot be read now stays as it was known.
                with suppress(OSError):
                    self._read(record.pid, record.cpu_ns, instant, seen)

    def _possible_reapers(self, ended: dict[int, ProcessTimes]) -> set[int]:
        """Who may have waited for these: the parent, or if that has ended too, any ancestor that lives on."""
        reapers: set[int] = set()
        for record in ended.values():
            pid = record.ppid
            while pid in ended and ended[pid] is not record:
                pid = ended[pid].ppid
            above = self._table.get(pid)
            while above is not None and above.pid not in reapers:
                reapers.add(above.pid)
                if above.pid == record.ppid and above.state != "Z":
                    break
                above = self._table.get(above.ppid)
        return reapers

    def _admit(self, pid: int) -> None:
        index = bisect_left(self._pids, pid)
        if self._pids[index : index + 1] != [pid]:
            self._pids.insert(index, pid)
            self._clock_ids.insert(index, _cpu_clock.clock_id(pid))
            self._clocks.insert(index, _NEVER)

    def _dismiss(self, pid: int) -> None:
        index = bisect_left(self._pids, pid)
        del self._pids[index], self._clock_ids[index], self._clocks[index]
