"""CPU, waiting and throttled seconds by unit since monitoring began, in sums that never decrease. Pure.

They follow the totals by name (:mod:`cpuwatch.accounting.totals`): few units are listed at once, and the same policy
limits how many enter the list over a day. A unit is identified by its path, because its name depends on other units.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from cpuwatch.accounting.listed_names import DEFAULT_NAMES, Listing, ListPolicy, empty_listing, list_policy, relist
from cpuwatch.model import Snapshot
from cpuwatch.query.cgroup_name import unit_path

__all__ = ["RunningUnitTotals", "UnitSeconds", "UnitTotal", "UnitTotals", "add_units", "no_unit_totals"]

_DEFAULT_POLICY = list_policy(DEFAULT_NAMES)


class UnitSeconds(Struct, frozen=True, gc=False):
    """The CPU time of processes, the time that their threads waited for a CPU, and the part of it due to quotas."""

    cpu: float = 0.0
    wait: float = 0.0
    throttled: float = 0.0

    def plus(self, other: UnitSeconds) -> UnitSeconds:
        """The sum of both."""
        return UnitSeconds(self.cpu + other.cpu, self.wait + other.wait, self.throttled + other.throttled)


class UnitTotal(Struct, frozen=True, gc=False):
    """The seconds of a unit since it was listed, without the units below it.

    ``since`` is the start of the first interval that counts, ``first_sequence`` its snapshot. ``pressure_seconds`` is
    how long at least one thread of the unit was runnable but got no CPU, and ``None`` while it is unknown.
    """

    seconds: UnitSeconds
    since: datetime
    first_sequence: int
    pressure_seconds: float | None = None


class UnitTotals(Struct, frozen=True, gc=False):
    """The seconds of all processes by unit.

    Each second is in one of three sums. ``units``: by path. ``other``: of units that are not listed at the time, and of
    unknown ones. ``retired``: what units had when they were dropped from the list. The first two grow with current use.
    """

    since: datetime
    first_sequence: int
    sequence: int
    listing: Listing
    units: dict[str, UnitTotal] = {}
    other: UnitSeconds = UnitSeconds()
    retired: UnitSeconds = UnitSeconds()

    @property
    def newest_sequence(self) -> int:
        """The first snapshot of the newest series."""
        return max((total.first_sequence for total in self.units.values()), default=self.first_sequence)


def no_unit_totals(snapshot: Snapshot, policy: ListPolicy = _DEFAULT_POLICY) -> UnitTotals:
    """The totals before the first snapshot, which is this one."""
    return UnitTotals(_began(snapshot), snapshot.sequence, snapshot.sequence - 1, empty_listing(policy))


def add_units(totals: UnitTotals, snapshot: Snapshot) -> UnitTotals:
    """The totals including this snapshot; unknown amounts add nothing."""
    grown = _grown_by_unit(snapshot)
    used = {path: seconds.cpu for path, seconds in grown.items() if path is not None and seconds.cpu > 0}
    listing = relist(totals.listing, used, snapshot.interval_seconds)
    other, retired = totals.other, totals.retired
    for path, seconds in grown.items():
        if path not in listing.listed:
            other = other.plus(seconds)
    for path in totals.units.keys() - listing.listed:
        retired = retired.plus(totals.units[path].seconds)
    pressures = {
        row.path: row.pressure_percent * snapshot.interval_seconds / 100
        for row in snapshot.cgroups
        if row.pressure_percent is not None and row.path in listing.listed
    }
    units: dict[str, UnitTotal] = {}
    for path in listing.listed:
        before = totals.units.get(path) or UnitTotal(UnitSeconds(), _began(snapshot), snapshot.sequence)
        pressure = pressures.get(path)
        units[path] = UnitTotal(
            before.seconds.plus(grown.get(path, UnitSeconds())),
            before.since,
            before.first_sequence,
            before.pressure_seconds if pressure is None else (before.pressure_seconds or 0.0) + pressure,
        )
    return UnitTotals(totals.since, totals.first_sequence, snapshot.sequence, listing, units, other, retired)


def _grown_by_unit(snapshot: Snapshot) -> dict[str | None, UnitSeconds]:
    sums: defaultdict[str | None, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for path, *percents in _percents(snapshot):
        total = sums[path]
        for index, percent in enumerate(percents):
            total[index] += percent or 0.0
    seconds_of_percent = snapshot.interval_seconds / 100
    return {path: UnitSeconds(*(percent * seconds_of_percent for percent in total)) for path, total in sums.items()}


def _percents(snapshot: Snapshot) -> Iterator[tuple[str | None, float | None, float | None, float | None]]:
    # Most processes neither ran nor waited.
    for row in [row for row in snapshot.processes if row.cpu_percent or row.wait_percent]:
        yield _unit_of(row.cgroup), row.cpu_percent, row.wait_percent, row.throttled_percent
    if snapshot.exited:
        cgroups = {row.pid: row.cgroup for row in snapshot.processes}
        for exited in snapshot.exited:
            yield _unit_of(cgroups.get(exited.parent_pid or 0)), exited.cpu_percent, None, None


def _unit_of(cgroup: str | None) -> str | None:
    return None if cgroup is None else unit_path(cgroup)


def _began(snapshot: Snapshot) -> datetime:
    return snapshot.time - timedelta(seconds=snapshot.interval_seconds)


class RunningUnitTotals:
    """The newest totals of the snapshots passed to :meth:`take`, which can follow a monitor."""

    def __init__(self, units: int = DEFAULT_NAMES) -> None:
        self._policy = list_policy(units)
        self.latest: UnitTotals | None = None

    def take(self, snapshot: Snapshot) -> None:
        """Add a snapshot."""
        self.latest = add_units(self.latest or no_unit_totals(snapshot, self._policy), snapshot)
