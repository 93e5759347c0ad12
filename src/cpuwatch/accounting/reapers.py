"""Finds the processes that may have reaped an exited process. Pure.

A parent reaps its children. When a parent exits, its children are reparented to the nearest ancestor in the same PID
namespace that is a subreaper, otherwise to the init of that namespace (find_new_reaper in kernel/exit.c). That init
need not be an ancestor: a process that entered a namespace (setns(2), as ``nsenter`` and ``docker exec`` do) has its
parent outside.

A parent may also have reaped the process before it exited itself, and passed the time on to its own reaper. So every
survivor in the chain of parents is a candidate, and only the growth of their children's time tells which one it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from cpuwatch.model import PidNamespace

__all__ = ["INIT_PID", "Candidates", "Relations", "possible_reapers"]

INIT_PID = 1
"""The init of the PID namespace that cpuwatch reads."""


class Relations(Protocol):
    """What is known about the processes around an exited one."""

    def parent(self, pid: int) -> int | None:
        """The PID of the parent, 0 for none; None if the process is unknown."""
        ...

    def exists(self, pid: int) -> bool:
        """Whether the process still exists, even as a zombie."""
        ...

    def is_zombie(self, pid: int) -> bool:
        """Whether the process has exited and nobody has reaped it yet."""
        ...

    def namespace(self, pid: int) -> PidNamespace | None:
        """The PID namespace of the process; None for the one that cpuwatch reads, and if it is unknown."""
        ...

    def inits(self) -> Iterable[tuple[int, PidNamespace]]:
        """The living inits of other PID namespaces."""
        ...


class Candidates(Struct, frozen=True, gc=False):
    """The PIDs of the processes that may have reaped a process, the likeliest first.

    ``is_parent``: the only candidate is the parent, which is still alive. ``is_complete`` is false if the chain of
    parents leads to an unknown process (hidepid); ``others`` are then the processes that may be above it.
    """

    pids: tuple[int, ...]
    is_parent: bool = False
    is_complete: bool = True
    others: tuple[int, ...] = ()


def possible_reapers(pid: int, parent_pid: int | None, relations: Relations) -> Candidates:
    """The candidates for the reaper of ``pid``, whose last known parent was ``parent_pid``.

    A parent that still exists and is no zombie is the only candidate: its children are not reparented.
    """
    if parent_pid and relations.exists(parent_pid) and not relations.is_zombie(parent_pid):
        return Candidates((parent_pid,), is_parent=True)
    namespace = relations.namespace(pid)
    inits = [INIT_PID] if namespace is None else [init for init, its in relations.inits() if its.same(namespace)]
    inside: list[int] = []
    outside: list[int] = []
    # PIDs are reused, so the known parents of exited processes can form a cycle.
    visited = {pid}
    ancestor = parent_pid
    while ancestor and ancestor not in visited:
        visited.add(ancestor)
        if relations.exists(ancestor):
            its_namespace = relations.namespace(ancestor)
            is_inside = its_namespace is None if namespace is None else namespace.same(its_namespace)
            (inside if is_inside else outside).append(ancestor)
        ancestor = relations.parent(ancestor)
    inside += (init for init in inits if init not in visited and relations.exists(init))
    return Candidates((*inside, *outside), is_complete=ancestor is not None)
