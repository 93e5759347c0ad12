"""Sums the ticks of an interval into few series that add up to the busy time of the machine. Pure.

Every nanosecond of the busy time is in exactly one series by name, and in exactly one by cgroup: that of a listed name,
``rest`` (unlisted), ``exited`` (processes that exited, without a name) or ``unattributed``. What processes used beyond
the busy time that the machine counted is in :data:`EXCESS`. So for each interval::

    sum(by name) - excess = sum(by cgroup) - excess = busy = user + system + interrupt + steal

Counters never decrease. What a name uses while it is not listed is in ``rest``. Its own series stops then; if the name
returns, it continues with its last value, or begins anew if it is not remembered.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from msgspec import Struct

from cpuwatch.accounting.listed_names import ListPolicy, delisted, empty_listing, relist
from cpuwatch.encoding.metric_points import Attributes, Interval, Metric, Point
from cpuwatch.model import CpuTimes, ProcessTimes, Reading
from cpuwatch.recording.clock_time import time_us
from cpuwatch.recording.sums import Amount, Key, ProcessKey, Slot, add_tick, empty_slot
from cpuwatch.sampled_tick import SampledTick
from cpuwatch.text import printable, shortened, text_without_surrogates

__all__ = [
    "BY_CGROUP",
    "BY_NAME",
    "EXCESS",
    "LOGICAL_CPUS",
    "MACHINE",
    "MAX_DAY_SERIES",
    "MAX_SERIES",
    "MAX_TOP",
    "METRICS",
    "PROCESS",
    "TICKS",
    "Payload",
    "list_policies",
]

_NS = 10**9

BY_NAME = Metric(
    "cpuwatch.cpu.time.by_name",
    "s",
    "CPU time by name of the process; its series add up to busy and excess.",
    parts=_NS,
)
BY_CGROUP = Metric(
    "cpuwatch.cpu.time.by_cgroup",
    "s",
    "CPU time by systemd unit or container; its series add up to busy and excess.",
    parts=_NS,
)
EXCESS = Metric(
    "cpuwatch.cpu.time.excess", "s", "CPU time of processes beyond the busy time that the machine counted.", parts=_NS
)
PROCESS = Metric("process.cpu.time", "s", "CPU time of a process since it started.", parts=_NS)
MACHINE = Metric("system.cpu.time", "s", "CPU time of all CPUs since boot; user includes nice and guest.", parts=_NS)
LOGICAL_CPUS = Metric("system.cpu.logical.count", "{cpu}", "Logical CPUs.", "amount")
TICKS = Metric("cpuwatch.ticks", "{tick}", "Ticks that were taken, were missed, or failed.")
METRICS = (BY_NAME, BY_CGROUP, EXCESS, PROCESS, MACHINE, LOGICAL_CPUS, TICKS)

MAX_TOP = 30
MAX_SERIES = 100
"""Series of a host at a time, with the largest ``top``."""
MAX_DAY_SERIES = 1000
"""Series of a host in any 24 hours. A restart begins a new count."""

_DAY_NAMES = 400
_DAY_CGROUPS = 250
_DAY_PROCESSES = 90
_PROCESSES = 10
"""Each has two series."""
_BURST = 0.4
_HALF_LIFE_SECONDS = 600.0


def list_policies(top: int) -> list[ListPolicy]:
    """Which names, cgroups and processes are listed."""
    return [
        ListPolicy(places, _BURST * of_day, (1 - _BURST) * of_day, _HALF_LIFE_SECONDS)
        for places, of_day in ((top, _DAY_NAMES), (top, _DAY_CGROUPS), (_PROCESSES, _DAY_PROCESSES))
    ]


_MAX_LABEL_CHARACTERS = 200
_KINDS = ("rest", "exited", "unattributed")


class _Total(Struct, gc=False):
    """A counter that was 0 at ``start_ns``."""

    start_ns: int
    value: int = 0
    shown_in: int = -1


class Payload:
    """Collects ticks, and makes an :class:`~cpuwatch.encoding.metric_points.Interval` of each ``seconds``.

    ``top`` is the number of names, and of cgroups, that have a series each.
    """

    def __init__(self, seconds: float = 10.0, top: int = 20) -> None:
        self._wanted_ns = round(seconds * 1e9)
        names, cgroups, processes = list_policies(top)
        self._names = _Ledger(BY_NAME, "name", names)
        self._cgroups = _Ledger(BY_CGROUP, "cgroup", cgroups)
        self._processes = _Processes(processes)
        self._excess: _Total | None = None
        self._slot: Slot | None = None
        self._first: SampledTick | None = None
        self._last: SampledTick | None = None
        self._counters: dict[tuple[str, Attributes], _Total] = {}
        self._number = 0

    def add(self, tick: SampledTick) -> Interval | None:
        """Add a tick; returns the interval that it completes."""
        before, self._last = self._last, tick
        if before is None or tick.snapshot is None:
            # A tick without a snapshot is the first one, or follows a change that cannot be accounted for.
            self._first = self._first or tick
            return None
        if self._slot is None:
            self._slot = empty_slot(time_us(before.reading.time))
        end_us = time_us(tick.reading.time)
        add_tick(self._slot, min(self._slot.begin_us, end_us - 1), end_us, tick.reading.processes, tick.snapshot)
        half_tick_ns = round(tick.snapshot.interval_seconds * 1e9) // 2
        return self.flush() if self._slot.machine.elapsed_ns + half_tick_ns > self._wanted_ns else None

    def flush(self) -> Interval | None:
        """End the interval now; None if no time was sampled since the last one."""
        slot, first, last = self._slot, self._first, self._last
        if slot is None or first is None or last is None:
            return None
        self._slot, self._first = None, last
        self._number += 1
        end_ns = time_us(last.reading.time) * 1000
        begin_ns = time_us(first.reading.time) * 1000
        if begin_ns >= end_ns:
            # The wall clock was set back.
            begin_ns = end_ns - max(1, slot.machine.elapsed_ns)
        return Interval(begin_ns, end_ns, tuple(self._points(slot, first, last, begin_ns, end_ns)))

    def _points(self, slot: Slot, first: SampledTick, last: SampledTick, begin_ns: int, end_ns: int) -> Iterator[Point]:
        machine, seconds = slot.machine, slot.machine.elapsed_ns / _NS
        names, cgroups = slot.amounts["name"], slot.amounts["cgroup"]
        attributed_ns = sum(amount.own_ns + amount.exited_ns for amount in names.values())
        unattributed_ns = max(0, machine.busy_ns - attributed_ns)
        yield from self._names.points(names, unattributed_ns, self._number, begin_ns, seconds)
        yield from self._cgroups.points(cgroups, unattributed_ns, self._number, begin_ns, seconds)
        excess = self._excess = self._excess or _Total(begin_ns)
        yield _grown(EXCESS, (), excess, max(0, attributed_ns - machine.busy_ns), self._number)
        yield from self._processes.points(slot.amounts["process"], first.reading, last.reading, self._number, seconds)
        yield from self._machine_points(first.reading, last.reading, end_ns)
        yield from self._tick_points(first, last, begin_ns)

    def _machine_points(self, first: Reading, last: Reading, end_ns: int) -> Iterator[Point]:
        before = _modes(first.machine.total)
        for mode, value in _modes(last.machine.total).items():
            yield self._counter(MACHINE, (("cpu.mode", mode),), before.get(mode, value), value, end_ns - last.uptime_ns)
        cpus = last.host.logical_cpus
        yield Point(LOGICAL_CPUS, (), cpus, cpus, end_ns - last.uptime_ns, is_new=False)

    def _tick_points(self, first: SampledTick, last: SampledTick, begin_ns: int) -> Iterator[Point]:
        for state, before, value in (
            ("taken", first.number - 1, last.number - 1),
            ("missed", first.missed_ticks, last.missed_ticks),
            ("failed", first.failed_ticks, last.failed_ticks),
        ):
            yield self._counter(TICKS, (("state", state),), before, value, begin_ns)

    def _counter(self, metric: Metric, attributes: Attributes, before: int, value: int, start_ns: int) -> Point:
        """A counter of somebody else. The kernel's may decrease (idle, iowait), and the time of boot may jitter."""
        series = metric.name, attributes
        total = self._counters.setdefault(series, _Total(start_ns, before))
        is_new = total.shown_in != self._number - 1
        before = max(total.value, before) if is_new else total.value
        total.value, total.shown_in = max(before, value), self._number
        return Point(metric, attributes, total.value, before, total.start_ns, is_new)


