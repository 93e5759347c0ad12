"""Reads ``/proc/PID/stat`` of all processes each time: where CPU clocks do not speak of this /proc."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

from cpuwatch.samplers.procfs.process_reader import Instant, ProcessReader, errno_name
from cpuwatch.samplers.procfs.process_table import ProcessTable
from cpuwatch.samplers.procfs.swept import Swept
from cpuwatch.samplers.settling import Settling

__all__ = ["StatSweep"]


class StatSweep:
    """The table of all processes, read anew at each reading.

    A process of which nothing changed keeps its record.
    """

    backend = "procfs/stat"

    def __init__(
        self,
        table: ProcessTable,
        root: Path,
        list_pids: Callable[[], Collection[int]],
        reader: ProcessReader,
        tick_ns: int,
    ) -> None:
        self.resolution_seconds = tick_ns / 1e9
        self._table = table
        self._root = root
        self._list_pids = list_pids
        self._reader = reader

    def prepare(self, forks: int | None, last_pid: int, *, some_can_appear: bool) -> None:
        """Nothing: all processes are listed at each sweep."""

    def sweep(self, instant: Instant) -> Swept:
        """Read the processes."""
        unreadable: Counter[str] = Counter()
        settling = Settling(
            self._table,
            lambda known: self._reader.read(known.pid, None, known, instant),
            lambda pid: not (self._root / str(pid)).exists(),
        )
        listed = self._list_pids()
        # What had ended by then was waited for before any of the others is read.
        for pid in self._table.pids().difference(listed):
            settling.note(pid, None, ended_meanwhile=False)
        for pid in listed:
            known = self._table.get(pid)
            try:
                record = self._reader.read(pid, None, known, instant)
            except OSError as error:
                unreadable[errno_name(error)] += 1
                self._table.remove(pid)
                continue
            settling.note(pid, known if known == record else record, ended_meanwhile=True)
        settling.settle()
        processes = self._table.copy()
        for record in self._reader.renewed(processes):
            self._table.put(record)
            processes[record.pid] = record
        self._reader.end_sweep()
        return Swept(processes, unreadable, settling.hidden_parents())
