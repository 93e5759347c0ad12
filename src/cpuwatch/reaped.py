"""Who gets the CPU time of processes that ended: the arithmetic of children's time. Pure.

When a process is waited for, the kernel adds its CPU time, and that of its own waited-for children, to the children's
time of whoever waits (wait_task_zombie in kernel/exit.c; ``cutime`` and ``cstime`` in proc_pid_stat(5)). So what an
ended process used after it was last seen is in the growth of an ancestor's children's time, less what it had used
when it was last seen.

Over a whole tree the sum of (own + children's) time over the living grows by exactly what was burned, and that is the
invariant behind each rule here. Children's time is shown cut down to ticks, so an ancestor can seem to have got less
than what is to be taken off. What is then missing is carried to its next interval: thrown away, it would be counted
twice.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from msgspec import Struct

from cpuwatch.model import ProcessTimes

__all__ = ["NO_CARRY", "Carry", "credit_children"]

_TICKS_OFF = 2
"""``cutime`` and ``cstime`` are each cut down, so their sum can be off by just under two ticks."""


class Carry(Struct, frozen=True, gc=False):
    """What one interval leaves to the next: by PID, how many nanoseconds too many were shown of its children."""

    over_ns: dict[int, int] = {}


NO_CARRY = Carry()


def credit_children(
    earlier: Mapping[int, ProcessTimes],
    vanished: Mapping[int, ProcessTimes],
    zombies: Container[int],
    grown_ns: Mapping[int, int],
    tick_ns: int,
    carry: Carry,
) -> tuple[dict[int, int], Carry]:
    """What the ended descendants of each process used in the interval, in nanoseconds by the PID of the survivor.

    ``vanished`` are those of the ``earlier`` processes that did not survive, ``zombies`` the PIDs of those that ended
    and are still listed; ``grown_ns`` is by how much the children's time of the others, and of new ones, grew.

    What a vanished process had been seen with is taken off the growth of the one who waited for it. That is its parent
    if that lives on; if not, it is one of the parent's ancestors, the nearest whose growth can hold it. It may be
    nobody (SIGCHLD ignored). Where the growth cannot hold it, it takes what there is: better too little is shown than
    that something is shown twice.
    """
    slack_ns = _TICKS_OFF * tick_ns
    room_ns = dict(grown_ns)
    over_ns = dict(carry.over_ns)
    touched = set(grown_ns)
    # Largest first: where not all of them fit, those that would show as a spike are placed with most care.
    for process in sorted(vanished.values(), key=_seen_ns, reverse=True):
        seen_ns = _seen_ns(process)
        shown_too_much_ns = over_ns.pop(process.pid, 0)
        candidates = _possible_reapers(process, earlier, vanished, zombies)
        reaper = next((pid for pid in candidates if seen_ns <= room_ns.get(pid, 0) + slack_ns), None)
        if reaper is None:
            for pid in candidates:
                part_ns = min(seen_ns, max(0, room_ns.get(pid, 0)))
                room_ns[pid] = room_ns.get(pid, 0) - part_ns
                seen_ns -= part_ns
        else:
            room_ns[reaper] = room_ns.get(reaper, 0) - seen_ns
            over_ns[reaper] = over_ns.get(reaper, 0) + shown_too_much_ns
            touched.add(reaper)
    credits_ns: dict[int, int] = {}
    for pid in touched:
        balance_ns = room_ns.get(pid, 0) - over_ns.pop(pid, 0)
        if balance_ns > 0:
            credits_ns[pid] = balance_ns
        elif balance_ns < 0:
            over_ns[pid] = -balance_ns
    return credits_ns, Carry(over_ns)


def _seen_ns(process: ProcessTimes) -> int:
    """All that the reaper's children's time gets for this process, as far as it had been seen."""
    return process.cpu_ns + (process.children_ns or 0)


def _possible_reapers(
    process: ProcessTimes,
    earlier: Mapping[int, ProcessTimes],
    vanished: Mapping[int, ProcessTimes],
    zombies: Container[int],
) -> list[int]:
    """The PIDs of those who may have waited for it, nearest first.

    A process that loses its parent is given to an ancestor of that (find_new_reaper in kernel/exit.c: the nearest
    subreaper, or init), so all who come into question are on the line upwards.
    """
    passed = {process.pid}
    reapers: list[int] = []
    above = earlier.get(process.ppid or 0)
    while above is not None and above.pid not in passed:
        passed.add(above.pid)
        if above.pid not in vanished:
            reapers.append(above.pid)
            if above.pid == process.ppid and above.pid not in zombies:
                break
        above = earlier.get(above.ppid or 0)
    return reapers
