"""Makes the parents, the children's time and the list of the living agree, whatever ended during a sweep.

A sweep takes time. A process that ends meanwhile may be in the time of its reaper and still be shown as living, or the
other way round, and what it had used would be shown twice. The kernel adds an ended process to the children's time of
its reaper just before it takes it off the list (wait_task_zombie, then release_task). So one that is gone is in the
time of a reaper that is read afterwards, and one that is still there after a reaper was read is not in that. Where it
came otherwise, the reaper or the process is read again, until nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from cpuwatch.accounting.reapers import possible_reapers
from cpuwatch.model import PidNamespace, ProcessTimes
from cpuwatch.samplers.procfs.process_table import ProcessTable

__all__ = ["Settling"]

_MAX_ROUNDS = 20
"""In a storm of processes something always has changed."""


class Settling:
    """What one sweep finds out about processes that others depend on.

    ``read`` reads a known process again, for its new record or ``None`` if it has ended (raises ``OSError``);
    ``has_ended`` asks only that, of any PID.
    """

    def __init__(
        self,
        table: ProcessTable,
        read: Callable[[ProcessTimes], ProcessTimes | None],
        has_ended: Callable[[int], bool],
    ) -> None:
        self._table = table
        self._read = read
        self._has_ended = has_ended
        self.gone: set[int] = set()
        """The PIDs under which nothing is left."""
        self._up_to_date: set[int] = set()
        """Read after the last process ended that is known to have."""
        self._ended: dict[int, ProcessTimes] = {}
        """As they were known, by the PID they had."""
        self._childless: set[int] = set()
        """Whose children have another parent now."""
        self._grown: set[int] = set()
        """Whose children's time has grown."""
        self._grown_since: set[int] = set()
        """The same, as far as their children have not been looked at."""

    def note(self, pid: int, record: ProcessTimes | None, *, ended_meanwhile: bool) -> None:
        """Take what was read of a process into the table: ``None`` if it has ended.

        ``ended_meanwhile``: perhaps after some of the others were read, who may have waited for it.
        """
        known = self._table.get(pid)
        replaced = record is not None and known is not None and known.key != record.key
        if record is None:
            self.gone.add(pid)
            self._table.remove(pid)
            if ended_meanwhile:
                self._up_to_date.clear()
        else:
            self._up_to_date.add(pid)
            self._table.put(record)
            if (record.children_ns or 0) != (0 if known is None else known.children_ns or 0):
                self._grown.add(pid)
                self._grown_since.add(pid)
        if known is not None and (record is None or replaced):
            self._ended[pid] = known
        if record is None or replaced or record.state == "Z":
            self._childless.add(pid)

    def settle(self) -> None:
        """Read again what has to be, until all agree.

        Children of what has ended get another parent without running (find_new_reaper in kernel/exit.c).
        """
        for _ in range(_MAX_ROUNDS):
            again = self._reapers() - self._up_to_date
            for parent in self._childless:
                again |= self._table.children(parent)
            for reaper in self._grown_since:
                again.update(filter(self._has_ended, self._table.children(reaper)))
            self._childless.clear()
            self._grown_since.clear()
            known = [record for record in map(self._table.get, again) if record is not None]
            if not known:
                return
            for record in known:
                # One that cannot be read now stays as it was known.
                with suppress(OSError):
                    self.note(record.pid, self._read(record), ended_meanwhile=True)

    def hidden_parents(self) -> frozenset[int]:
        """The living parents that are not in the table, of processes that are or were."""
        ended = (record.ppid for record in self._ended.values())
        unknown = {*self._table.unknown_parents(), *(ppid for ppid in ended if ppid and ppid not in self._table)}
        return frozenset(pid for pid in unknown if not self._has_ended(pid))

    def _reapers(self) -> set[int]:
        """Who may have waited for those that ended."""
        reapers: set[int] = set()
        for record in self._ended.values():
            found = possible_reapers(record.pid, record.ppid, self)
            reapers.update(found.pids)
            if not found.is_complete:
                reapers |= self._grown
        return reapers

    # Relations (cpuwatch.reapers): a PID that was reused stands for the one that ended, whose relatives are asked for.

    def parent(self, pid: int) -> int | None:
        """The PID of its parent, 0 for none; None if nothing is known of this process."""
        known = self._known(pid)
        return None if known is None else known.ppid or 0

    def lives(self, pid: int) -> bool:
        """Whether it is still there."""
        return pid not in self._ended and pid in self._table

    def is_zombie(self, pid: int) -> bool:
        """Whether nobody has waited for it yet."""
        known = self._table.get(pid)
        return known is not None and known.state == "Z"

    def namespace(self, pid: int) -> PidNamespace | None:
        """Its PID namespace, if it is not the one that is read."""
        known = self._known(pid)
        return None if known is None else known.pid_namespace

    def inits(self) -> Iterable[tuple[int, PidNamespace]]:
        """The living inits of other PID namespaces."""
        return self._table.namespace_inits()

    def _known(self, pid: int) -> ProcessTimes | None:
        return self._ended.get(pid) or self._table.get(pid)
