"""Who gets the CPU time of processes that ended: the arithmetic of children's time. Pure.

When a process is waited for, the kernel adds its CPU time, and that of its own waited-for children, to the children's
time of whoever waits (wait_task_zombie in kernel/exit.c; ``cutime`` and ``cstime`` in proc_pid_stat(5)). So what an
ended process used after it was last seen is in the growth of its reaper's children's time, less what it had used
when it was last seen.

Over a whole tree the sum of (own + children's) time over the living grows by exactly what was burned, and that is the
invariant behind each rule here. Children's time is shown cut down to ticks, so an ancestor can seem to have got less
than what is to be taken off. What is then missing is carried to its next interval: thrown away, it would be counted
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from cpuwatch.accounting.reapers import Candidates
from cpuwatch.model import ProcessTimes

__all__ = ["NO_CARRY", "Carry", "Reaped", "credit_children", "slack_ns"]

_TICKS_OFF = 2
"""``cutime`` and ``cstime`` are each cut down, so their sum can be off by just under two ticks."""


class Carry(Struct, frozen=True, gc=False):
    """What one interval leaves to the next: by PID, how many nanoseconds too many were shown of its children."""

    over_ns: dict[int, int] = {}


NO_CARRY = Carry()


class Reaped(Struct, frozen=True, gc=False):
    """What the ended descendants of each process used in the interval.

    ``credits_ns`` is that in nanoseconds by the PID of the survivor who waited for them; ``reaper_of`` says by PID who
    that was, for the ended processes that had been seen before.
    """

    credits_ns: dict[int, int]
    carry: Carry
    reaper_of: dict[int, int]


def slack_ns(tick_ns: int) -> int:
    """By how much a growth of children's time can be short of what was added to it."""
    return _TICKS_OFF * tick_ns


def credit_children(
    vanished: Mapping[int, ProcessTimes],
    candidates: Callable[[ProcessTimes], Candidates],
    grown_ns: Mapping[int, int],
    tick_ns: int,
    carry: Carry,
    explained_ns: Mapping[int, int] | None = None,
) -> Reaped:
    """Take what each ``vanished`` process had been seen with off the growth of the one who waited for it.

    ``grown_ns`` is by how much the children's time of the survivors grew, new ones included; ``explained_ns`` how much
    of that is known to come from other processes. ``candidates`` are asked in their order, and the first whose growth
    can hold it is the reaper. Where none can, nobody waited for it (SIGCHLD ignored, or the kernel itself reaped
    it, as it does when the init of a PID namespace is killed). Then nothing is taken off anybody: that would hide what
    others used.

    Where the line of parents is broken, the reaper is the one whose growth fits best.
    """
    slack = slack_ns(tick_ns)
    room_ns = dict(grown_ns)
    over_ns = dict(carry.over_ns)
    touched = set(grown_ns)
    reaper_of: dict[int, int] = {}
    unexplained = {pid: grown - (explained_ns or {}).get(pid, 0) for pid, grown in grown_ns.items()}

    def fits(pid: int, seen_ns: int, *, is_parent: bool) -> bool:
        room = room_ns.get(pid, 0)
        return seen_ns <= slack + (room if is_parent else min(room, unexplained.get(pid, 0)))

    # Largest first: where not all of them fit, those that would show as a spike are placed with most care.
    for process in sorted(vanished.values(), key=_seen_ns, reverse=True):
        seen_ns = _seen_ns(process)
        shown_too_much_ns = over_ns.pop(process.pid, 0)
        possible = candidates(process)
        fitting = [pid for pid in possible.pids if fits(pid, seen_ns, is_parent=possible.is_parent)]
        if not fitting:
            others = (pid for pid in possible.others if fits(pid, seen_ns, is_parent=False))
            fitting = sorted(others, key=lambda pid: room_ns.get(pid, 0))
        if not fitting:
            continue
        reaper = fitting[0]
        room_ns[reaper] = room_ns.get(reaper, 0) - seen_ns
        unexplained[reaper] = unexplained.get(reaper, 0) - seen_ns
        over_ns[reaper] = over_ns.get(reaper, 0) + shown_too_much_ns
        touched.add(reaper)
        reaper_of[process.pid] = reaper
    credits_ns: dict[int, int] = {}
    for pid in touched:
        balance_ns = room_ns.get(pid, 0) - over_ns.pop(pid, 0)
        if balance_ns > 0:
            credits_ns[pid] = balance_ns
        elif balance_ns < 0:
            # Rounding cannot be behind more than this.
            over_ns[pid] = min(-balance_ns, slack)
    return Reaped(credits_ns, Carry(over_ns), reaper_of)


def _seen_ns(process: ProcessTimes) -> int:
    """All that the reaper's children's time gets for this process, as far as it had been seen."""
    return process.cpu_ns + (process.children_ns or 0)
