"""How the processes of two readings were related: the line of parents through living and ended ones. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from functools import cached_property

from cpuwatch.accounting.reapers import Candidates, possible_reapers
from cpuwatch.model import PidNamespace, ProcessExit, ProcessTimes, Reading

__all__ = ["Kinship"]


class Kinship:
    """The processes around those that ended between two readings (:class:`~cpuwatch.accounting.reapers.Relations`).

    ``vanished`` are those of the earlier reading that ended. What the kernel said of a process when it ended is newer
    than both readings, so that stands over what was last seen of it.
    """

    def __init__(self, earlier: Reading, later: Reading, vanished: Container[int]) -> None:
        self._earlier: Mapping[int, ProcessTimes] = earlier.processes
        self._later: Mapping[int, ProcessTimes] = later.processes
        self._hidden = later.hidden_parents
        self._vanished = vanished
        # Of several holders of one PID the first is the one that the earlier reading shows.
        self._exits = {end.pid: end for end in reversed(later.exits)}

    def reapers_of_seen(self, process: ProcessTimes) -> Candidates:
        """Who may have waited for a process of the earlier reading."""
        end = self._exits.get(process.pid)
        told = 0 if end is None else end.parent_pid
        return possible_reapers(process.pid, told or process.ppid, self)

    def reapers_of_ended(self, end: ProcessExit) -> Candidates:
        """Who may have waited for a process that the kernel told of."""
        return possible_reapers(end.pid, end.parent_pid, self)

    def parent(self, pid: int) -> int | None:
        """The PID of its parent, 0 for none; None if nothing is known of this process."""
        if pid in self._exits and (pid in self._vanished or pid not in self._later):
            return self._exits[pid].parent_pid
        known = self._earlier.get(pid) if pid in self._vanished else self._later.get(pid)
        return None if known is None else known.ppid or 0

    def lives(self, pid: int) -> bool:
        """Whether it is there in the later reading, be it as a zombie or hidden."""
        return (pid in self._later and pid not in self._vanished) or pid in self._hidden

    def is_zombie(self, pid: int) -> bool:
        """Whether it is a zombie in the later reading."""
        known = self._later.get(pid)
        return known is not None and known.state == "Z"

    def namespace(self, pid: int) -> PidNamespace | None:
        """Its PID namespace, if it is not the one that is read."""
        known = self._earlier.get(pid) if pid in self._vanished else self._later.get(pid)
        return None if known is None else known.pid_namespace

    def inits(self) -> Iterable[tuple[int, PidNamespace]]:
        """The living inits of other PID namespaces."""
        return self._inits

    @cached_property
    def _inits(self) -> list[tuple[int, PidNamespace]]:
        return [
            (pid, record.pid_namespace)
            for pid, record in self._later.items()
            if record.pid_namespace is not None and record.pid_namespace.pid == 1
        ]
