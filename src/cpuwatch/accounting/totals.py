"""CPU seconds by name since monitoring began, in sums that never decrease, exited processes included.

A snapshot covers one interval, so a client that polls once a minute sees one of sixty. These totals include every
snapshot, so nothing between two polls is lost. :func:`add` is pure; :class:`RunningTotals` holds the newest totals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.kernel_threads import summing_names
from cpuwatch.accounting.listed_names import DEFAULT_NAMES, Listing, ListPolicy, empty_listing, list_policy, relist
from cpuwatch.model import MachineUsage, Snapshot

__all__ = ["CpuTotals", "NameTotal", "RunningTotals", "add", "no_totals", "percent_by_mode"]


class NameTotal(Struct, frozen=True, gc=False):
    """The CPU seconds of the processes of one name since the name was listed.

    ``since`` is the start of the first interval that counts, ``first_sequence`` its snapshot. ``wait_seconds`` is how
    long threads of these processes were runnable but got no CPU.
    """

    seconds: float
    since: datetime
    first_sequence: int
    wait_seconds: float = 0.0


class CpuTotals(Struct, frozen=True, gc=False):
    """The CPU seconds of the machine, by name and by mode.

    Each CPU second of living and exited processes is in one of four sums. ``named``: by name. ``unnamed_seconds``: of
    exited processes whose name is unknown. ``other_seconds``: of names that are not listed at the time.
    ``retired_seconds``: what names had when they were dropped from the list. The first three grow with current use. The
    last only receives what was counted before, so leave it out of rates.

    ``unattributed_seconds`` is busy time of the machine that no process accounts for, ``excess_seconds`` how far
    processes exceed the busy time. All sums less the excess grow by the busy time. The kernel counts both
    independently, so each interval has a little of either by rounding; the two are balanced over time
    (``balance_seconds``), and only what remains is counted.

    The seconds that living processes waited for a CPU are in ``named``, ``other_wait_seconds`` and
    ``retired_wait_seconds`` in the same way. They do not affect which names are listed.

    ``mode_seconds`` is the time of all CPUs by mode. ``since`` is the start of the first interval, ``first_sequence``
    its snapshot, ``sequence`` the last snapshot.
    """

    since: datetime
    first_sequence: int
    sequence: int
    listing: Listing
    named: dict[str, NameTotal] = {}
    unnamed_seconds: float = 0.0
    other_seconds: float = 0.0
    retired_seconds: float = 0.0
    unattributed_seconds: float = 0.0
    excess_seconds: float = 0.0
    balance_seconds: float = 0.0
    mode_seconds: dict[str, float] = {}
    other_wait_seconds: float = 0.0
    retired_wait_seconds: float = 0.0

    @property
    def newest_sequence(self) -> int:
        """The first snapshot of the newest series."""
        return max((total.first_sequence for total in self.named.values()), default=self.first_sequence)


_SummedName = Callable[[str, int | None], str]
_DEFAULT_POLICY = list_policy(DEFAULT_NAMES)
_ROUNDING_SECONDS_PER_CPU = 0.1
"""How far the kernel's two accounts of CPU time may drift apart before the difference counts: some ticks of 10 ms."""


def no_totals(snapshot: Snapshot, policy: ListPolicy = _DEFAULT_POLICY) -> CpuTotals:
    """The totals before the first snapshot, which is this one. The policy chooses the names that are listed."""
    return CpuTotals(_began(snapshot), snapshot.sequence, snapshot.sequence - 1, empty_listing(policy))


def add(totals: CpuTotals, snapshot: Snapshot) -> CpuTotals:
    """The totals including this snapshot; unknown amounts add nothing.

    Names are those of :func:`~cpuwatch.accounting.kernel_threads.summed_name`.
    """
    summed = summing_names(snapshot.processes)
    used, used_unnamed = _used_by_name(snapshot, summed)
    listing = relist(totals.listing, used, snapshot.interval_seconds)
    named = {name: total for name, total in totals.named.items() if name in listing.listed}
    other_seconds, retired_seconds = totals.other_seconds, totals.retired_seconds
    other_wait_seconds, retired_wait_seconds = totals.other_wait_seconds, totals.retired_wait_seconds
    for name in totals.named.keys() - listing.listed:
        retired_seconds += totals.named[name].seconds
        retired_wait_seconds += totals.named[name].wait_seconds
    for name, seconds in used.items():
        if name not in listing.listed:
            other_seconds += seconds
        elif (before := named.get(name)) is not None:
            named[name] = replace(before, seconds=before.seconds + seconds)
        else:
            named[name] = NameTotal(seconds, _began(snapshot), snapshot.sequence)
    for name, seconds in _waited_by_name(snapshot, summed).items():
        if name in named:
            named[name] = replace(named[name], wait_seconds=named[name].wait_seconds + seconds)
        else:
            other_wait_seconds += seconds
    unattributed, excess, balance = _balanced(totals, snapshot, sum(used.values()) + used_unnamed)
    return CpuTotals(
        totals.since,
        totals.first_sequence,
        snapshot.sequence,
        listing,
        named,
        totals.unnamed_seconds + used_unnamed,
        other_seconds,
        retired_seconds,
        totals.unattributed_seconds + unattributed,
        totals.excess_seconds + excess,
        balance,
        _with_modes(totals.mode_seconds, snapshot),
        other_wait_seconds,
        retired_wait_seconds,
    )


