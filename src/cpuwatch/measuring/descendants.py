"""The CPU time of the descendants of a process by program, from readings and exits. Pure.

Everything that a descendant used counts, because it started after its ancestor was first observed. What a process used
after its last reading is missing, unless the kernel reported its exit; the caller knows the exact total and shows the
difference as unnamed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from itertools import compress

from msgspec import Struct

from cpuwatch.model import ProcessExit, ProcessTimes, Reading

__all__ = ["Descendants", "Named"]


class Named(Struct):
    """What the processes of one group used, as far as it was seen.

    ``reported_ns`` is the part of ``cpu_ns`` that is from the kernel's messages about exits, which count in ticks, and
    so do ``user_ns`` and ``system_ns``. The rest is exact.
    """

    cpu_ns: int = 0
    reported_ns: int = 0
    user_ns: int = 0
    system_ns: int = 0
    alive_ns: int = 0
    alive: int = 0
    exited: int = 0


class _Member(Struct):
    """A descendant: what was last seen of it. ``key`` is None if only its exit was reported."""

    key: str | None
    group: str | None
    cpu_ns: int
    user_ns: int = 0
    system_ns: int = 0
    children_ns: int = 0
    baseline_ns: int = 0
    own_baseline_ns: int = 0
    gone: bool = False


class Descendants:
    """Follows the descendants of ``root`` from reading to reading.

    ``group_of`` and ``group_of_exit`` name the group of a process. With ``baseline``, the first reading, what was used
    before does not count. ``before_ns`` is by PID what a process had used that is observed from later on.
    """

    def __init__(
        self,
        root: int,
        group_of: Callable[[ProcessTimes], str | None],
        group_of_exit: Callable[[ProcessExit], str | None],
        baseline: Reading | None = None,
        before_ns: Mapping[int, int] | None = None,
    ) -> None:
        self._root = root
        self._group_of = group_of
        self._group_of_exit = group_of_exit
        self._members: dict[int, _Member] = {}
        self._named: dict[str | None, Named] = {}
        self._before: Mapping[int, ProcessTimes] = {}
        self._before_ns = dict(before_ns or {})
        if baseline is not None:
            self.add(baseline)
            self._named.clear()
            for member in self._members.values():
                member.own_baseline_ns = member.cpu_ns
                member.baseline_ns = member.cpu_ns + member.children_ns
                self._sum(member.group).alive += 1

    def add(self, reading: Reading) -> None:
        """Add what the descendants used since the reading before."""
        processes = reading.processes
        unknown = self._add_exits(reading.exits)
        for record in self._changed(processes):
            member = self._members.get(record.pid)
            if member is not None and member.key is not None and member.key == record.key:
                self._update(member, record)
            elif record.ppid == self._root or record.ppid in self._members:
                self._insert(record)
            elif member is not None:
                self._drop(record.pid)
        for pid in [pid for pid in self._members if pid not in processes]:
            self._drop(pid)
        # Their parents may be new. Whoever has the PID of one of them by now is another process.
        self._add_exits([exit_ for exit_ in unknown if exit_.pid not in self._members])
        self._before = processes

    def add_exit(self, exit_: ProcessExit, *, exact: bool) -> None:
        """Add what a descendant used until its exit. A second report about it adds nothing unless it has more."""
        member = self._members.get(exit_.pid)
        if member is None:
            member = self._join(exit_.pid, None, self._group_of_exit(exit_))
        more_ns = max(0, exit_.cpu_ns - member.cpu_ns)
        self._credit(member, more_ns)
        if not exact:
            self._sum(member.group).reported_ns += more_ns
        self._leave(member)

    def living_ns(self) -> int:
        """The CPU time of the descendants that were alive at the last reading, and of the children they waited for."""
        return sum(
            member.cpu_ns + member.children_ns - member.baseline_ns
            for member in self._members.values()
            if not member.gone
        )

    def living_ticks_ns(self) -> tuple[int, int]:
        """The user and system time of the living descendants themselves, in ticks."""
        living = [member for member in self._members.values() if not member.gone]
        return sum(member.user_ns for member in living), sum(member.system_ns for member in living)

    def named(self) -> dict[str | None, Named]:
        """What each group used. ``alive_ns`` is the part of the processes that are alive."""
        for group in self._named.values():
            group.alive_ns = 0
        for member in self._members.values():
            if not member.gone:
                self._sum(member.group).alive_ns += member.cpu_ns - member.own_baseline_ns
        return self._named

    def _changed(self, processes: Mapping[int, ProcessTimes]) -> list[ProcessTimes]:
        """The records that are not the same object as before, parents before their children."""
        records = list(processes.values())
        changed = compress(records, map(operator.is_not, records, map(self._before.get, processes)))
        return sorted(changed, key=lambda record: (record.start_ns, record.pid))

    def _add_exits(self, exits: Sequence[ProcessExit]) -> list[ProcessExit]:
        """Add the exits of descendants; returns the others."""
        parents = {exit_.pid: exit_.parent_pid for exit_ in exits}
        others = []
        for exit_ in exits:
            if exit_.pid in self._members or self._is_descendant(exit_.parent_pid, parents):
                self.add_exit(exit_, exact=False)
            else:
                others.append(exit_)
        return others

    def _is_descendant(self, pid: int, parents: Mapping[int, int]) -> bool:
        passed: set[int] = set()
        while pid not in passed:
            if pid == self._root or pid in self._members:
                return True
            passed.add(pid)
            pid = parents.get(pid, 0)
        return False

    def _insert(self, record: ProcessTimes) -> None:
        self._drop(record.pid)
        self._update(self._join(record.pid, record.key, self._group_of(record)), record)

    def _join(self, pid: int, key: str | None, group: str | None) -> _Member:
        before_ns = self._before_ns.pop(pid, 0)
        member = self._members[pid] = _Member(
            key, group, cpu_ns=before_ns, baseline_ns=before_ns, own_baseline_ns=before_ns
        )
        self._sum(group).alive += 1
        return member

    def _update(self, member: _Member, record: ProcessTimes) -> None:
        group = self._group_of(record)
        if group != member.group:
            # The program was replaced (execve): the new one is the one to count.
            self._sum(member.group).alive -= 1
            member.group = group
            self._sum(group).alive += 1
        self._credit(member, max(0, record.cpu_ns - member.cpu_ns))
        named = self._sum(group)
        named.user_ns += record.user_ns - member.user_ns
        named.system_ns += record.system_ns - member.system_ns
        member.user_ns, member.system_ns = record.user_ns, record.system_ns
        member.children_ns = record.children_ns or 0

    def _credit(self, member: _Member, cpu_ns: int) -> None:
        member.cpu_ns += cpu_ns
        self._sum(member.group).cpu_ns += cpu_ns

    def _leave(self, member: _Member) -> None:
        if not member.gone:
            member.gone = True
            self._sum(member.group).alive -= 1
            self._sum(member.group).exited += 1

    def _drop(self, pid: int) -> None:
        """Forget a process: at once if its exit was reported and its PID is taken, else one reading later."""
        member = self._members.get(pid)
        if member is None:
            return
        if member.gone:
            del self._members[pid]
        else:
            self._leave(member)

    def _sum(self, group: str | None) -> Named:
        return self._named.setdefault(group, Named())
