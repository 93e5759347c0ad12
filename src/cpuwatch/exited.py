"""Who the processes were that ended: names for the amounts that children's time gives. Pure.

The kernel's message about an ended process (taskstats) carries its name, but is written before its address space is
taken down, so its figure is short by up to an eighth. Children's time has the whole amount, but no names. So the
amounts come from there, and are shared out in the proportion of the messages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from msgspec import Struct

from cpuwatch.model import ProcessExit, ProcessTimes

__all__ = ["ExitedShare", "share_out"]

_MOST_STRETCH = 1.25
"""How far the messages of a survivor's descendants are stretched to the amount once some are known to be lost."""


class ExitedShare(Struct, frozen=True, gc=False):
    """What ended processes of one name and user, under one surviving ancestor, used in the interval."""

    name: str | None
    user: str | None
    parent_pid: int | None
    count: int | None
    cpu_ns: int | None


def share_out(
    exits: Iterable[ProcessExit],
    earlier: Mapping[int, ProcessTimes],
    later: Mapping[int, ProcessTimes],
    credits_ns: Mapping[int, int],
    *,
    some_lost: bool,
) -> list[ExitedShare]:
    """Each survivor's credit (:func:`~cpuwatch.reaped.credit_children`), shared out over its descendants that ended.

    What no message explains, for lack of any or because some were lost, is a share without a name. Ended processes
    under no credit were not waited for: they are counted, with no amount.
    """
    ended = {end.pid: end for end in exits}
    groups: dict[int | None, dict[tuple[str, str], list[int]]] = defaultdict(lambda: defaultdict(list))
    for end in ended.values():
        seen = earlier.get(end.pid)
        name, user = (end.name, end.user) if seen is None else (seen.name, seen.user or end.user)
        used_ns = max(0, end.cpu_ns - (0 if seen is None else seen.cpu_ns))
        groups[_reaper(end, ended, earlier, later, credits_ns)][name, user].append(used_ns)
    shares: list[ExitedShare] = []
    for pid, named in groups.items():
        credit_ns = None if pid is None else credits_ns.get(pid)
        if credit_ns is None:
            shares += (ExitedShare(*who, pid, len(used), None) for who, used in named.items())
        else:
            shares += _shares(pid, named, credit_ns, some_lost=some_lost)
    shares += (
        ExitedShare(None, None, pid, None, credit_ns) for pid, credit_ns in credits_ns.items() if pid not in groups
    )
    return shares


def _shares(
    pid: int | None, named: Mapping[tuple[str, str], list[int]], credit_ns: int, *, some_lost: bool
) -> Iterator[ExitedShare]:
    total_ns = sum(map(sum, named.values()))
    explained_ns = min(credit_ns, round(_MOST_STRETCH * total_ns)) if some_lost else credit_ns
    # Where no message shows a nanosecond of use, each process counts the same.
    weights = [sum(used) if total_ns else len(used) for used in named.values()]
    for who, used, share_ns in zip(named, named.values(), _apportion(explained_ns, weights), strict=True):
        yield ExitedShare(*who, pid, len(used), share_ns)
    if credit_ns > explained_ns:
        yield ExitedShare(None, None, pid, None, credit_ns - explained_ns)


def _apportion(whole: int, weights: list[int]) -> Iterator[int]:
    """Whole numbers in proportion of the weights, that add up to the whole: differences of the rounded running sum."""
    total = sum(weights)
    given = 0
    for running in accumulate(weights):
        upto = whole * running // total
        yield upto - given
        given = upto


def _reaper(
    end: ProcessExit,
    ended: Mapping[int, ProcessExit],
    earlier: Mapping[int, ProcessTimes],
    later: Mapping[int, ProcessTimes],
    credits_ns: Mapping[int, int],
) -> int | None:
    """The nearest surviving ancestor that got something credited; else the nearest one; None if there is none."""
    nearest: int | None = None
    passed = {end.pid}
    pid = end.parent_pid
    while pid and pid not in passed:
        if pid in credits_ns:
            return pid
        passed.add(pid)
        living = later.get(pid)
        if living is not None and nearest is None:
            nearest = pid
        known = living or earlier.get(pid)
        above = ended[pid].parent_pid if pid in ended else None if known is None else known.ppid
        pid = above or 0
    return nearest
