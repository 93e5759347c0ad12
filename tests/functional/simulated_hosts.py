"""Fifty machines that ran for some minutes around midnight: seeded readings, recorded by the real writer.

On each machine one minute is the busiest, a service is deployed at midnight, and a build starts short-lived programs.
From then on, the quota of the service throttles it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from msgspec.structs import replace
from recorded_runs import live_ticks

from cpuwatch import CgroupTimes, CpuTimes, Host, MachineTimes, ProcessExit, ProcessTimes, Reading, Snapshot
from cpuwatch.recording.writer import RecordingWriter

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
HOSTS = [f"web-{number:02}" for number in range(50)]

_SECOND = 1_000_000_000
_MILLISECOND = 1_000_000
_CPUS = 4
_UPTIME_SECONDS = 86_400
_BEGIN_SECONDS, _END_SECONDS = -120, 90
_UNITS = ("nginx", "postgresql", "billing", "cron", "sshd")
_BUILD_PID = 900
_QUOTA = CgroupTimes(50 * _MILLISECOND, 100 * _MILLISECOND, periods=0, throttled_periods=0, throttled_ns=0)


def record_host(directory: Path, name: str) -> list[Snapshot]:
    """Record a machine, with a gap of 20 s on every tenth; returns the snapshots as they were live."""
    random = Random(name)  # noqa: S311  reproducible
    readings = list(_readings(name, random))
    runs = [readings[:150], readings[170:]] if name.endswith("0") else [readings]
    live = []
    for number, taken in enumerate(runs, start=1):
        with RecordingWriter(directory) as writer:
            for tick in live_ticks(taken, run=f"{name}-{number}"):
                writer.write(tick)
                if tick.snapshot is not None:
                    live.append(tick.snapshot)
    return live


def _readings(name: str, random: Random) -> Iterator[Reading]:
    worst_second = random.randrange(_BEGIN_SECONDS, _END_SECONDS - 60)
    processes = {10 + number: _process(10 + number, unit) for number, unit in enumerate(_UNITS)}
    processes[_BUILD_PID] = _process(_BUILD_PID, "build")
    processes |= {pid: _process(pid, "idle") for pid in range(1000, 1020)}
    busy_ns = 0
    for second in range(_BEGIN_SECONDS, _END_SECONDS):
        if second == 0:
            processes[500] = _process(500, "billing", name="billing-v2", started_seconds=_UPTIME_SECONDS)
        exits = []
        for pid in [pid for pid in processes if pid < 1000 and random.random() < 0.4]:
            used_ns = random.randrange(300 * _MILLISECOND)
            if worst_second <= second < worst_second + 60 and pid == 12:
                used_ns += 700 * _MILLISECOND
            busy_ns += used_ns
            before = processes[pid]
            if pid == _BUILD_PID:
                used_ns = used_ns // 10_000_000 * 10_000_000
                exits = [ProcessExit(20_000, pid, random.choice(["cc1", "ld", "sed"]), "build", used_ns)]
                processes[pid] = replace(before, children_ns=(before.children_ns or 0) + used_ns)
            else:
                processes[pid] = replace(
                    before, cpu_ns=before.cpu_ns + used_ns, user_ns=before.user_ns + used_ns, state="R"
                )
        elapsed_ns = (second - _BEGIN_SECONDS + 1) * _SECOND
        total = CpuTimes(busy_ns, 0, _CPUS * elapsed_ns - busy_ns, 0, 0, 0)
        yield Reading(
            time=MIDNIGHT + timedelta(seconds=second, microseconds=250_000),
            monotonic_ns=(_UPTIME_SECONDS + second) * _SECOND,
            uptime_ns=(_UPTIME_SECONDS + second) * _SECOND,
            sweep_ns=_MILLISECOND,
            host=Host(name, f"boot-of-{name}", _CPUS, "procfs/clock", 1e-9),
            machine=MachineTimes(total, {}, (1.0, 2.0, 3.0)),
            processes=dict(sorted(processes.items())),
            exits=exits,
            exited_names="taskstats",
            cgroups={
                "/": CgroupTimes(),
                "/system.slice": CgroupTimes(),
                "/system.slice/billing.service": _throttled(max(0, second)),
            },
        )


def _throttled(seconds: int) -> CgroupTimes:
    return replace(_QUOTA, periods=10 * seconds, throttled_periods=3 * seconds, throttled_ns=30_000_123 * seconds)


def _process(pid: int, unit: str, *, name: str | None = None, started_seconds: int = 60) -> ProcessTimes:
    return ProcessTimes(
        pid=pid,
        key=f"{pid}-{started_seconds * _SECOND}",
        start_ns=started_seconds * _SECOND,
        start_time=MIDNIGHT + timedelta(seconds=started_seconds - _UPTIME_SECONDS),
        first_seen=MIDNIGHT + timedelta(seconds=max(started_seconds - _UPTIME_SECONDS, _BEGIN_SECONDS)),
        ppid=1,
        name=name or unit,
        user="www-data",
        state="S",
        threads=1,
        cpu_ns=0,
        user_ns=0,
        system_ns=0,
        children_ns=0,
        cgroup=f"/system.slice/{unit}.service",
    )


def record_long(directory: Path, seconds: int) -> None:
    """Record a machine with 200 processes, of which 50 run in each second, from a day before midnight."""
    random = Random(1)  # noqa: S311  reproducible
    processes = {pid: _process(pid, "work") for pid in range(10, 210)}

    def readings() -> Iterator[Reading]:
        for second in range(seconds):
            for pid in random.sample(range(10, 210), 50):
                cpu_ns = processes[pid].cpu_ns + random.randrange(10 * _MILLISECOND)
                processes[pid] = replace(processes[pid], cpu_ns=cpu_ns, user_ns=cpu_ns)
            yield Reading(
                time=MIDNIGHT + timedelta(seconds=second - 86_400),
                monotonic_ns=(_UPTIME_SECONDS + second) * _SECOND,
                uptime_ns=(_UPTIME_SECONDS + second) * _SECOND,
                sweep_ns=_MILLISECOND,
                host=Host("long", "boot", _CPUS, "procfs/clock", 1e-9),
                machine=MachineTimes(CpuTimes(0, 0, _CPUS * second * _SECOND, 0, 0, 0), {}, None),
                processes=dict(processes),
            )

    with RecordingWriter(directory) as writer:
        for tick in live_ticks(readings()):
            writer.write(tick)
