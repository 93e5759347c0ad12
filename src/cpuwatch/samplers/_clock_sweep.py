"""Reads all processes in two phases: every CPU clock, then only what the clocks say has changed.

The ground it stands on: a process whose clock did not move has not run, so it cannot have changed its name, user,
state or number of threads; what was read of it stays true. Its parent may have ended, though.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Collection

from msgspec.structs import replace

from cpuwatch.model import ProcessTimes
from cpuwatch.samplers import _cpu_clock
from cpuwatch.samplers._process_reader import Instant, ProcessReader, errno_name

__all__ = ["ClockSweep"]

_NEVER = -2
"""The last clock of a process that is yet to be read: equal to no clock and not to GONE."""

_LASTING = {errno.EACCES, errno.EPERM}
"""Refusals that stay until the process does something: asking again before its clock moves is in vain."""


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
        gone: set[int] = set()
        parents_ended: set[int] = set()
        for index, (clock, old_clock) in enumerate(zip(self._clocks, before, strict=True)):
            if clock == old_clock:
                continue
            pid = self._pids[index]
            known = self._records.get(pid)
            try:
                record = self._reader.read(pid, clock, known, instant)
            except OSError as error:
                self._unreadable[pid] = errno_name(error)
                if error.errno not in _LASTING:
                    self._clocks[index] = _NEVER
                continue
            self._unreadable.pop(pid, None)
            if record is None:
                gone.add(pid)
            else:
                self._clocks[index] = record.cpu_ns
                self._records[pid] = record
            if record is None or record.state == "Z" or (known is not None and known.key != record.key):
                parents_ended.add(pid)
        if gone or len(self._records) != known_before:
            self._keep({p: c for p, c in zip(self._pids, self._clocks, strict=True) if p not in gone})
        if parents_ended:
            self._follow_orphans(parents_ended, instant)
        processes = self._records.copy()
        for pid in self._unreadable:
            processes.pop(pid, None)
        return processes, Counter(self._unreadable.values()) + self._unlisted

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

    def _follow_orphans(self, parents_ended: set[int], instant: Instant) -> None:
        """Children of what has ended get another parent without running (find_new_reaper in kernel/exit.c)."""
        orphans = [record for record in self._records.values() if record.ppid in parents_ended]
        for orphan in orphans:
            try:
                now = self._reader.read(orphan.pid, orphan.cpu_ns, orphan, instant)
            except OSError:
                continue
            if now is not None and now.key == orphan.key:
                self._records[orphan.pid] = replace(orphan, ppid=now.ppid)
