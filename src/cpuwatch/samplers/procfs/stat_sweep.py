"""Reads ``/proc/PID/stat`` of every process: the sweep for a /proc that the CPU clocks do not belong to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from cpuwatch.model import ProcessTimes
from cpuwatch.samplers.process_table import ProcessTable
from cpuwatch.samplers.procfs.process_reader import ProcessReader, errno_name
from cpuwatch.samplers.procfs.sweep import Instant, SweepResult
from cpuwatch.samplers.reconciliation import Reconciler, UnreadableError

__all__ = ["StatSweep"]


class StatSweep:
    """Lists and reads all processes in every sweep. A process that did not change keeps its record."""

    backend = "procfs/stat"

    def __init__(
        self,
        table: ProcessTable,
        root: Path,
        list_pids: Callable[[], Collection[int]],
        reader: ProcessReader,
        tick_ns: int,
    ) -> None:
        self.resolution_seconds: float = tick_ns / 1e9
        self._table = table
        self._root = root
        self._list_pids = list_pids
        self._reader = reader
        self._before: dict[int, ProcessTimes] = {}

    def find_new(self, forks: int | None, last_pid: int, *, hidden_can_appear: bool) -> None:
        """Do nothing: the sweep lists all processes."""

    def sweep(self, instant: Instant) -> SweepResult:
        """Read the processes."""

        def read(pid: int, known: ProcessTimes | None) -> ProcessTimes | None:
            try:
                return self._reader.read(pid, None, known, instant)
            except OSError as error:
                raise UnreadableError(errno_name(error)) from error

        reconciler = Reconciler(
            self._table,
            lambda known: read(known.pid, known),
            lambda pid: not (self._root / str(pid)).exists(),
        )
        unreadable = reconciler.read_all(self._list_pids(), read)
        before, processes = self._before, self._table.copy()
        for record in self._reader.reread(processes):
            self._table.put(record)
            processes[record.pid] = record
        self._reader.end_sweep(processes)
        self._before = processes
        active = [record for pid, record in processes.items() if record is not before.get(pid)]
        return SweepResult(processes, unreadable, reconciler.hidden_parents(), active, reconciler.exited())
