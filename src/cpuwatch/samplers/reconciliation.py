"""Reconciles parents, children's time and the list of living processes after a sweep.

A sweep takes time, and processes exit while it runs. The kernel adds an exited process to the children's time of its
reaper just before it removes the process (wait_task_zombie, then release_task). So a sweep can see the same CPU time
twice: in the reaper's children's time and in a process that still looked alive. It can also see it nowhere.

Two facts repair that. A process that is gone is included in any reaper that is read afterwards. A process that is still
there after its reaper was read is not included in that reading. Wherever the sweep read them in another order, the
reaper or the process is read again, until nothing changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from cpuwatch.accounting.reapers import possible_reapers
from cpuwatch.model import PidNamespace, ProcessTimes
from cpuwatch.samplers.process_table import ProcessTable

__all__ = ["Reconciler", "UnreadableError"]

_MAX_ROUNDS = 20
"""While processes fork and exit all the time, no round finds everything unchanged."""


class UnreadableError(OSError):
    """A process exists but cannot be read; the message is the reason under which it is counted."""


class Reconciler:
    """Applies what one sweep reads to the table, and reads again what exits have made stale.

    ``reread`` reads a known process and returns its new record, or ``None`` if it has exited; it may raise ``OSError``.
    ``has_exited`` only checks whether a PID is gone; the table need not know the PID.
    """

    def __init__(
        self,
        table: ProcessTable,
        reread: Callable[[ProcessTimes], ProcessTimes | None],
        has_exited: Callable[[int], bool],
    ) -> None:
        self._table = table
        self._reread = reread
        self._has_exited = has_exited
        self.exited_pids: set[int] = set()
        """PIDs that no process has any more."""
        self._up_to_date: set[int] = set()
        """PIDs that were read after the last known exit."""
        self._exited: dict[int, ProcessTimes] = {}
        """The last records of the processes that exited, by PID. A new process may have the PID by now."""
        self._childless: set[int] = set()
        """PIDs whose children have been given another parent."""
        self._grown: set[int] = set()
        """PIDs whose children's time has grown."""
        self._grown_unchecked: set[int] = set()
        """Those of them whose children have not been checked since."""

    def read_all(
        self, listed: Collection[int], read: Callable[[int, ProcessTimes | None], ProcessTimes | None]
    ) -> Counter[str]:
        """Bring the table in line with the list of all PIDs. Returns how many processes were unreadable, by reason.

        ``read`` gets a PID and its known record. It returns the new record, or ``None`` if the process has exited, and
        raises :class:`UnreadableError` for a process to leave out. Other errors end the sweep. A process that did not
        change keeps its record, the same object.
        """
        unreadable: Counter[str] = Counter()
        # Processes that are not listed were reaped before any of the others is read.
        for pid in self._table.pids().difference(listed):
            self.apply(pid, None, exited_during_sweep=False)
        for pid in listed:
            known = self._table.get(pid)
            try:
                record = read(pid, known)
            except UnreadableError as error:
                unreadable[str(error)] += 1
                self._table.remove(pid)
                continue
            self.apply(pid, known if known == record else record, exited_during_sweep=True)
        self.reconcile()
        return unreadable

    def apply(self, pid: int, record: ProcessTimes | None, *, exited_during_sweep: bool) -> None:
        """Put what was read of a process into the table; ``None`` if it has exited.

        ``exited_during_sweep`` says that it may have exited after its possible reapers were read.
        """
        known = self._table.get(pid)
        replaced = record is not None and known is not None and known.key != record.key
        if record is None:
            self.exited_pids.add(pid)
            self._table.remove(pid)
            if exited_during_sweep:
                self._up_to_date.clear()
        else:
            self._up_to_date.add(pid)
            self._table.put(record)
            if (record.children_ns or 0) != (0 if known is None else known.children_ns or 0):
                self._grown.add(pid)
                self._grown_unchecked.add(pid)
        if known is not None and (record is None or replaced):
            self._exited[pid] = known
        if record is None or replaced or record.state == "Z":
            self._childless.add(pid)

    def exited(self) -> list[ProcessTimes]:
        """The last records of the processes that exited, or whose PID another process has now."""
        return list(self._exited.values())

    def reconcile(self) -> None:
        """Read stale processes again until all records agree.

        The children of an exited process get another parent without running (find_new_reaper in kernel/exit.c), so
        they are read again too.
        """
        for _ in range(_MAX_ROUNDS):
            stale = self._reapers() - self._up_to_date
            for parent in self._childless:
                stale |= self._table.children(parent)
            for reaper in self._grown_unchecked:
                stale.update(filter(self._has_exited, self._table.children(reaper)))
            self._childless.clear()
            self._grown_unchecked.clear()
            known = [record for record in map(self._table.get, stale) if record is not None]
            if not known:
                return
            for record in known:
                # A process that cannot be read now keeps its record.
                with suppress(OSError):
                    self.apply(record.pid, self._reread(record), exited_during_sweep=True)

    def hidden_parents(self) -> frozenset[int]:
        """The living parents of known or exited processes that are missing from the table."""
        exited = (record.ppid for record in self._exited.values())
        unknown = {*self._table.unknown_parents(), *(ppid for ppid in exited if ppid and ppid not in self._table)}
        return frozenset(pid for pid in unknown if not self._has_exited(pid))

    def _reapers(self) -> set[int]:
        """The processes that may have reaped the exited ones."""
        reapers: set[int] = set()
        for record in self._exited.values():
            found = possible_reapers(record.pid, record.ppid, self)
            reapers.update(found.pids)
            if not found.is_complete:
                reapers |= self._grown
        return reapers

    # The Relations protocol of cpuwatch.accounting.reapers. A reused PID stands for the exited process here, because
    # its relatives are the ones in question.

    def parent(self, pid: int) -> int | None:
        """The PID of the parent, 0 if it has none; None for an unknown process."""
        known = self._known(pid)
        return None if known is None else known.ppid or 0

    def exists(self, pid: int) -> bool:
        """Whether the process still exists."""
        return pid not in self._exited and pid in self._table

    def is_zombie(self, pid: int) -> bool:
        """Whether the process has exited and was not reaped yet."""
        known = self._table.get(pid)
        return known is not None and known.state == "Z"

    def namespace(self, pid: int) -> PidNamespace | None:
        """The PID namespace of the process; None for the sampled namespace itself."""
        known = self._known(pid)
        return None if known is None else known.pid_namespace

    def inits(self) -> Iterable[tuple[int, PidNamespace]]:
        """The living init processes of other PID namespaces."""
        return self._table.namespace_inits()

    def _known(self, pid: int) -> ProcessTimes | None:
        return self._exited.get(pid) or self._table.get(pid)
