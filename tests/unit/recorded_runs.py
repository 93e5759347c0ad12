"""Runs of a monitor for the tests of the recording: any sequence of readings, with the snapshots that were live."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import cpu_times, hosts, instants, loads, texts

from cpuwatch import CgroupTimes, CpuTimes, MachineTimes, ProcessTimes, Reading
from cpuwatch.accounting.reaped import NO_CARRY
from cpuwatch.accounting.usage import account
from cpuwatch.errors import ReadingOrderError
from cpuwatch.model import PidNamespace, ProcessExit
from cpuwatch.sampled_tick import SampledTick

RUN = "123456789"
BOOT = datetime(2026, 1, 1, tzinfo=UTC)
TICK_NS = 10_000_000

counters = st.integers(0, 2**62)
steps_ns = st.integers(-(10**6), 10**10) | st.integers(0, 300).map(lambda ticks: ticks * TICK_NS)
pids = st.integers(1, 40) | st.integers(1, 2**22)
namespaces = st.none() | st.builds(PidNamespace, st.integers(1, 3), st.none() | counters, st.integers(1, 100))
cgroup_paths = st.sampled_from(["/", "/system.slice", "/system.slice/work.service", "/user.slice", "/žluť"]) | texts
_limits = st.none() | st.integers(-1, 10**12)
_known_counters = st.none() | counters


@st.composite
def processes(draw: st.DrawFn, pid: int) -> ProcessTimes:
    start_ns = draw(counters)
    cgroup = draw(st.none() | cgroup_paths)
    return ProcessTimes(
        pid=pid,
        key=f"{pid}-{start_ns}",
        start_ns=start_ns,
        start_time=draw(instants),
        first_seen=draw(instants),
        ppid=draw(st.none() | pids),
        name=draw(texts),
        user=draw(st.none() | texts),
        state=draw(st.none() | st.sampled_from("RSDZ")),
        threads=draw(st.none() | st.integers(1, 2**31)),
        cpu_ns=draw(counters),
        user_ns=draw(counters),
        system_ns=draw(counters),
        children_ns=draw(_known_counters),
        cgroup=cgroup,
        command_line=draw(st.none() | texts),
        pid_namespace=draw(namespaces),
        user_id=draw(st.none() | st.integers(0, 2**32)),
        wait_ns=draw(_known_counters),
        cpu_cgroup=draw(st.just(cgroup) | st.none() | cgroup_paths),
    )


@st.composite
def _later_process(draw: st.DrawFn, before: ProcessTimes) -> ProcessTimes | None:
    match draw(st.sampled_from(["rests", "runs", "runs", "exits", "is replaced", "changes", "moves"])):
        case "rests":
            return before
        case "runs":
            children_ns, wait_ns = before.children_ns, before.wait_ns
            if wait_ns is None or draw(st.integers(0, 3)) == 0:
                wait_ns = draw(st.none() | counters)
            else:
                wait_ns += draw(steps_ns)
            return replace(
                before,
                cpu_ns=before.cpu_ns + draw(steps_ns),
                user_ns=before.user_ns + draw(steps_ns),
                system_ns=before.system_ns + draw(steps_ns),
                children_ns=None if children_ns is None else children_ns + draw(st.just(0) | steps_ns),
                state=draw(st.none() | st.sampled_from("RSDZ")),
                wait_ns=wait_ns,
            )
        case "exits":
            return None
        case "is replaced":
            return draw(processes(before.pid))
        case "changes":
            return replace(draw(processes(before.pid)), key=before.key, start_ns=before.start_ns)
        case _:
            return replace(before, **{draw(st.sampled_from(["cgroup", "cpu_cgroup"])): draw(st.none() | cgroup_paths)})


_cgroup_times = st.builds(
    CgroupTimes,
    quota_ns=_limits,
    period_ns=_limits,
    periods=_known_counters,
    throttled_periods=_known_counters,
    throttled_ns=_known_counters,
    cpus=st.none() | st.integers(0, 4096),
    pressure_ns=_known_counters,
    name=st.none() | texts,
)

any_cgroups = st.dictionaries(cgroup_paths, _cgroup_times, max_size=4)


@st.composite
def _later_cgroup(draw: st.DrawFn, before: CgroupTimes) -> CgroupTimes | None:
    match draw(st.sampled_from(["rests", "is read again", "counts", "counts", "changes", "vanishes"])):
        case "rests":
            return before
        case "is read again":
            return replace(before)
        case "vanishes":
            return None
        case "changes":
            name = draw(st.sampled_from(CgroupTimes.__struct_fields__))
            return replace(before, **{name: getattr(draw(_cgroup_times), name)})
    grown = {
        name: None if value is None else value + draw(steps_ns)
        for name in ("periods", "throttled_periods", "throttled_ns", "pressure_ns")
        for value in [getattr(before, name)]
    }
    return replace(before, **grown)


def _shifted(draw: st.DrawFn, before: CpuTimes) -> CpuTimes:
    def later(value: int | None) -> int | None:
        return None if value is None else value + draw(steps_ns)

    return CpuTimes(
        before.user_ns + draw(steps_ns),
        before.system_ns + draw(steps_ns),
        before.idle_ns + draw(steps_ns),
        later(before.iowait_ns),
        later(before.irq_ns),
        later(before.steal_ns),
    )


@st.composite
def later_cgroups(draw: st.DrawFn, before: dict[str, CgroupTimes]) -> dict[str, CgroupTimes]:
    """The cgroups in the next reading: some vanish, others appear, change, or gain and lose counters."""
    followed = {path: draw(_later_cgroup(times)) for path, times in before.items()}
    new = draw(st.dictionaries(cgroup_paths, _cgroup_times, max_size=1))
    return {path: times for path, times in {**followed, **new}.items() if times is not None}


@st.composite
def _machines(draw: st.DrawFn) -> MachineTimes:
    return MachineTimes(
        draw(cpu_times()),
        draw(st.dictionaries(st.integers(0, 8), cpu_times(), max_size=3)),
        draw(loads),
        draw(st.none() | counters),
    )


@st.composite
def _first_readings(draw: st.DrawFn) -> Reading:
    listed = draw(st.lists(pids, unique=True, max_size=5))
    return Reading(
        time=draw(instants),
        monotonic_ns=draw(st.integers(0, 2**60)),
        uptime_ns=draw(st.integers(0, 2**60)),
        sweep_ns=draw(st.integers(0, 10**9)),
        host=draw(hosts()),
        machine=draw(_machines()),
        processes={pid: draw(processes(pid)) for pid in listed},
        start_resolution_ns=draw(st.sampled_from([1, TICK_NS])),
        cgroups=draw(any_cgroups),
    )


@st.composite
def _next_readings(draw: st.DrawFn, before: Reading) -> Reading:
    followed = {pid: draw(_later_process(record)) for pid, record in before.processes.items()}
    new = {pid: draw(processes(pid)) for pid in draw(st.lists(pids, max_size=2))}
    living = {**new, **{pid: record for pid, record in followed.items() if record is not None}}
    if draw(st.booleans()):
        living = dict(sorted(living.items()))
    step_ns = draw(st.integers(0, 10**10) | st.just(10**9) | st.integers(-2, 2))
    machine = before.machine
    if draw(st.integers(0, 5)):
        per_cpu = {number: _shifted(draw, times) for number, times in machine.per_cpu.items()}
        load = draw(st.just(machine.load_average) | loads)
        pressure_ns = draw(st.none() | counters)
        if machine.pressure_ns is not None and draw(st.booleans()):
            pressure_ns = machine.pressure_ns + draw(steps_ns)
        machine = MachineTimes(_shifted(draw, machine.total), per_cpu, load, pressure_ns)
    else:
        machine = draw(_machines())
    exits = st.builds(ProcessExit, pids, pids, st.none() | texts, texts, st.integers(0, 10**10))
    later = replace(
        before,
        time=draw(st.just(before.time + timedelta(seconds=1)) | instants),
        monotonic_ns=max(0, before.monotonic_ns + step_ns),
        uptime_ns=max(0, before.uptime_ns + step_ns),
        sweep_ns=draw(st.integers(0, 10**9)),
        machine=machine,
        processes=living,
        exits=draw(st.lists(exits, max_size=3)),
        cgroups=draw(st.just(before.cgroups) | later_cgroups(before.cgroups)),
    )
    if draw(st.integers(0, 3)):
        return later
    return replace(
        later,
        host=draw(st.just(before.host) | hosts()),
        unreadable=draw(st.dictionaries(texts, st.integers(1, 10), max_size=2)),
        exited_names=draw(texts),
        lost_exits=draw(st.integers(0, 2**40)),
        unexpected_messages=draw(st.integers(0, 2**40)),
        present_cpus=draw(st.none() | st.integers(1, 4096)),
        hidden_parents=frozenset(draw(st.lists(pids, max_size=3))),
        hidden=draw(st.lists(texts, max_size=2)),
    )


def live_ticks(readings: Iterable[Reading], run: str = RUN) -> Iterator[SampledTick]:
    """The ticks of a monitor that takes these readings: the arithmetic of ``Monitor``, without its thread."""
    carry, sequence, earlier = NO_CARRY, 0, None
    for number, reading in enumerate(readings, start=1):
        snapshot = None
        if earlier is not None:
            try:
                snapshot, carry = account(earlier, reading, carry, sequence=sequence + 1)
            except ReadingOrderError:
                pass
            else:
                sequence += 1
        lateness_ns, missed, failed = 1000 * number, number // 2, number // 3
        if snapshot is not None:
            sampling = replace(
                snapshot.sampling,
                lateness_seconds=lateness_ns / 1e9,
                missed_ticks=missed,
                failed_ticks=failed,
                run=run,
            )
            snapshot = replace(snapshot, sampling=sampling)
        yield SampledTick(run, number, reading, snapshot, carry, lateness_ns, missed, failed)
        earlier = reading


@st.composite
def runs(draw: st.DrawFn, *, min_ticks: int = 1, max_ticks: int = 8) -> list[SampledTick]:
    """A run of a monitor, whatever its sampler returns: also what no machine would show."""
    readings = [draw(_first_readings())]
    for _ in range(draw(st.integers(min_ticks, max_ticks)) - 1):
        readings.append(draw(_next_readings(readings[-1])))
    return list(live_ticks(readings))
