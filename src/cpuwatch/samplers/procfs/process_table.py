"""What is known of each process, by PID, with the children of each at hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from cpuwatch.model import PidNamespace, ProcessTimes

__all__ = ["ProcessTable"]


class ProcessTable:
    """The newest record of each process."""

    def __init__(self) -> None:
        self._records: dict[int, ProcessTimes] = {}
        self._children: defaultdict[int | None, set[int]] = defaultdict(set)
        self._inits: dict[int, PidNamespace] = {}
        self._last_pid = 0
        self._in_order = True

    def __contains__(self, pid: int) -> bool:
        return pid in self._records

    def get(self, pid: int | None) -> ProcessTimes | None:
        """Its record; None for one that is not known."""
        return None if pid is None else self._records.get(pid)

    def pids(self) -> set[int]:
        """The PIDs of all."""
        return set(self._records)

    def children(self, pid: int) -> set[int]:
        """The PIDs of those whose parent this is, as far as is known."""
        return set(self._children.get(pid, ()))

    def unknown_parents(self) -> list[int]:
        """The PIDs of parents that are not in the table themselves; 0, which stands for none, is not one."""
        return [ppid for ppid in self._children if ppid and ppid not in self._records]

    def namespace_inits(self) -> list[tuple[int, PidNamespace]]:
        """The inits of PID namespaces other than the one that is read."""
        return list(self._inits.items())

    def put(self, record: ProcessTimes) -> None:
        """Add a process, or replace what was known of it."""
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
        """Forget a process, if it is known."""
        known = self._records.pop(pid, None)
        if known is not None:
            self._leave_parent(known)
            self._inits.pop(pid, None)

    def update(self, renewed: Callable[[ProcessTimes], ProcessTimes]) -> None:
        """Replace every record by another of the same process with the same parent."""
        for pid, record in self._records.items():
            self._records[pid] = renewed(record)

    def copy(self) -> dict[int, ProcessTimes]:
        """All records by PID, in the order of the PIDs."""
        if not self._in_order:
            self._records = dict(sorted(self._records.items()))
            self._in_order = True
        return self._records.copy()

    def _leave_parent(self, record: ProcessTimes) -> None:
        siblings = self._children[record.ppid]
        siblings.discard(record.pid)
        if not siblings:
            del self._children[record.ppid]
