"""Reads ``/proc/PID/stat`` of all processes each time: where CPU clocks do not speak of this /proc."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

from cpuwatch.model import ProcessTimes
from cpuwatch.samplers._process_reader import Instant, ProcessReader, errno_name

__all__ = ["StatSweep"]


class StatSweep:
    """The table of all processes, read anew at each reading.

    A process of which nothing changed keeps its record.
    """

    backend = "procfs/stat"

    def __init__(self, list_pids: Callable[[], Collection[int]], reader: ProcessReader, tick_ns: int) -> None:
        self.resolution_seconds = tick_ns / 1e9
        self._list_pids = list_pids
        self._reader = reader
        self._records: dict[int, ProcessTimes] = {}

    def prepare(self, forks: int | None, last_pid: int) -> None:
        """Nothing: all processes are listed at each sweep."""

    def sweep(self, instant: Instant) -> tuple[dict[int, ProcessTimes], Counter[str]]:
        """All processes that could be read, by PID, and how many could not, by reason."""
        processes: dict[int, ProcessTimes] = {}
        unreadable: Counter[str] = Counter()
        for pid in self._list_pids():
            known = self._records.get(pid)
            try:
                record = self._reader.read(pid, None, known, instant)
            except OSError as error:
                unreadable[errno_name(error)] += 1
                continue
            if record is not None:
                processes[pid] = known if known == record else record
        for record in self._reader.renewed(processes):
            processes[record.pid] = record
        self._reader.end_sweep()
        self._records = processes
        return processes.copy(), unreadable