class _Ledger:
    """The series of a metric: one for each listed name, and those of the other kinds."""

    def __init__(self, metric: Metric, label: str, policy: ListPolicy) -> None:
        self._metric = metric
        self._label = label
        self._totals: dict[str, _Total] = {}
        self._listing = empty_listing(policy)
        self._kinds: dict[str, _Total] = {}

    def points(
        self, amounts: Mapping[Key, Amount], unattributed_ns: int, number: int, begin_ns: int, seconds: float
    ) -> Iterator[Point]:
        used: defaultdict[str, int] = defaultdict(int)
        of_kind = {"rest": 0, "exited": 0, "unattributed": unattributed_ns}
        for key, amount in amounts.items():
            if isinstance(key, str):
                used[_label_text(key)] += amount.own_ns + amount.exited_ns
            else:
                of_kind["rest"] += amount.own_ns
                of_kind["exited"] += amount.exited_ns
        self._listing = relist(self._listing, _seconds(used), seconds)
        listed, ranks = self._listing.listed, self._listing.ranks
        self._totals = {name: total for name, total in self._totals.items() if name in ranks}
        of_kind["rest"] += sum(used_ns for name, used_ns in used.items() if name not in listed)
        for name in sorted(listed):
            total = self._totals.setdefault(name, _Total(begin_ns))
            attributes = (("kind", "named"), (self._label, name))
            yield _grown(self._metric, attributes, total, used.get(name, 0), number)
        for kind in _KINDS:
            total = self._kinds.setdefault(kind, _Total(begin_ns))
            yield _grown(self._metric, (("kind", kind),), total, of_kind[kind], number)


