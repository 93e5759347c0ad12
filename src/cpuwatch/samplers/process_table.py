"""The newest record of each process, indexed by PID and by parent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from cpuwatch.model import PidNamespace, ProcessTimes

__all__ = ["ProcessTable"]


class ProcessTable:
    """Maps PIDs to records, and parents to their children."""

    def __init__(self) -> None:
        self._records: dict[int, ProcessTimes] = {}
        self._children: defaultdict[int | None, set[int]] = defaultdict(set)
        self._inits: dict[int, PidNamespace] = {}
        self._last_pid = 0
        self._in_order = True

    def __contains__(self, pid: int) -> bool:
        return pid in self._records

    def get(self, pid: int | None) -> ProcessTimes | None:
        """The record of a process, or None if it is unknown."""
        return None if pid is None else self._records.get(pid)

    def pids(self) -> set[int]:
        """The PIDs of all processes."""
        return set(self._records)

    def children(self, pid: int) -> set[int]:
        """The PIDs of the known children of a process."""
        return set(self._children.get(pid, ()))

    def unknown_parents(self) -> list[int]:
        """The PIDs of parents that are not in the table. PID 0 means "no parent" and is left out."""
        return [ppid for ppid in self._children if ppid and ppid not in self._records]

    def namespace_inits(self) -> list[tuple[int, PidNamespace]]:
        """The init processes of PID namespaces other than the sampled one."""
        return list(self._inits.items())

    def put(self, record: ProcessTimes) -> None:
        """Add a process, or replace its record."""
        known = self._records.get(record.pid)
        if known is None:
            self._in_order &= record.pid > self._last_pid
            self._last_pid = max(self._last_pid, record.pid)
        if known is None or known.ppid != record.ppid:
            if known is not None:
                self._leave_parent(known)
            self._children[record.ppid].add(record.pid)
        if record.pid_namespace is not None and record.pid_namespace.pid == 1:
            self._inits[record.pid] = record.pid_namespace
        else:
            self._inits.pop(record.pid, None)
        self._records[record.pid] = record

    def remove(self, pid: int) -> None:
        """Remove a process; does nothing if it is unknown."""
        known = self._records.pop(pid, None)
        if known is not None:
            self._leave_parent(known)
            self._inits.pop(pid, None)

    def update(self, updated: Callable[[ProcessTimes], ProcessTimes]) -> None:
        """Replace every record. The new record must have the same PID and the same parent."""
        for pid, record in self._records.items():
            self._records[pid] = updated(record)

    def copy(self) -> dict[int, ProcessTimes]:
        """All records by PID, in ascending order."""
        if not self._in_order:
            # Not sorted(items()), which compares tuples.
            self._records = {pid: self._records[pid] for pid in sorted(self._records)}
            self._in_order = True
        return self._records.copy()

    def _leave_parent(self, record: ProcessTimes) -> None:
        siblings = self._children[record.ppid]
        siblings.discard(record.pid)
        if not siblings:
            del self._children[record.ppid]
