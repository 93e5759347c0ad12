"""Credits the CPU time of exited processes to their reapers: the arithmetic of children's time. Pure.

When a process is reaped, the kernel adds its CPU time, and that of its own reaped children, to the children's time of
the reaper (wait_task_zombie in kernel/exit.c; ``cutime`` and ``cstime`` in proc_pid_stat(5)). So the CPU time that an
exited process used after it was last seen is the growth of its reaper's children's time, less what the process had
used when it was last seen.

The invariant behind each rule: over a whole tree, the sum of own and children's time of the living processes grows by
exactly the CPU time used. The kernel rounds children's time down to ticks, so the growth of an ancestor can be smaller
than what must be subtracted from it. The difference is carried over to the next interval. If it were dropped, it would
be counted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from cpuwatch.accounting.reapers import Candidates
from cpuwatch.model import ProcessTimes

__all__ = ["NO_CARRY", "Carry", "Reaped", "credit_children", "slack_ns"]

_MAX_ROUNDING_TICKS = 2
"""``cutime`` and ``cstime`` are each rounded down, so their sum is short by less than two ticks."""


class Carry(Struct, frozen=True, gc=False):
    """What one interval passes on to the next: the excess already shown of the children of each PID, in nanoseconds."""

    excess_ns: dict[int, int] = {}


NO_CARRY = Carry()


class Reaped(Struct, frozen=True, gc=False):
    """The CPU time that exited descendants used in the interval.

    ``credits_ns`` maps the PID of a reaper to that time in nanoseconds. ``reaper_of`` maps the PID of each exited
    process that had been seen before to the PID of its reaper.
    """

    credits_ns: dict[int, int]
    carry: Carry
    reaper_of: dict[int, int]


def slack_ns(tick_ns: int) -> int:
    """How far the growth of children's time can fall short of the time that was added to it."""
    return _MAX_ROUNDING_TICKS * tick_ns


def credit_children(
    vanished: Mapping[int, ProcessTimes],
    candidates: Callable[[ProcessTimes], Candidates],
    growth_ns: Mapping[int, int],
    tick_ns: int,
    carry: Carry,
    claimed_ns: Mapping[int, int] | None = None,
) -> Reaped:
    """Subtract the time last seen of each ``vanished`` process from the growth of its reaper.

    ``growth_ns`` is the growth of the children's time of each survivor, new processes included. ``claimed_ns`` is the
    part of it that is known to come from other processes. The reaper is the first of the ``candidates`` whose growth is
    large enough. If there is none, nobody reaped the process: its parent ignores SIGCHLD, or the kernel itself reaped
    it, as it does when the init of a PID namespace is killed. Then nothing is subtracted, as that would hide the use of
    others.

    If the chain of parents is incomplete and no candidate fits, the reaper is the process whose growth fits best.
    """
    slack = slack_ns(tick_ns)
    remaining_ns = dict(growth_ns)
    excess_ns = dict(carry.excess_ns)
    touched = set(growth_ns)
    reaper_of: dict[int, int] = {}
    unclaimed_ns = {pid: growth - (claimed_ns or {}).get(pid, 0) for pid, growth in growth_ns.items()}

    def fits(pid: int, seen_ns: int, *, is_parent: bool) -> bool:
        remaining = remaining_ns.get(pid, 0)
        return seen_ns <= slack + (remaining if is_parent else min(remaining, unclaimed_ns.get(pid, 0)))

    # Largest first: if not all of them fit, those that would show as a spike get the best choice.
    for process in sorted(vanished.values(), key=_seen_ns, reverse=True):
        seen_ns = _seen_ns(process)
        inherited_excess_ns = excess_ns.pop(process.pid, 0)
        found = candidates(process)
        fitting = [pid for pid in found.pids if fits(pid, seen_ns, is_parent=found.is_parent)]
        if not fitting:
            others = (pid for pid in found.others if fits(pid, seen_ns, is_parent=False))
            fitting = sorted(others, key=lambda pid: remaining_ns.get(pid, 0))
        if not fitting:
            continue
        reaper = fitting[0]
        remaining_ns[reaper] = remaining_ns.get(reaper, 0) - seen_ns
        unclaimed_ns[reaper] = unclaimed_ns.get(reaper, 0) - seen_ns
        excess_ns[reaper] = excess_ns.get(reaper, 0) + inherited_excess_ns
        touched.add(reaper)
        reaper_of[process.pid] = reaper
    credits_ns: dict[int, int] = {}
    for pid in touched:
        balance_ns = remaining_ns.get(pid, 0) - excess_ns.pop(pid, 0)
        if balance_ns > 0:
            credits_ns[pid] = balance_ns
        elif balance_ns < 0:
            # Rounding cannot account for more than this.
            excess_ns[pid] = min(-balance_ns, slack)
    return Reaped(credits_ns, Carry(excess_ns), reaper_of)


def _seen_ns(process: ProcessTimes) -> int:
    """The time last seen of a process, as far as its reaper's children's time includes it."""
    return process.cpu_ns + (process.children_ns or 0)