class _Process(Struct, gc=False):
    """A listed process; its attributes are those at the begin of its series, even if it is renamed."""

    pid: int
    attributes: Attributes
    start_ns: int
    values: dict[str, int]
    shown_in: int = -1


class _Processes:
    """Two series, by mode, for each of the busiest living processes."""

    def __init__(self, policy: ListPolicy) -> None:
        self._known: dict[str, _Process] = {}
        self._listing = empty_listing(policy)

    def points(
        self, amounts: Mapping[Key, Amount], first: Reading, last: Reading, number: int, seconds: float
    ) -> Iterator[Point]:
        ended = {key for key, process in self._known.items() if not _is_alive(process.pid, key, last)}
        self._known = {key: process for key, process in self._known.items() if key not in ended}
        used: defaultdict[str, int] = defaultdict(int)
        pids: dict[str, int] = {}
        for process, amount in amounts.items():
            if isinstance(process, ProcessKey) and amount.own_ns and _is_alive(process.pid, process.key, last):
                used[process.key] += amount.own_ns
                pids[process.key] = process.pid
        self._listing = relist(delisted(self._listing, ended), _seconds(used), seconds)
        for key in sorted(self._listing.listed):
            if key not in self._known:
                self._known[key] = _process(last.processes[pids[key]])
            yield from self._points_of(self._known[key], first, last, number)

    @staticmethod
    def _points_of(known: _Process, first: Reading, last: Reading, number: int) -> Iterator[Point]:
        record, earlier = last.processes[known.pid], first.processes.get(known.pid)
        is_new = known.shown_in != number - 1
        if is_new:
            since = _process_modes(earlier) if earlier is not None and earlier.key == record.key else {}
            known.values = {mode: max(value, known.values.get(mode, 0)) for mode, value in since.items()}
        known.shown_in = number
        for mode, value in _process_modes(record).items():
            before = known.values.get(mode, 0)
            known.values[mode] = max(before, value)
            yield Point(
                PROCESS, (*known.attributes, ("cpu.mode", mode)), known.values[mode], before, known.start_ns, is_new
            )


def _seconds(used: Mapping[str, int]) -> dict[str, float]:
    return {name: ns / _NS for name, ns in used.items() if ns > 0}


def _is_alive(pid: int, key: str, reading: Reading) -> bool:
    record = reading.processes.get(pid)
    return record is not None and record.key == key


def _process(record: ProcessTimes) -> _Process:
    # Milliseconds, as in the semantic conventions.
    started = record.start_time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    attributes = (
        ("process.pid", str(record.pid)),
        ("process.creation.time", started),
        ("name", _label_text(record.name)),
    )
    return _Process(record.pid, attributes, time_us(record.start_time) * 1000, {})


def _process_modes(record: ProcessTimes) -> dict[str, int]:
    # The kernel scales both to the exact total (cputime_adjust), and neither decreases.
    return {"user": record.user_ns, "system": record.system_ns}


def _modes(times: CpuTimes) -> dict[str, int]:
    values = {
        "user": times.user_ns,
        "system": times.system_ns,
        "idle": times.idle_ns,
        "iowait": times.iowait_ns,
        "interrupt": times.irq_ns,
        "steal": times.steal_ns,
    }
    return {mode: value for mode, value in values.items() if value is not None}


def _grown(metric: Metric, attributes: Attributes, total: _Total, by: int, number: int) -> Point:
    is_new = total.shown_in != number - 1
    before, total.value, total.shown_in = total.value, total.value + by, number
    return Point(metric, attributes, total.value, before, total.start_ns, is_new)


def _label_text(text: str) -> str:
    """The text as a label: bounded, and valid in every protocol. Texts that become equal are one series."""
    return shortened(printable(text_without_surrogates(text)), _MAX_LABEL_CHARACTERS)
