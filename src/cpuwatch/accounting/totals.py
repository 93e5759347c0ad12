"""CPU seconds by name since the watching began, in sums that never go back, ended processes included.

A snapshot says what was used in one interval; who looks once a minute sees one interval of sixty. These totals take in
every snapshot, so nothing between two looks is lost. The step is pure; :class:`RunningTotals` holds the newest.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from heapq import nlargest

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.kernel_threads import summing_names
from cpuwatch.model import Snapshot

__all__ = ["MOST_NAMES", "CpuTotals", "NameTotal", "RunningTotals", "add", "no_totals"]

MOST_NAMES = 500


class NameTotal(Struct, frozen=True, gc=False):
    """What the processes of one name have used since the name is listed.

    ``since`` is when the first interval of that began, ``first_sequence`` the snapshot of it. ``head_start_seconds`` is
    added for the order among names only: the most that it can have used before.
    """

    seconds: float
    head_start_seconds: float
    since: datetime
    first_sequence: int

    @property
    def rank_seconds(self) -> float:
        """By which the names that are listed are chosen."""
        return self.seconds + self.head_start_seconds


class CpuTotals(Struct, frozen=True, gc=False):
    """All CPU seconds of processes, living and ended, each second in exactly one of the four sums.

    ``named`` by name; ``unnamed_seconds`` of ended processes that the kernel did not name; ``other_seconds`` of names
    while they are not among the listed; ``retired_seconds`` what names had when they ceased to be. The first three grow
    by what is used at the moment, the last only moves what was counted before, so rates are taken without it.

    ``since`` is when the first interval began, ``first_sequence`` the snapshot of it, ``sequence`` the last one.
    """

    since: datetime
    first_sequence: int
    sequence: int
    named: dict[str, NameTotal] = {}
    unnamed_seconds: float = 0.0
    other_seconds: float = 0.0
    retired_seconds: float = 0.0
    unlisted_rank_seconds: float = 0.0

    @property
    def newest_sequence(self) -> int:
        """The snapshot of the series that began last."""
        return max((total.first_sequence for total in self.named.values()), default=self.first_sequence)


def no_totals(snapshot: Snapshot) -> CpuTotals:
    """The totals before this snapshot, which is the first."""
    return CpuTotals(_began(snapshot), snapshot.sequence, snapshot.sequence - 1)


def add(totals: CpuTotals, snapshot: Snapshot, most_names: int = MOST_NAMES) -> CpuTotals:
    """The totals with this snapshot taken in; unknown amounts add nothing.

    Names are those of :func:`~cpuwatch.accounting.kernel_threads.summed_name`. Their number is limited, in the
    manner of Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements
    in Data Streams", 2005): a newcomer gets the rank of those that were left out as its head start. So every name
    with more than 1/``most_names`` of all is listed, and a stream of names that are used once does not drive the
    others out.
    """
    used, used_unnamed = _used_by_name(snapshot)
    named = dict(totals.named)
    for name, seconds in used.items():
        before = named.get(name)
        named[name] = (
            NameTotal(seconds, totals.unlisted_rank_seconds, _began(snapshot), snapshot.sequence)
            if before is None
            else replace(before, seconds=before.seconds + seconds)
        )
    other_seconds, retired_seconds = totals.other_seconds, totals.retired_seconds
    unlisted_rank_seconds = totals.unlisted_rank_seconds
    if len(named) > most_names:
        listed = dict(nlargest(most_names, named.items(), key=lambda item: item[1].rank_seconds))
        for name in named.keys() - listed.keys():
            unlisted_rank_seconds = max(unlisted_rank_seconds, named[name].rank_seconds)
            other_seconds += used.get(name, 0.0)
            retired_seconds += totals.named[name].seconds if name in totals.named else 0.0
        named = listed
    unnamed_seconds = totals.unnamed_seconds + used_unnamed
    return replace(
        totals,
        sequence=snapshot.sequence,
        named=named,
        unnamed_seconds=unnamed_seconds,
        other_seconds=other_seconds,
        retired_seconds=retired_seconds,
        unlisted_rank_seconds=unlisted_rank_seconds,
    )


def _began(snapshot: Snapshot) -> datetime:
    return snapshot.time - timedelta(seconds=snapshot.interval_seconds)


def _used_by_name(snapshot: Snapshot) -> tuple[dict[str, float], float]:
    """The CPU seconds of the interval by name, and those without a name."""
    seconds_of_percent = snapshot.interval_seconds / 100
    used: defaultdict[str, float] = defaultdict(float)
    unnamed = 0.0
    summed = summing_names(snapshot.processes)
    # Most processes did not run: the inner line is all that is done for them.
    for row in [row for row in snapshot.processes if row.cpu_percent]:
        used[summed(row.name, row.ppid)] += (row.cpu_percent or 0.0) * seconds_of_percent
    for ended in snapshot.exited:
        seconds = (ended.cpu_percent or 0.0) * seconds_of_percent
        if ended.name is None:
            unnamed += seconds
        elif seconds:
            used[summed(ended.name, ended.parent_pid)] += seconds
    return used, unnamed


class RunningTotals:
    """The newest totals of a monitor that was told to follow with :meth:`take`."""

    def __init__(self) -> None:
        self.latest: CpuTotals | None = None

    def take(self, snapshot: Snapshot) -> None:
        """Take one more snapshot in."""
        self.latest = add(self.latest or no_totals(snapshot), snapshot)
