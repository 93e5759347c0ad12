"""Hypothesis strategies for the values of cpuwatch, and for pairs of readings with the expected results."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum, auto
from operator import attrgetter
from typing import NamedTuple, get_args

from hypothesis import strategies as st
from msgspec.structs import replace
from readings import BOOT, SECOND

from cpuwatch import (
    Attribution,
    BusyProcess,
    CgroupUsage,
    CpuTimes,
    ExitedUsage,
    Host,
    MachineTimes,
    MachineUsage,
    ProcessTimes,
    ProcessUsage,
    Reading,
    Sampling,
    Snapshot,
    Verdict,
)

MAX_PID = 2**22

instants = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.text(max_size=20)
broken_texts = st.text(st.characters(categories=("Cs", "L", "Cc", "P")), max_size=20)
"""With lone surrogates, as returned by libraries that decode with ``surrogateescape``."""
percents = st.floats(0, 1e9) | st.integers(0, 100).map(float)
known_or_not = st.none() | percents
verdicts = st.none() | st.sampled_from(get_args(Verdict))
loads = st.none() | st.tuples(percents, percents, percents)


def hosts(text: st.SearchStrategy[str] = texts) -> st.SearchStrategy[Host]:
    return st.builds(Host, text, text, st.integers(1, 4096), text, st.floats(1e-9, 1.0))


def process_rows(text: st.SearchStrategy[str] = texts) -> st.SearchStrategy[ProcessUsage]:
    return st.builds(
        ProcessUsage,
        pid=st.integers(0, MAX_PID),
        start_time=instants,
        key=text,
        ppid=st.none() | st.integers(0, MAX_PID),
        name=text,
        user=st.none() | text,
        state=st.none() | st.sampled_from("RSDTtZXWIP"),
        threads=st.none() | st.integers(0, 2**31),
        cpu_percent=known_or_not,
        machine_percent=known_or_not,
        user_percent=known_or_not,
        system_percent=known_or_not,
        exited_percent=known_or_not,
        total_percent=known_or_not,
        cpu_seconds=st.floats(0, 1e12),
        first_seen=instants,
        cgroup=st.none() | text,
        command_line=st.none() | text,
        wait_percent=known_or_not,
        throttled_percent=known_or_not,
        verdict=verdicts,
    )


def busy_processes(text: st.SearchStrategy[str] = texts) -> st.SearchStrategy[BusyProcess]:
    return st.builds(BusyProcess, st.integers(0, MAX_PID), text, st.none() | text, percents)


def cgroup_rows(text: st.SearchStrategy[str] = texts) -> st.SearchStrategy[CgroupUsage]:
    return st.builds(
        CgroupUsage,
        path=text,
        name=st.none() | text,
        cpu_percent=percents,
        quota_cpus=known_or_not,
        limit_cpus=known_or_not,
        limited_by=st.none() | text,
        quota_percent=known_or_not,
        throttled_percent=known_or_not,
        throttled_periods_percent=known_or_not,
        pressure_percent=known_or_not,
        cpus=st.none() | st.integers(1, 4096),
    )


def snapshots(text: st.SearchStrategy[str] = texts) -> st.SearchStrategy[Snapshot]:
    """Any valid snapshot, including ones that no real machine would have."""
    unreadable = st.dictionaries(text, st.integers(1, 1000), max_size=3)
    return st.builds(
        Snapshot,
        sequence=st.integers(0, 2**63 - 1),
        time=instants,
        interval_seconds=st.floats(0, 1e9),
        sweep_seconds=st.floats(0, 1e9),
        host=hosts(text),
        machine=st.builds(
            MachineUsage,
            cpu_percent=known_or_not,
            user_percent=known_or_not,
            system_percent=known_or_not,
            iowait_percent=known_or_not,
            irq_percent=known_or_not,
            steal_percent=known_or_not,
            per_cpu_percent=st.lists(known_or_not, max_size=4),
            load_average=loads,
            pressure_percent=known_or_not,
            waiting_threads=known_or_not,
            verdict=verdicts,
            busiest=st.lists(busy_processes(text), max_size=2),
        ),
        attribution=st.builds(Attribution, known_or_not, known_or_not, known_or_not, known_or_not),
        processes=st.lists(process_rows(text), max_size=4, unique_by=attrgetter("pid")),
        exited=st.lists(
            st.builds(
                ExitedUsage,
                name=st.none() | text,
                user=st.none() | text,
                parent_pid=st.none() | st.integers(0, MAX_PID),
                parent_name=st.none() | text,
                count=st.none() | st.integers(1, 10**6),
                cpu_percent=known_or_not,
                machine_percent=known_or_not,
                estimated=st.booleans(),
            ),
            max_size=2,
        ),
        cgroups=st.lists(cgroup_rows(text), max_size=3, unique_by=attrgetter("path")),
        sampling=st.builds(
            Sampling,
            lateness_seconds=st.none() | st.floats(0, 1e6),
            missed_ticks=st.integers(0, 10**9),
            failed_ticks=st.integers(0, 10**9),
            unreadable=unreadable,
            lost_exits=st.integers(0, 10**9),
            unexpected_messages=st.integers(0, 10**9),
            hidden=st.lists(text, max_size=2),
        ),
        exited_names=text,
    )


class Fate(Enum):
    """What can happen to the holder of a PID between two readings."""

    RESTED = auto()
    RAN = auto()
    BORN = auto()
    REPLACED_BY_NEWBORN = auto()
    REPLACED_BY_OLDER = auto()
    APPEARED_OLD = auto()
    WENT_BACK = auto()
    RAN_ON_MORE_CPUS_THAN_ARE_SHOWN = auto()
    EXITED = auto()


class Pair(NamedTuple):
    """Two readings, and the nanoseconds that each PID used, None if they cannot be known."""

    earlier: Reading
    later: Reading
    spent_ns: dict[int, int | None]
    fates: dict[int, Fate]


@st.composite
def cpu_times(draw: st.DrawFn, highest: int = 10**18) -> CpuTimes:
    counter = st.integers(0, highest)
    maybe = st.none() | counter
    return CpuTimes(*(draw(counter) for _ in range(3)), *(draw(maybe) for _ in range(3)))


def _moved(draw: st.DrawFn, before: CpuTimes) -> CpuTimes:
    """Counters some time later: mostly higher, sometimes lower, and a kind may no longer be counted."""
    step = st.integers(-(10**7), 10**15)

    def after(value: int) -> int:
        return max(0, value + draw(step))

    def maybe_after(value: int | None) -> int | None:
        return None if value is None else after(value)

    return CpuTimes(
        after(before.user_ns),
        after(before.system_ns),
        after(before.idle_ns),
        maybe_after(before.iowait_ns),
        maybe_after(before.irq_ns),
        maybe_after(before.steal_ns),
    )


class _Room(NamedTuple):
    """The limits between two readings."""

    capacity_ns: int
    slack_ns: int
    old_starts: st.SearchStrategy[int]
    young_starts: st.SearchStrategy[int]


class _Life(NamedTuple):
    before: ProcessTimes | None
    after: ProcessTimes | None
    spent_ns: int | None = None


def _life(draw: st.DrawFn, pid: int, fate: Fate, room: _Room) -> _Life:
    before = ProcessTimes(
        pid=pid,
        key=f"{pid}-before",
        start_ns=draw(room.old_starts),
        start_time=BOOT,
        first_seen=BOOT,
        ppid=1,
        name="work",
        user="nobody",
        state="S",
        threads=1,
        cpu_ns=draw(st.integers(1, 10**16)),
        user_ns=draw(st.integers(0, 10**16)),
        system_ns=draw(st.integers(0, 10**16)),
    )
    match fate:
        case Fate.RESTED:
            return _Life(before, before, 0)
        case Fate.EXITED:
            return _Life(before, None)
        case Fate.WENT_BACK:
            return _Life(before, replace(before, cpu_ns=draw(st.integers(0, before.cpu_ns - 1))))
        case Fate.RAN_ON_MORE_CPUS_THAN_ARE_SHOWN:
            # More than one beyond the limit: the slack is rounded from floats, and rounding is not tested here.
            ran_ns = room.capacity_ns + room.slack_ns + draw(st.integers(2, 10**12))
            return _Life(before, replace(before, cpu_ns=before.cpu_ns + ran_ns), ran_ns)
    return _active_life(draw, before, fate, room)


def _active_life(draw: st.DrawFn, before: ProcessTimes, fate: Fate, room: _Room) -> _Life:
    ran_ns = draw(st.integers(0, room.capacity_ns))
    after = replace(
        before,
        cpu_ns=before.cpu_ns + ran_ns,
        user_ns=before.user_ns + draw(st.integers(0, 10**10)),
        system_ns=before.system_ns + draw(st.integers(0, 10**10)),
    )
    match fate:
        case Fate.RAN:
            return _Life(before, after, ran_ns)
        case Fate.REPLACED_BY_OLDER:
            return _Life(before, replace(after, key=f"{before.pid}-other"))
        case Fate.APPEARED_OLD:
            return _Life(None, after)
    young = replace(after, key=f"{before.pid}-young", start_ns=draw(room.young_starts), cpu_ns=ran_ns)
    return _Life(before if fate is Fate.REPLACED_BY_NEWBORN else None, young, ran_ns)


@st.composite
def _machine_times(draw: st.DrawFn) -> tuple[MachineTimes, MachineTimes]:
    """The counters of the machine before and after, with CPUs added or removed in between."""
    total = draw(cpu_times())
    per_cpu = draw(st.dictionaries(st.integers(0, 8), cpu_times(), max_size=3))
    plugged = draw(st.dictionaries(st.integers(0, 8), cpu_times(), max_size=2))
    unplugged = draw(st.sets(st.sampled_from(sorted(per_cpu)))) if per_cpu else set()
    stayed = {cpu: _moved(draw, times) for cpu, times in per_cpu.items() if cpu not in unplugged}
    return MachineTimes(total, per_cpu), MachineTimes(_moved(draw, total), {**plugged, **stayed}, draw(loads))


any_fate = st.sampled_from(Fate)


@st.composite
def pairs(draw: st.DrawFn, *, fates: st.SearchStrategy[Fate] = any_fate, max_processes: int = 4) -> Pair:
    """Two readings of a machine: intervals from a nanosecond to eleven days, with any jump of the wall clock."""
    cpus = draw(st.integers(1, 64))
    interval_ns = draw(st.sampled_from([1, SECOND, 3600 * SECOND]) | st.integers(1, 10**15))
    uptime_ns = draw(st.integers(10 * SECOND, 10**16))
    # On a suspended machine the boot-time clock advances, and the monotonic clock does not.
    uptime_later_ns = uptime_ns + interval_ns + draw(st.just(0) | st.integers(0, 10**15))
    resolution_ns = draw(st.sampled_from([1, 10_000_000, 15_625_000]))
    sweeps_ns = draw(st.integers(0, 10**8)), draw(st.integers(0, 10**8))
    # A sweep lists the processes slightly before its instant, and start times are rounded down.
    born_after_ns = uptime_ns - sweeps_ns[0] - resolution_ns
    room = _Room(
        capacity_ns=cpus * interval_ns,
        slack_ns=cpus * sum(sweeps_ns) + 2 * resolution_ns,
        old_starts=st.integers(0, born_after_ns - 1),
        young_starts=st.integers(born_after_ns, uptime_later_ns),
    )
    pids = draw(st.lists(st.integers(1, MAX_PID), unique=True, max_size=max_processes))
    fate_of = {pid: draw(fates) for pid in pids}
    lives = {pid: _life(draw, pid, fate, room) for pid, fate in fate_of.items()}
    books, books_later = draw(_machine_times())
    earlier = Reading(
        time=draw(instants),
        monotonic_ns=draw(st.integers(0, 10**16)),
        uptime_ns=uptime_ns,
        sweep_ns=sweeps_ns[0],
        host=Host("here", "boot", cpus, "scripted", resolution_ns / 1e9),
        machine=books,
        processes={pid: life.before for pid, life in lives.items() if life.before is not None},
        start_resolution_ns=resolution_ns,
    )
    later = replace(
        earlier,
        time=draw(instants),
        monotonic_ns=earlier.monotonic_ns + interval_ns,
        uptime_ns=uptime_later_ns,
        sweep_ns=sweeps_ns[1],
        machine=books_later,
        processes={pid: life.after for pid, life in lives.items() if life.after is not None},
    )
    spent_ns = {pid: life.spent_ns for pid, life in lives.items() if life.after is not None}
    return Pair(earlier, later, spent_ns, fate_of)
