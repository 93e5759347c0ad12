"""Who may have waited for a process that ended. Pure.

A parent waits for its children. A process that loses its parent is given to the nearest ancestor that is a subreaper,
as long as that is in the same PID namespace, and otherwise to the init of its namespace (find_new_reaper in
kernel/exit.c). That init need not be an ancestor: a process that entered a namespace (setns(2), as ``nsenter`` and
``docker exec`` do) has its parent outside.

A dead parent may also have waited first, and then passed the time on to whoever waited for it. So all survivors on the
line of parents come into question, and which of them it was has to be seen from their children's time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from cpuwatch.model import PidNamespace

__all__ = ["INIT_PID", "Candidates", "Relations", "possible_reapers"]

INIT_PID = 1
"""The init of the PID namespace that is read."""


class Relations(Protocol):
    """What is known of the processes around one that ended."""

    def parent(self, pid: int) -> int | None:
        """The PID of its parent, 0 for none; None if nothing is known of this process."""
        ...

    def lives(self, pid: int) -> bool:
        """Whether it is still there, be it as a zombie."""
        ...

    def is_zombie(self, pid: int) -> bool:
        """Whether it has ended and nobody has waited for it yet."""
        ...

    def namespace(self, pid: int) -> PidNamespace | None:
        """Its PID namespace; None for the one that is read, and if it is not known."""
        ...

    def inits(self) -> Iterable[tuple[int, PidNamespace]]:
        """The living inits of other PID namespaces."""
        ...


class Candidates(Struct, frozen=True, gc=False):
    """The PIDs of those who may have waited, the likeliest first.

    ``is_parent`` says that there is just one, the parent, which lives on. ``is_complete`` is false if the line of
    parents leads to a process of which nothing is known (hidepid): ``others`` are then those that can be above that.
    """

    pids: tuple[int, ...]
    is_parent: bool = False
    is_complete: bool = True
    others: tuple[int, ...] = ()


def possible_reapers(pid: int, parent_pid: int | None, relations: Relations) -> Candidates:
    """Who may have waited for the process ``pid``, whose parent was ``parent_pid`` when it was last heard of.

    A parent that lives on and is no zombie is the only one: its children are not given to anybody else.
    """
    if parent_pid and relations.lives(parent_pid) and not relations.is_zombie(parent_pid):
        return Candidates((parent_pid,), is_parent=True)
    namespace = relations.namespace(pid)
    own_inits = [INIT_PID] if namespace is None else [init for init, its in relations.inits() if its.same(namespace)]
    within: list[int] = []
    outside: list[int] = []
    # PIDs are reused, so what is known of ended processes can form a circle.
    passed = {pid}
    above = parent_pid
    while above and above not in passed:
        passed.add(above)
        if relations.lives(above):
            its_namespace = relations.namespace(above)
            is_within = its_namespace is None if namespace is None else namespace.same(its_namespace)
            (within if is_within else outside).append(above)
        above = relations.parent(above)
    within += (init for init in own_inits if init not in passed and relations.lives(init))
    return Candidates((*within, *outside), is_complete=above is not None)
