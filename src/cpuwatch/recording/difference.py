"""Makes records from the ticks of a monitor. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from operator import attrgetter, is_not, sub

from cpuwatch.accounting.reaped import Carry
from cpuwatch.model import CpuTimes, MachineTimes, ProcessTimes, Reading
from cpuwatch.recording.cgroup_changes import cgroup_changes
from cpuwatch.recording.clock_time import time_of, time_us
from cpuwatch.recording.records import CPU_KINDS, Context, CpuShape, Identity, KeyRecord, Status, TickRecord
from cpuwatch.sampled_tick import SampledTick

__all__ = ["key_record", "tick_record"]

# In C: this runs for each process that ran, in each tick.
_identity_fields = attrgetter(
    "key",
    "start_ns",
    "start_time",
    "first_seen",
    "ppid",
    "name",
    "user",
    "cgroup",
    "command_line",
    "pid_namespace",
    "user_id",
    "cpu_cgroup",
)
_kinds = attrgetter(*CPU_KINDS)
_pid, _cpu_ns, _user_ns, _system_ns = map(attrgetter, ("pid", "cpu_ns", "user_ns", "system_ns"))
_wait_ns: Callable[[ProcessTimes], int | None] = attrgetter("wait_ns")
_status: Callable[[ProcessTimes], Status] = attrgetter("state", "threads")

_KNOWN = "tick_record"

_NOTHING = ProcessTimes(0, "", 0, time_of(0), time_of(0), None, "", None, None, None, 0, 0, 0)
"""That from which the counters of a new process have grown."""


def key_record(tick: SampledTick) -> KeyRecord:
    """The whole reading of this tick."""
    return KeyRecord(tick.run, _record(None, None, tick))


def tick_record(earlier: SampledTick, tick: SampledTick) -> TickRecord:
    """The difference between this tick and the one before it, ``earlier``.

    The tick remembers it, because the recorder and the history in memory need the same one.
    """
    known: tuple[int, TickRecord] | None = tick.__dict__.get(_KNOWN)
    if known is not None and known[0] == earlier.number and earlier.run == tick.run:
        return known[1]
    record = _record(earlier.reading, earlier.carry, tick)
    if earlier.run == tick.run:
        tick.__dict__[_KNOWN] = earlier.number, record
    return record


def _record(earlier: Reading | None, carry: Carry | None, tick: SampledTick) -> TickRecord:
    later = tick.reading
    known: Mapping[int, ProcessTimes] = {} if earlier is None else earlier.processes
    before, processes = known.get, later.processes
    order = list(processes)
    is_ascending = order == sorted(order)
    removed: list[int] = []
    identities: list[Identity] = []
    new = 0
    # Most processes are the identical records in both readings; this comparison runs in C, as do the columns below.
    found = compress(processes.values(), map(is_not, processes.values(), map(before, processes)))
    changed = list(found) if is_ascending else sorted(found, key=_pid)
    bases: list[ProcessTimes] = []
    for now in changed:
        old = before(now.pid)
        if old is not None and old.key != now.key:
            removed.append(now.pid)
            old = None
        if old is None:
            new += 1
        if old is None or _has_other_identity(now, old):
            identities.append(_identity(now))
        bases.append(_NOTHING if old is None else old)
    cpu_ns, user_ns, system_ns, children_ns = (
        list(map(sub, map(get, changed), map(get, bases))) for get in (_cpu_ns, _user_ns, _system_ns, _children_ns)
    )
    waits = list(map(_growth, map(_wait_ns, changed), map(_wait_ns, bases)))
    if len(processes) - new != len(known) - len(removed):
        removed += known.keys() - processes.keys()
    context = _context(later)
    same_context = earlier is not None and context == _context(earlier)
    values = _counters(later.machine)
    if earlier is not None and (same_context or _shape(later.machine) == _shape(earlier.machine)):
        values = list(map(sub, values, _counters(earlier.machine)))
    same_load = earlier is not None and later.machine.load_average == earlier.machine.load_average
    return TickRecord(
        number=tick.number,
        sequence=0 if tick.snapshot is None else tick.snapshot.sequence,
        time_us=time_us(later.time),
        monotonic_ns=later.monotonic_ns,
        uptime_ns=later.uptime_ns,
        sweep_ns=later.sweep_ns,
        lateness_ns=tick.lateness_ns,
        missed_ticks=tick.missed_ticks,
        failed_ticks=tick.failed_ticks,
        cpus=values,
        context=None if same_context else context,
        load_average=None if same_load else [later.machine.load_average],
        order=None if is_ascending else order,
        removed=sorted(removed),
        identities=identities,
        pids=list(map(_pid, changed)),
        cpu_ns=cpu_ns,
        user_ns=user_ns,
        system_ns=system_ns,
        children_ns=children_ns,
        statuses=list(map(_status, changed)),
        exits=later.exits,
        excess_ns=None if tick.carry == carry else tick.carry.excess_ns,
        wait_ns=None if waits.count(None) == len(waits) else waits,
        pressure_ns=_growth(later.machine.pressure_ns, None if earlier is None else earlier.machine.pressure_ns),
        cgroups=cgroup_changes({} if earlier is None else earlier.cgroups, later.cgroups),
    )


def _children_ns(record: ProcessTimes) -> int:
    return record.children_ns or 0


def _growth(now: int | None, old: int | None) -> int | None:
    """The growth of a counter that may be unknown: the counter itself if it was, None if it is."""
    return now if now is None or old is None else now - old


def _has_other_identity(now: ProcessTimes, old: ProcessTimes) -> bool:
    return _identity_fields(now) != _identity_fields(old) or (now.children_ns is None) != (old.children_ns is None)


def _identity(record: ProcessTimes) -> Identity:
    return Identity(
        record.pid,
        record.key,
        record.start_ns,
        record.start_time,
        record.first_seen,
        record.ppid,
        record.name,
        record.user,
        record.cgroup,
        record.command_line,
        record.pid_namespace,
        record.user_id,
        has_children_time=record.children_ns is not None,
        cpu_cgroup=True if record.cpu_cgroup is not None and record.cpu_cgroup == record.cgroup else record.cpu_cgroup,
    )


def _context(reading: Reading) -> Context:
    return Context(
        host=reading.host,
        cpus=_shape(reading.machine),
        start_resolution_ns=reading.start_resolution_ns,
        unreadable=reading.unreadable,
        exited_names=reading.exited_names,
        lost_exits=reading.lost_exits,
        unexpected_messages=reading.unexpected_messages,
        present_cpus=reading.present_cpus,
        hidden_parents=sorted(reading.hidden_parents),
        hidden=reading.hidden,
    )


def _cpus(machine: MachineTimes) -> list[tuple[int, CpuTimes]]:
    return [(-1, machine.total), *machine.per_cpu.items()]


def _shape(machine: MachineTimes) -> list[CpuShape]:
    return [(number, _mask(_kinds(times))) for number, times in _cpus(machine)]


def _mask(values: Sequence[int | None]) -> int:
    if None not in values:
        return (1 << len(CPU_KINDS)) - 1
    return sum(1 << bit for bit, value in enumerate(values) if value is not None)


def _counters(machine: MachineTimes) -> list[int]:
    return [value for _, times in _cpus(machine) for value in _kinds(times) if value is not None]