def percent_by_mode(machine: MachineUsage) -> dict[str, float | None]:
    """The time of all CPUs by mode (``cpu.mode`` of OpenTelemetry), in percent; user includes nice and guest."""
    busy, iowait = machine.cpu_percent, machine.iowait_percent
    return {
        "user": machine.user_percent,
        "system": machine.system_percent,
        "iowait": iowait,
        "interrupt": machine.irq_percent,
        "steal": machine.steal_percent,
        "idle": None if busy is None else max(0.0, 100 - busy - (iowait or 0.0)),
    }


def _began(snapshot: Snapshot) -> datetime:
    return snapshot.time - timedelta(seconds=snapshot.interval_seconds)


def _seconds_of_machine_percent(snapshot: Snapshot) -> float:
    return snapshot.interval_seconds * snapshot.host.logical_cpus / 100


def _with_modes(mode_seconds: dict[str, float], snapshot: Snapshot) -> dict[str, float]:
    seconds_of_percent = _seconds_of_machine_percent(snapshot)
    percents = percent_by_mode(snapshot.machine).items()
    grown = {
        mode: mode_seconds.get(mode, 0.0) + percent * seconds_of_percent
        for mode, percent in percents
        if percent is not None
    }
    return mode_seconds | grown


def _balanced(totals: CpuTotals, snapshot: Snapshot, used_seconds: float) -> tuple[float, float, float]:
    """How much unattributed time and excess the interval adds, and the new balance, which is never above 0."""
    balance = totals.balance_seconds
    if snapshot.machine.cpu_percent is not None:
        balance += snapshot.machine.cpu_percent * _seconds_of_machine_percent(snapshot) - used_seconds
    lowest = -_ROUNDING_SECONDS_PER_CPU * snapshot.host.logical_cpus
    return max(0.0, balance), max(0.0, lowest - balance), min(0.0, max(lowest, balance))


def _used_by_name(snapshot: Snapshot, summed: _SummedName) -> tuple[dict[str, float], float]:
    """The CPU seconds of the interval by name, and the sum without a name."""
    seconds_of_percent = snapshot.interval_seconds / 100
    used: defaultdict[str, float] = defaultdict(float)
    unnamed = 0.0
    # Most processes did not run: the inner comprehension is all the work on them.
    for row in [row for row in snapshot.processes if row.cpu_percent]:
        used[summed(row.name, row.ppid)] += (row.cpu_percent or 0.0) * seconds_of_percent
    for exited in snapshot.exited:
        seconds = (exited.cpu_percent or 0.0) * seconds_of_percent
        if exited.name is None:
            unnamed += seconds
        else:
            used[summed(exited.name, exited.parent_pid)] += seconds
    return {name: seconds for name, seconds in used.items() if seconds > 0}, unnamed


def _waited_by_name(snapshot: Snapshot, summed: _SummedName) -> dict[str, float]:
    """The seconds that living processes waited for a CPU, by name."""
    seconds_of_percent = snapshot.interval_seconds / 100
    waited: defaultdict[str, float] = defaultdict(float)
    for row in [row for row in snapshot.processes if row.wait_percent]:
        waited[summed(row.name, row.ppid)] += (row.wait_percent or 0.0) * seconds_of_percent
    return waited


class RunningTotals:
    """The newest totals of the snapshots passed to :meth:`take`, which can follow a monitor."""

    def __init__(self, names: int = DEFAULT_NAMES) -> None:
        self._policy = list_policy(names)
        self.latest: CpuTotals | None = None

    def take(self, snapshot: Snapshot) -> None:
        """Add a snapshot."""
        self.latest = add(self.latest or no_totals(snapshot, self._policy), snapshot)
