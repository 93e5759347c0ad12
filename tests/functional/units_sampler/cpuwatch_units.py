"""A sampler of a machine with services, containers, pods and two users, whose figures are the same in each interval.

This folder has the layout of an installed package: with it in PYTHONPATH, the sampler "units" is available.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

from cpuwatch import CgroupTimes, CpuTimes, Host, MachineTimes, ProcessTimes, Reading, ScriptedSampler

CPUS = 4
PERIOD_NS = 1_000_000

_ID = "0123456789abcdef" * 4
_UID = "6e1cde22_9a6f_4b4e_8f0c_0d7f1a2b3c4d"
POD = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_UID}.slice"
WEB = f"/system.slice/docker-{_ID}.scope"
NGINX = f"{POD}/cri-containerd-{_ID}.scope"
USER = "/user.slice/user-{0}.slice/user@{0}.service"
SESSION = "/user.slice/user-1000.slice/session-3.scope"


class _Process(Struct, frozen=True):
    """What a process does in each second, in CPUs."""

    name: str
    cgroup: str
    used: float
    waited: float = 0.0


PROCESSES = [
    _Process("kthreadd", "/", 0.0),
    _Process("systemd", "/init.scope", 0.001),
    _Process("postgres", "/system.slice/postgresql.service", 0.4),
    _Process("nginx", "/system.slice/nginx.service", 0.02),
    _Process("node", WEB, 0.5, 1.2),
    _Process("nginx", NGINX, 0.25),
    _Process("pause", f"{POD}/cri-containerd-{_ID[::-1]}.scope", 0.0),
    _Process("systemd", f"{USER.format(1000)}/init.scope", 0.001),
    _Process("systemd", f"{USER.format(1001)}/init.scope", 0.001),
    *[_Process("cc1plus", SESSION, 0.55, 0.45) for _ in range(4)],
]


class _Cgroup(Struct, frozen=True):
    """The quota of a cgroup in CPUs, the share of its periods that are throttled, its throttled time in CPUs."""

    name: str | None = None
    quota: float | None = None
    throttled_periods: float = 0.0
    throttled: float = 0.0
    pressure: float = 0.0


CGROUPS = {
    WEB: _Cgroup("shop-web", 0.5, 0.9, 1.1, 0.6),
    POD: _Cgroup("default/web-0", 1.0),
    NGINX: _Cgroup("default/web-0/nginx", 1.0),
    f"{POD}/cri-containerd-{_ID[::-1]}.scope": _Cgroup("default/web-0/pause"),
    SESSION: _Cgroup(pressure=0.7),
    "/system.slice": _Cgroup(),
    "/user.slice": _Cgroup(pressure=0.7),
}


def units_sampler() -> ScriptedSampler:
    """Return an endless sampler."""
    return ScriptedSampler(_readings())


def _readings() -> Iterator[Reading]:
    started, started_ns = datetime.now(UTC), time.monotonic_ns()
    used = sum(process.used for process in PROCESSES)
    while True:
        now_ns = time.monotonic_ns()
        age_ns = now_ns - started_ns
        busy_ns = int(age_ns * used)
        cpu = CpuTimes(user_ns=busy_ns // CPUS, system_ns=0, idle_ns=age_ns - busy_ns // CPUS, steal_ns=0)
        yield Reading(
            time=datetime.now(UTC),
            monotonic_ns=now_ns,
            uptime_ns=now_ns,
            sweep_ns=1000,
            host=Host("units", "no-boot", CPUS, "units", 1e-9),
            machine=MachineTimes(
                CpuTimes(user_ns=busy_ns, system_ns=0, idle_ns=CPUS * age_ns - busy_ns, steal_ns=0),
                dict.fromkeys(range(CPUS), cpu),
            ),
            processes={
                pid: ProcessTimes(
                    pid=pid,
                    key=f"{pid}",
                    start_ns=started_ns,
                    start_time=started,
                    first_seen=started,
                    ppid=0,
                    name=process.name,
                    user="root",
                    state="S",
                    threads=1,
                    cpu_ns=int(process.used * age_ns),
                    user_ns=int(process.used * age_ns),
                    system_ns=0,
                    cgroup=process.cgroup,
                    cpu_cgroup=process.cgroup,
                    wait_ns=int(process.waited * age_ns),
                )
                for pid, process in enumerate(PROCESSES, 2)
            },
            cgroups={path: _times(cgroup, age_ns) for path, cgroup in CGROUPS.items()},
            start_resolution_ns=1,
            present_cpus=CPUS,
        )


def _times(cgroup: _Cgroup, age_ns: int) -> CgroupTimes:
    periods = age_ns // PERIOD_NS
    return CgroupTimes(
        quota_ns=None if cgroup.quota is None else int(cgroup.quota * PERIOD_NS),
        period_ns=None if cgroup.quota is None else PERIOD_NS,
        periods=periods,
        throttled_periods=int(cgroup.throttled_periods * periods),
        throttled_ns=int(cgroup.throttled * age_ns),
        cpus=CPUS,
        pressure_ns=int(cgroup.pressure * age_ns),
        name=cgroup.name,
    )
