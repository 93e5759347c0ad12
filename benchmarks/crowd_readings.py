"""Makes readings of a machine that does not exist, but behaves like one: the load of the recording's benchmarks. Pure.

What decides the size of a recording is imitated. ``python -m benchmarks.activity DIR`` prints the same figures for a
recording of a real machine:

- **Who runs.** Each process has a rate of wake-ups, log-normal over all processes, so that some daemons run every
  second and most processes once in minutes. Wake-ups are independent of each other; real timers are periodic, which
  compresses better.
- **How much.** The median amount of a process is log-normal over processes; its amounts scatter around it by a factor
  that is also characteristic of the process.
- **Ticks.** ``utime`` and ``stime`` follow the CPU clock: the kernel scales them to it (``cputime_adjust``) and shows
  whole hundredths of a second. The machine's counters are what the processes used, CPU by CPU, in the same unit.
- **Waiting.** A process that runs waits for a CPU at each wake-up: about an eighth of what it uses, scattered.
- **Cgroups.** A service for each program (:mod:`benchmarks.crowd_cgroups`).
- **Forks.** Some processes start others, as health checks, agents and cron jobs do on a server. Most of the started
  ones end within the same second, so that only the kernel's message (taskstats) and the children's time of the parent
  tell of them; the others live for seconds or minutes.
- **Clocks.** Readings are late by a wake-up; the load average changes every five seconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import exp, log
from random import Random

from msgspec.structs import replace

from benchmarks.crowd_cgroups import CrowdCgroups
from cpuwatch.accounting.reaped import NO_CARRY
from cpuwatch.accounting.usage import account
from cpuwatch.model import CpuTimes, Host, MachineTimes, ProcessExit, ProcessTimes, Reading
from cpuwatch.sampled_tick import SampledTick
from cpuwatch.samplers.procfs.run_delay import STEP_NS

__all__ = ["START", "UPTIME_NS", "Crowd", "crowd_readings", "live_ticks"]

START = datetime(2026, 1, 5, tzinfo=UTC)
"""The time of the first reading."""

_SECOND_NS = 10**9
_TICK_NS = 10**7
_MS_NS = 10**6
UPTIME_NS = 40 * 86_400 * _SECOND_NS
"""The uptime at the first reading: what started later started during the recording."""
_BOOT = START - timedelta(microseconds=UPTIME_NS // 1000)

_WAKE_UP_SIGMA = 2.5
"""Of the logarithm of wake-ups a second, between processes."""
_MEDIAN_AMOUNT_NS = 400_000
_AMOUNT_SIGMA = 1.6
"""Of the logarithm of the amount of a second, between processes."""
_SCATTER = (0.16, 0.17, 0.18, 0.2, 0.35, 0.65, 1.1)
"""The same within a process; each has one of these."""
_MEDIAN_WAIT = 0.06
_WAIT_SIGMA = 1.2
"""Of the wait for each amount, as a share of the amount. 50 processes that used 11 % of 2 CPUs waited 13 % of it."""
_UNSEEN_SHARE = 0.6
"""Of the started processes: those that end before a reading."""
_MEDIAN_LIFE_SECONDS = 3.0
_LIFE_SIGMA = 1.5
_PROGRAMS = """\
systemd-journal dbus-daemon sshd nginx postgres redis-server python3 java node containerd dockerd kubelet
prometheus node_exporter php-fpm8.2 memcached rabbitmq-server cron rsyslogd chronyd haproxy envoy fluent-bit
etcd consul vault gunicorn celery uwsgi apache2 mysqld mongod beam.smp ruby puma sidekiq telegraf agent
"""
_KERNEL_THREADS = ("kworker/", "ksoftirqd/", "rcu_preempt", "migration/", "kcompactd", "jbd2/vda1-8", "kswapd")
_STARTED_PROGRAMS = ("sh", "grep", "curl", "sed", "date", "cat", "psql", "runc", "python3")
_USERS = (("root", 0), ("www-data", 33), ("postgres", 112), ("app", 1000), ("nobody", 65_534))


@dataclass(frozen=True, slots=True)
class Crowd:
    """``processes``, of which ``running`` use the CPU in an average second. ``forks`` are per second."""

    processes: int
    running: int
    forks: float
    cpus: int = 8
    seed: int = 1


@dataclass(slots=True)
class _Member:
    """What a process will do, and its exact times, of which the kernel shows whole ticks."""

    record: ProcessTimes
    chance: float
    amount_ns: float
    scatter: float
    user_share: float
    cpu: int
    idle_state: str
    user_ns: float
    system_ns: float
    children_ns: float
    wait_ns: float = 0.0


def crowd_readings(crowd: Crowd) -> Iterator[Reading]:
    """Readings of one second after the other, without end. The same crowd gives the same readings."""
    return _Machine(crowd).readings()


def live_ticks(readings: Iterator[Reading], run: str = "1767571200000000000") -> Iterator[SampledTick]:
    """The ticks of a monitor that takes these readings, which are of one boot."""
    carry, earlier = NO_CARRY, None
    for number, reading in enumerate(readings, start=1):
        snapshot = None
        lateness_ns = reading.monotonic_ns % _SECOND_NS
        if earlier is not None:
            snapshot, carry = account(earlier, reading, carry, sequence=number - 1)
            sampling = replace(snapshot.sampling, lateness_seconds=lateness_ns / 1e9, run=run)
            snapshot = replace(snapshot, sampling=sampling)
        yield SampledTick(run, number, reading, snapshot, carry, lateness_ns)
        earlier = reading


class _Machine:
    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._random = Random(crowd.seed)  # noqa: S311  no secret
        # With its own numbers, so that the rest of the crowd is the same as without waiting.
        self._pressure_ns = 0.0
        self._waits = Random(crowd.seed + 1)  # noqa: S311  no secret
        self._cgroups = CrowdCgroups(crowd.cpus, crowd.seed + 2)
        self._programs = _PROGRAMS.split()
        self._members: dict[int, _Member] = {}
        self._processes: dict[int, ProcessTimes] = {}
        self._wakes: defaultdict[int, list[int]] = defaultdict(list)
        self._deaths: defaultdict[int, list[int]] = defaultdict(list)
        self._exits: list[ProcessExit] = []
        self._busy_ns = [0] * crowd.cpus
        self._second = 0
        self._next_pid = 300
        self._uptime_ns = UPTIME_NS
        self._time = START
        self._cpus = [[self._random.randrange(10**15) for _ in range(6)] for _ in range(crowd.cpus)]
        self._load = [0.5] * 3
        for chance in _chances(crowd, self._random):
            self._add_old(chance)
        # Those that start others are few, and run often.
        programs = [member for member in self._members.values() if member.idle_state != "I"]
        by_chance = sorted(programs, key=lambda member: -member.chance)
        self._parents = [member.record.pid for member in by_chance[: max(1, crowd.processes // 50)]]

    def readings(self) -> Iterator[Reading]:
        random, crowd = self._random, self._crowd
        host = Host("crowd", "6e2ab1a1-0c6d-4e64-9f0b-3c2f6d1c8a55", crowd.cpus, "procfs/clock", 1e-9)
        while True:
            lateness_ns = int(random.lognormvariate(log(120_000), 0.6))
            self._uptime_ns = UPTIME_NS + self._second * _SECOND_NS + lateness_ns
            self._time = START + timedelta(microseconds=(self._uptime_ns - UPTIME_NS) // 1000 + random.randrange(3))
            self._processes = self._processes.copy()
            self._exits = []
            self._busy_ns = [0] * crowd.cpus
            if self._second:
                self._end_and_start()
                self._run()
            yield Reading(
                time=self._time,
                monotonic_ns=self._uptime_ns + random.randrange(300, 900),
                uptime_ns=self._uptime_ns,
                sweep_ns=int(random.lognormvariate(log(1_500 * crowd.processes + 500_000), 0.25)) // 1000 * 1000,
                host=host,
                machine=self._machine(),
                processes=self._processes,
                exits=self._exits,
                exited_names="taskstats",
                present_cpus=crowd.cpus,
                cgroups=self._cgroups.times(),
            )
            self._second += 1

    def _run(self) -> None:
        random, seldom = self._random, self._random.random
        for pid in sorted(self._wakes.pop(self._second, ())):
            member = self._members.get(pid)
            if member is None:
                continue
            record = member.record
            amount_ns = int(min(0.95 * _SECOND_NS, random.lognormvariate(log(member.amount_ns), member.scatter)))
            if seldom() < 0.05:
                member.cpu = random.randrange(self._crowd.cpus)
            threads = record.threads or 1
            if threads > 4 and seldom() < 0.01:
                threads += random.choice((-1, 1))
            member.record = replace(
                record,
                state="R" if seldom() < 0.01 + amount_ns / _SECOND_NS else member.idle_state,
                threads=threads,
            )
            self._use(member, amount_ns)
            self._plan_wake(pid, member.chance)

    def _use(self, member: _Member, amount_ns: int) -> None:
        user_share = min(1.0, max(0.0, member.user_share + 0.2 * (self._random.random() - 0.5)))
        member.user_ns += amount_ns * user_share
        member.system_ns += amount_ns * (1 - user_share)
        self._busy_ns[member.cpu] += amount_ns
        wait_ns = amount_ns * self._waits.lognormvariate(log(_MEDIAN_WAIT), _WAIT_SIGMA)
        member.wait_ns += wait_ns
        self._cgroups.wait(member.record.cgroup or "/", wait_ns)
        record = replace(
            member.record,
            cpu_ns=member.record.cpu_ns + amount_ns,
            user_ns=_whole_ticks(member.user_ns),
            system_ns=_whole_ticks(member.system_ns),
            children_ns=_whole_ticks(member.children_ns),
            wait_ns=int(member.wait_ns) // STEP_NS * STEP_NS,
        )
        member.record = self._processes[record.pid] = record

    def _end_and_start(self) -> None:
        random = self._random
        for pid in self._deaths.pop(self._second, ()):
            record = self._members.pop(pid).record
            del self._processes[pid]
            self._exit(pid, record.ppid or 1, record.name, record.user or "root", record.cpu_ns)
        for _ in range(_poisson(self._crowd.forks, random)):
            parent = random.choice(self._parents)
            pid, self._next_pid = self._next_pid, self._next_pid + 1
            amount_ns = int(random.lognormvariate(log(1_500_000), 1.0))
            name = random.choice(_STARTED_PROGRAMS)
            if random.random() < _UNSEEN_SHARE:
                user = self._members[parent].record.user or "root"
                self._exit(pid, parent, name, user, amount_ns)
            else:
                self._add_started(pid, parent, name, amount_ns)
                life_seconds = 1 + int(random.lognormvariate(log(_MEDIAN_LIFE_SECONDS), _LIFE_SIGMA))
                self._deaths[self._second + life_seconds].append(pid)

    def _exit(self, pid: int, parent: int, name: str, user: str, cpu_ns: int) -> None:
        self._exits.append(ProcessExit(pid, parent, name, user, int(0.94 * cpu_ns)))
        waiting = self._members.get(parent)
        if waiting is not None:
            waiting.children_ns += cpu_ns
            self._use(waiting, 40_000 + self._random.randrange(40_000))

    def _add_old(self, chance: float) -> None:
        random = self._random
        pid, self._next_pid = self._next_pid, self._next_pid + random.choice((1, 1, 1, 2, 5))
        is_kernel_thread = random.random() < 0.2
        name = random.choice(_KERNEL_THREADS if is_kernel_thread else self._programs)
        if name.endswith("/"):
            name = f"{name}{random.randrange(self._crowd.cpus)}:{random.randrange(9)}"
        user = ("root", 0) if is_kernel_thread else random.choice(_USERS)
        started_ns = random.randrange(20 * _SECOND_NS) if random.random() < 0.7 else random.randrange(UPTIME_NS)
        used_ns = random.lognormvariate(log(10 * _SECOND_NS), 2.5)
        self._add(
            pid,
            2 if is_kernel_thread else random.choice((1, max(1, pid - random.randrange(1, 50)))),
            name,
            user,
            _whole_ticks(started_ns),
            used_ns,
            "" if is_kernel_thread else f"/system.slice/{name}.service",
            chance,
        )

    def _add_started(self, pid: int, parent: int, name: str, amount_ns: int) -> None:
        record = self._members[parent].record
        user = (record.user or "root", record.user_id or 0)
        started_ns = _whole_ticks(self._uptime_ns - self._random.randrange(_SECOND_NS))
        # It did most of its work already, and mostly waits afterwards.
        self._add(pid, parent, name, user, started_ns, amount_ns, record.cgroup or "", 0.1)

    def _add(
        self,
        pid: int,
        ppid: int,
        name: str,
        user: tuple[str, int],
        started_ns: int,
        used_ns: float,
        cgroup: str,
        chance: float,
    ) -> None:
        random = self._random
        start_time = _BOOT + timedelta(microseconds=started_ns // 1000)
        user_share, idle_state = (random.random(), "S") if cgroup else (0.0, "I")
        record = ProcessTimes(
            pid=pid,
            key=f"{pid}-{started_ns // _TICK_NS}",
            start_ns=started_ns,
            start_time=start_time,
            first_seen=max(start_time, self._time),
            ppid=ppid,
            name=name[:15],
            user=user[0],
            state=idle_state,
            threads=random.choice((1, 1, 1, 4, 20)) if cgroup else 1,
            cpu_ns=int(used_ns),
            user_ns=_whole_ticks(used_ns * user_share),
            system_ns=_whole_ticks(used_ns * (1 - user_share)),
            children_ns=0,
            wait_ns=0,
            cgroup=cgroup or "/",
            user_id=user[1],
            cpu_cgroup=cgroup or "/",
        )
        self._cgroups.add(cgroup or "/")
        amount_ns = random.lognormvariate(log(_MEDIAN_AMOUNT_NS), _AMOUNT_SIGMA)
        self._members[pid] = _Member(
            record,
            chance,
            amount_ns,
            random.choice(_SCATTER),
            user_share,
            random.randrange(self._crowd.cpus),
            idle_state,
            used_ns * user_share,
            used_ns * (1 - user_share),
            0.0,
        )
        self._processes[pid] = record
        self._plan_wake(pid, chance)

    def _plan_wake(self, pid: int, chance: float) -> None:
        gap = 1 if chance >= 1 else 1 + int(log(1 - self._random.random()) / log(1 - chance))
        self._wakes[self._second + gap].append(pid)

    def _machine(self) -> MachineTimes:
        random = self._random
        for counters, used_ns in zip(self._cpus, self._busy_ns, strict=True):
            irq_ns = int(random.lognormvariate(log(1_000_000), 0.7))
            iowait_ns = int(random.lognormvariate(log(2_000_000), 1.0)) if random.random() < 0.1 else 0
            user_ns = int(0.6 * used_ns)
            idle_ns = max(0, _SECOND_NS - used_ns - irq_ns - iowait_ns)
            for kind, growth_ns in enumerate((user_ns, used_ns - user_ns, idle_ns, iowait_ns, irq_ns, 0)):
                counters[kind] += growth_ns
        if self._second % 5 == 0:
            runnable = sum(self._busy_ns) / _SECOND_NS + random.choice((0, 0, 0, 1, 1, 2))
            for place, seconds in enumerate((60, 300, 900)):
                weight = exp(-5 / seconds)
                self._load[place] = self._load[place] * weight + runnable * (1 - weight)
        # The machine is under pressure while anybody waits; most waits do not overlap.
        self._pressure_ns += min(_SECOND_NS, 0.13 * sum(self._busy_ns) * self._waits.lognormvariate(0, 0.3))
        one, five, fifteen = (round(load, 2) for load in self._load)
        return MachineTimes(
            CpuTimes(*map(_whole_ticks, map(sum, zip(*self._cpus, strict=True)))),
            {number: CpuTimes(*map(_whole_ticks, counters)) for number, counters in enumerate(self._cpus)},
            (one, five, fifteen),
            int(self._pressure_ns) // _MS_NS * _MS_NS,
        )


def _chances(crowd: Crowd, random: Random) -> list[float]:
    """For each process, how likely it runs in a second, so that ``running`` do on average."""
    rates = [random.lognormvariate(0, _WAKE_UP_SIGMA) for _ in range(crowd.processes)]
    low, high = 1e-9, 1e9
    while high / low > 1.001:
        scale = (low * high) ** 0.5
        if sum(1 - exp(-rate * scale) for rate in rates) < crowd.running:
            low = scale
        else:
            high = scale
    # Not below once in ten hours: such a process has no plan.
    return [max(3e-5, 1 - exp(-rate * low)) for rate in rates]


def _poisson(mean: float, random: Random) -> int:
    number, product = 0, random.random()
    while product > exp(-mean):
        number += 1
        product *= random.random()
    return number


def _whole_ticks(amount_ns: float) -> int:
    return int(amount_ns) // _TICK_NS * _TICK_NS
