"""CPU seconds by name since monitoring began, in sums that never decrease, exited processes included.

A snapshot covers one interval, so a client that polls once a minute sees one of sixty. These totals include every
snapshot, so nothing between two polls is lost. :func:`add` is pure; :class:`RunningTotals` holds the newest totals.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from heapq import nlargest

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.kernel_threads import summing_names
from cpuwatch.model import Snapshot

__all__ = ["MAX_NAMES", "CpuTotals", "NameTotal", "RunningTotals", "add", "no_totals"]

MAX_NAMES = 500


class NameTotal(Struct, frozen=True, gc=False):
    """The CPU seconds of the processes of one name since the name was listed.

    ``since`` is the start of the first interval that counts, ``first_sequence`` its snapshot. ``head_start_seconds``
    only affects the rank of the name: it is an upper bound of what the name used before.
    """

    seconds: float
    head_start_seconds: float
    since: datetime
    first_sequence: int

    @property
    def rank_seconds(self) -> float:
        """The rank of the name; the names with the highest ranks are listed."""
        return self.seconds + self.head_start_seconds


class CpuTotals(Struct, frozen=True, gc=False):
    """All CPU seconds of living and exited processes, each second in exactly one of four sums.

    ``named``: by name. ``unnamed_seconds``: of exited processes whose name is unknown. ``other_seconds``: of names that
    are not listed at the time. ``retired_seconds``: what names had when they were dropped from the list. The first
    three grow with current use. The last only receives what was counted before, so leave it out of rates.

    ``since`` is the start of the first interval, ``first_sequence`` its snapshot, ``sequence`` the last snapshot.
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
        """The first snapshot of the newest series."""
        return max((total.first_sequence for total in self.named.values()), default=self.first_sequence)


def no_totals(snapshot: Snapshot) -> CpuTotals:
    """The totals before the first snapshot, which is this one."""
    return CpuTotals(_began(snapshot), snapshot.sequence, snapshot.sequence - 1)


def add(totals: CpuTotals, snapshot: Snapshot, max_names: int = MAX_NAMES) -> CpuTotals:
    """The totals including this snapshot; unknown amounts add nothing.

    Names are those of :func:`~cpuwatch.accounting.kernel_threads.summed_name`. At most ``max_names`` are listed, chosen
    as in Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data
    Streams", 2005): a new name starts with the highest rank of the unlisted names as its head start. So every name with
    more than 1/``max_names`` of the total is listed, and names that occur only once do not displace the others.
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
    if len(named) > max_names:
        listed = dict(nlargest(max_names, named.items(), key=lambda item: item[1].rank_seconds))
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
    """The CPU seconds of the interval by name, and the sum without a name."""
    seconds_of_percent = snapshot.interval_seconds / 100
    used: defaultdict[str, float] = defaultdict(float)
    unnamed = 0.0
    summed = summing_names(snapshot.processes)
    # Most processes did not run: the inner comprehension is all the work on them.
    for row in [row for row in snapshot.processes if row.cpu_percent]:
        used[summed(row.name, row.ppid)] += (row.cpu_percent or 0.0) * seconds_of_percent
    for exited in snapshot.exited:
        seconds = (exited.cpu_percent or 0.0) * seconds_of_percent
        if exited.name is None:
            unnamed += seconds
        elif seconds:
            used[summed(exited.name, exited.parent_pid)] += seconds
    return used, unnamed


class RunningTotals:
    """The newest totals of the snapshots passed to :meth:`take`, which can follow a monitor."""

    def __init__(self) -> None:
        self.latest: CpuTotals | None = None

    def take(self, snapshot: Snapshot) -> None:
        """Add a snapshot."""
        self.latest = add(self.latest or no_totals(snapshot), snapshot)
