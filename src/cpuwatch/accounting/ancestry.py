"""The ancestry of the processes of two readings, through living and exited ones. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from functools import cached_property

from cpuwatch.accounting.reapers import Candidates, possible_reapers
from cpuwatch.model import PidNamespace, ProcessExit, ProcessTimes, Reading

__all__ = ["Ancestry"]


class Ancestry:
    """What two readings tell about exited processes (:class:`~cpuwatch.accounting.reapers.Relations`).

    ``vanished`` are the processes of the earlier reading that have exited. An exit message of the kernel is newer than
    what was last seen of the process, so it takes precedence.
    """

    def __init__(self, earlier: Reading, later: Reading, vanished: Container[int]) -> None:
        self._earlier: Mapping[int, ProcessTimes] = earlier.processes
        self._later: Mapping[int, ProcessTimes] = later.processes
        self._hidden = later.hidden_parents
        self._vanished = vanished
        # If several processes had the same PID, the first is the one in the earlier reading.
        self._exits = {message.pid: message for message in reversed(later.exits)}

    def reapers_of_process(self, process: ProcessTimes) -> Candidates:
        """The candidates for the reaper of a process of the earlier reading."""
        message = self._exits.get(process.pid)
        parent_at_exit = 0 if message is None else message.parent_pid
        return possible_reapers(process.pid, parent_at_exit or process.ppid, self)

    def reapers_of_exit(self, message: ProcessExit) -> Candidates:
        """The candidates for the reaper of a process with an exit message."""
        return possible_reapers(message.pid, message.parent_pid, self)

    def parent(self, pid: int) -> int | None:
        """The PID of the parent, 0 for none; None if the process is unknown."""
        if pid in self._exits and (pid in self._vanished or pid not in self._later):
            return self._exits[pid].parent_pid
        known = self._earlier.get(pid) if pid in self._vanished else self._later.get(pid)
        return None if known is None else known.ppid or 0

    def exists(self, pid: int) -> bool:
        """Whether the process exists in the later reading; zombies and hidden processes do."""
        return (pid in self._later and pid not in self._vanished) or pid in self._hidden

    def is_zombie(self, pid: int) -> bool:
        """Whether the process is a zombie in the later reading."""
        known = self._later.get(pid)
        return known is not None and known.state == "Z"

    def namespace(self, pid: int) -> PidNamespace | None:
        """The PID namespace of the process, unless it is the one that cpuwatch reads."""
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
