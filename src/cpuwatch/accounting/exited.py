"""Who the processes were that ended: names for the amounts that children's time gives. Pure.

The kernel's message about an ended process (taskstats) carries its name, but is written before its address space is
taken down, so its figure is short by up to an eighth. Children's time has the whole amount, but no names. So the
amounts come from there, and are shared out in the proportion of the messages. Only where nobody was given the time of
a process are the messages all there is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.reapers import Candidates
from cpuwatch.model import ProcessExit, ProcessTimes

__all__ = ["Ended", "ExitedShare", "bound_estimates", "explained", "share_out", "trace"]

_MAX_STRETCH = 1.25
"""How far the messages of a survivor's descendants are stretched to the amount once some are known to be lost."""

_CERTAIN_PART = 7 / 8
"""How much of what messages say is surely in children's time: the kernel counts it in ticks there and here."""


class ExitedShare(Struct, frozen=True, gc=False):
    """What ended processes of one name and user, under one survivor, used in the interval.

    ``estimated``: it is in nobody's children's time, so the amount is that of the messages.
    """

    name: str | None
    user: str | None
    parent_pid: int | None
    count: int | None
    cpu_ns: int | None
    estimated: bool = False


class Ended(Struct, frozen=True, gc=False):
    """A process that ended, with what had been seen of it before, and who may have waited for it."""

    told: ProcessExit
    seen: ProcessTimes | None
    reapers: Candidates

    @property
    def used_ns(self) -> int:
        """What it used since then."""
        return max(0, self.told.cpu_ns - (0 if self.seen is None else self.seen.cpu_ns))

    @property
    def who(self) -> tuple[str | None, str | None]:
        """Its name and user."""
        if self.seen is None:
            return self.told.name, self.told.user
        # The name is newer in the message (execve), and the user is the effective one in what was seen.
        return self.told.name or self.seen.name, self.seen.user or self.told.user


def trace(
    exits: Iterable[ProcessExit],
    vanished: Mapping[int, ProcessTimes],
    reapers: Callable[[ProcessExit], Candidates],
) -> list[Ended]:
    """Each process that ended, with what had been seen of it.

    Two may have had the same PID one after the other; the first is the one that had been seen.
    """
    ended: list[Ended] = []
    passed: set[int] = set()
    for told in exits:
        ended.append(Ended(told, None if told.pid in passed else vanished.get(told.pid), reapers(told)))
        passed.add(told.pid)
    return ended


def explained(ended: Iterable[Ended]) -> dict[int, int]:
    """How much of the growth of each survivor's children's time comes from what ended processes used since last seen.

    In nanoseconds by PID, and rather too little. One that lost its parent and had been seen before does not count: who
    waited for that is yet to be found out (:func:`~cpuwatch.accounting.reaped.credit_children`).
    """
    sums: defaultdict[int, int] = defaultdict(int)
    for end in ended:
        if end.reapers.pids and (end.reapers.is_parent or end.seen is None):
            sums[end.reapers.pids[0]] += int(_CERTAIN_PART * end.used_ns)
    return sums


def share_out(
    ended: Iterable[Ended],
    reaper_of: Mapping[int, int],
    credits_ns: Mapping[int, int],
    *,
    some_lost: bool,
    slack_ns: int,
) -> list[ExitedShare]:
    """Share out each survivor's credit over its descendants that ended.

    Credits come from :func:`~cpuwatch.accounting.reaped.credit_children`.

    ``reaper_of`` says who waited for those that had been seen. What no message explains, for lack of any or because
    some were lost, is a share without a name.

    Under a survivor without a credit nothing is left to share. If what the messages say is within the rounding of
    children's time (``slack_ns``), each of these processes has used nothing that was not shown before. If it is more,
    nobody waited for them, and the shares are estimates.
    """
    groups: dict[int | None, dict[tuple[str | None, str | None], list[int]]]
    groups = defaultdict(lambda: defaultdict(list))
    for end in ended:
        found = end.reapers.pids
        nearest = next((pid for pid in found if pid in credits_ns), found[0] if found else None)
        reaper = nearest if end.seen is None else reaper_of.get(end.told.pid, nearest)
        groups[reaper][end.who].append(end.used_ns)
    shares: list[ExitedShare] = []
    for pid, named in groups.items():
        credit_ns = None if pid is None else credits_ns.get(pid)
        if credit_ns is not None:
            shares += _shares(pid, named, credit_ns, some_lost=some_lost)
        elif pid is not None and sum(map(sum, named.values())) <= slack_ns:
            shares += (ExitedShare(*who, pid, len(used), 0) for who, used in named.items())
        else:
            shares += (ExitedShare(*who, pid, len(used), sum(used), estimated=True) for who, used in named.items())
    shares += (
        ExitedShare(None, None, pid, None, credit_ns) for pid, credit_ns in credits_ns.items() if pid not in groups
    )
    return shares


def bound_estimates(shares: list[ExitedShare], most_ns: float | None) -> list[ExitedShare]:
    """The same with the estimates cut down, all by the same factor, to ``most_ns`` in all; unknown if that is None."""
    total_ns = sum(share.cpu_ns or 0 for share in shares if share.estimated)
    if total_ns == 0 or (most_ns is not None and total_ns <= most_ns):
        return shares

    def bounded(amount_ns: int) -> int | None:
        return None if most_ns is None else int(amount_ns * most_ns / total_ns)

    return [replace(share, cpu_ns=bounded(share.cpu_ns or 0)) if share.estimated else share for share in shares]


def _shares(
    pid: int | None, named: Mapping[tuple[str | None, str | None], list[int]], credit_ns: int, *, some_lost: bool
) -> Iterator[ExitedShare]:
    total_ns = sum(map(sum, named.values()))
    explained_ns = min(credit_ns, round(_MAX_STRETCH * total_ns)) if some_lost else credit_ns
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
