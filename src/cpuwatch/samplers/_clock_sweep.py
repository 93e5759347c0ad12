"""Reads all processes in two phases: every CPU clock, then only what the clocks say has changed.

The ground it stands on: a process whose clock did not move has not run, so it cannot have changed its name, user,
state or number of threads; what was read of it stays true. Its parent may have ended, though.
"""

from __future__ import annotations

import errno
import operator
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import compress, count

from cpuwatch.model import ProcessTimes
from cpuwatch.samplers import _cpu_clock
from cpuwatch.samplers._process_reader import Instant, ProcessReader, errno_name

__all__ = ["ClockSweep"]

_NEVER = -2
"""The last clock of a process that is yet to be read: equal to no clock and not to GONE."""

_LASTING = {errno.EACCES, errno.EPERM}
"""Refusals that stay until the process does something: asking again before its clock moves is in vain."""


_SETTLING_ROUNDS = 20


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

    Three lists run side by side, by PID: they are what the loops over *all* processes work on, in C. What is known
    of a process stands in ``_records``; why one could not be read last time, in ``_unreadable``.
    """

    backend = "procfs/clock"

    def __init__(self, list_pids: Callable[[], Collection[int]], reader: ProcessReader) -> None:
        self.resolution_seconds = _cpu_clock.resolution_seconds()
        self._list_pids = list_pids
        self._reader = reader
        self._pids: list[int] = []
        self._clock_ids: list[int] = []
        self._clocks: list[int] = []
        self._records: dict[int, ProcessTimes] = {}
        self._unreadable: dict[int, str] = {}
        self._unlisted: Counter[str] = Counter()
        self._forks: int | None = None
        self._forks_move = False

    def prepare(self, forks: int | None) -> None:
        """Find the processes that are new. ``forks`` is the kernel's count of all forks, read just before.

        Listing /proc costs as much as all clocks together. The kernel counts a fork in the same critical section
        in which the new process becomes visible (copy_process in kernel/fork.c), so while the count stands still
        no process is new. Emulated kernels print a constant there: the count is trusted once it was seen to move.

        If /proc cannot be listed (EMFILE), those that are known go on, and new ones are found next time.
        """
        self._unlisted.clear()
        stand_still = forks is not None and forks == self._forks
        self._forks_move |= self._forks is not None and not stand_still
        if stand_still and self._forks_move:
            return
        try:
            self._admit(self._list_pids())
        except OSError as error:
            self._unlisted[errno_name(error)] += 1
        else:
            self._forks = forks

    def sweep(self, instant: Instant) -> tuple[dict[int, ProcessTimes], Counter[str]]:
        """All processes that could be read, by PID, and how many could not, by reason."""
        before, self._clocks = self._clocks, _cpu_clock.read_all(self._clock_ids)
        known_before = len(self._records)
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
        if seen.gone or len(self._records) != known_before:
            self._keep({p: c for p, c in zip(self._pids, self._clocks, strict=True) if p not in seen.gone})
        processes = self._records.copy()
        for pid in self._unreadable:
            processes.pop(pid, None)
        return processes, Counter(self._unreadable.values()) + self._unlisted

    def _read(self, pid: int, clock: int, instant: Instant, seen: _Seen) -> ProcessTimes | None:
        """Read one process into the table, and note what follows from it for others."""
        known = self._records.get(pid)
        record = self._reader.read(pid, clock, known, instant)
        replaced = record is not None and known is not None and known.key != record.key
        if record is None:
            seen.gone.add(pid)
            self._records.pop(pid, None)
            if clock != _cpu_clock.GONE:
                # It ended only now, so it is not in the children's time of those that were read before.
                seen.read.clear()
        else:
            seen.read.add(pid)
            self._records[pid] = record
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
        if not (seen.ended or seen.childless or seen.reapers):
            return
        children: defaultdict[int | None, set[int]] = defaultdict(set)
        for record in self._records.values():
            children[record.ppid].add(record.pid)
        for _ in range(_SETTLING_ROUNDS):
            again = self._possible_reapers(seen.ended) - seen.read
            for parent in seen.childless:
                again |= children.pop(parent, set())
            for parent in seen.reapers:
                again.update(pid for pid in children[parent] if _cpu_clock.read_one(pid) == _cpu_clock.GONE)
            seen.childless.clear()
            seen.reapers.clear()
            again &= self._records.keys()
            if not again:
                return
            for pid in again:
                # One that cannot be read now stays as it was known.
                with suppress(OSError):
                    record_now = self._read(pid, self._records[pid].cpu_ns, instant, seen)
                    if record_now is not None:
                        children[record_now.ppid].add(pid)

    def _possible_reapers(self, ended: dict[int, ProcessTimes]) -> set[int]:
        """Who may have waited for these: the parent, or if that has ended too, any ancestor that lives on."""
        reapers: set[int] = set()
        for record in ended.values():
            pid = record.ppid
            while pid in ended and ended[pid] is not record:
                pid = ended[pid].ppid
            while pid in self._records and pid not in reapers:
                reapers.add(pid)
                if pid == record.ppid and self._records[pid].state != "Z":
                    break
                pid = self._records[pid].ppid
        return reapers

    def _admit(self, pids: Collection[int]) -> None:
        born = set(pids).difference(self._pids)
        if born:
            clocks = dict(zip(self._pids, self._clocks, strict=True))
            # By PID, so that the order in which processes are read, and with it the skew, stays the same.
            self._keep({pid: clocks.get(pid, _NEVER) for pid in sorted([*self._pids, *born])})

    def _keep(self, clocks: dict[int, int]) -> None:
        self._pids = list(clocks)
        self._clocks = list(clocks.values())
        self._clock_ids = list(map(_cpu_clock.clock_id, self._pids))
        self._records = {pid: self._records[pid] for pid in self._pids if pid in self._records}
