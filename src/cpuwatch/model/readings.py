"""Raw readings: cumulative counters of one instant, as the kernel counts them, in integers of nanoseconds."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property

from msgspec import Struct

from cpuwatch.model.host import NO_NAMES, Host
from cpuwatch.model.snapshots import ProcessUsage

__all__ = ["CgroupTimes", "CpuTimes", "MachineTimes", "PidNamespace", "ProcessExit", "ProcessTimes", "Reading"]


class CpuTimes(Struct, frozen=True, gc=False):
    """Cumulative nanoseconds of one logical CPU, or of all, since boot (proc_stat(5), the ``cpu`` lines).

    ``user_ns`` includes niced and guest time, ``irq_ns`` hard and soft interrupts. A kind that the platform does not
    count is ``None``.
    """

    user_ns: int
    system_ns: int
    idle_ns: int
    iowait_ns: int | None = None
    irq_ns: int | None = None
    steal_ns: int | None = None


class MachineTimes(Struct, frozen=True, gc=False):
    """The machine's own counters at one instant. ``per_cpu`` is by CPU number, because CPUs can go offline.

    ``pressure_ns`` is the time in which at least one thread was runnable but got no CPU (``some`` in
    ``/proc/pressure/cpu``), and ``None`` if the kernel does not count it.
    """

    total: CpuTimes
    per_cpu: dict[int, CpuTimes]
    load_average: tuple[float, float, float] | None = None
    pressure_ns: int | None = None


class PidNamespace(Struct, frozen=True, gc=False):
    """A PID namespace inside the sampled one (pid_namespaces(7)), as one of its processes sees it.

    ``depth`` counts from the sampled namespace, whose children are at 1. ``inode`` distinguishes namespaces of one
    depth (``/proc/PID/ns/pid``) and is ``None`` if reading it is not permitted. ``pid`` is the PID of the process in
    the namespace: 1 for the init.
    """

    depth: int
    inode: int | None
    pid: int

    def same(self, other: PidNamespace | None) -> bool:
        """Whether both may be the same namespace: certain only if both inodes are known."""
        if other is None or self.depth != other.depth:
            return False
        return None in {self.inode, other.inode} or self.inode == other.inode


class CgroupTimes(Struct, frozen=True, dict=True):
    """A cgroup in a reading: its limits of CPU use and its cumulative counters.

    It may use ``quota_ns`` of CPU time in each ``period_ns``; both are ``None`` if it has no quota of its own.
    ``periods`` counts the periods in which it had runnable threads, ``throttled_periods`` those in which it used up the
    quota. ``throttled_ns`` is how long its run queues were throttled, summed over the CPUs
    (Documentation/scheduler/sched-bwc.rst). ``cpus`` is the number of CPUs on which its threads may run.
    ``pressure_ns`` is the time in which at least one of its threads was runnable but got no CPU (``cpu.pressure``,
    Documentation/admin-guide/cgroup-v2.rst). ``name`` is that of the container or pod, if it is known. Anything else
    that is ``None`` is unknown. If nothing changed since the last reading, a sampler returns the *same object* again.
    """

    quota_ns: int | None = None
    period_ns: int | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled_ns: int | None = None
    cpus: int | None = None
    pressure_ns: int | None = None
    name: str | None = None


class ProcessTimes(Struct, frozen=True, dict=True):
    """One process in a reading: its identity and its cumulative counters.

    ``key`` is PID and start time: equal for the same process in all readings of one boot, different for any other.
    ``start_ns`` counts from boot. ``cpu_ns`` is the exact total of all threads, including exited ones; ``user_ns`` and
    ``system_ns`` come from the kernel's ticks and only serve to split it. ``children_ns`` is the CPU time of children
    that exited and were waited for, including their own children's (``cutime + cstime``). ``pid_namespace`` is ``None``
    for the sampled namespace, or if it is unknown.

    ``user_id`` is the numeric ID of ``user``, on systems that have such IDs. ``wait_ns`` is how long the threads of the
    process have waited for a CPU while they were runnable, and ``None`` if that was not read.

    ``cpu_cgroup`` is the path of the cgroup whose quota limits the process. It differs from ``cgroup`` only with
    cgroup v1, where each controller has a hierarchy of its own.

    If nothing changed since the last reading, a sampler returns the *same object* again, and later stages skip it. A
    process that has not run gets a new record if something else about it changed.
    """

    pid: int
    key: str
    start_ns: int
    start_time: datetime
    first_seen: datetime
    ppid: int | None
    name: str
    user: str | None
    state: str | None
    threads: int | None
    cpu_ns: int
    user_ns: int
    system_ns: int
    children_ns: int | None = None
    cgroup: str | None = None
    command_line: str | None = None
    pid_namespace: PidNamespace | None = None
    user_id: int | None = None
    wait_ns: int | None = None
    cpu_cgroup: str | None = None

    @cached_property
    def at_rest(self) -> ProcessUsage:
        """The row of this process for an interval in which it did not run.

        Most processes do not run in most seconds, so their rows are made once, not once a second. The record caches
        its row because the row depends on nothing else; an outer cache would need invalidation.
        """
        return ProcessUsage(
            pid=self.pid,
            start_time=self.start_time,
            key=self.key,
            ppid=self.ppid,
            name=self.name,
            user=self.user,
            state=self.state,
            threads=self.threads,
            cpu_percent=0.0,
            machine_percent=0.0,
            user_percent=0.0,
            system_percent=0.0,
            exited_percent=None if self.children_ns is None else 0.0,
            total_percent=0.0,
            cpu_seconds=self.cpu_ns / 1e9,
            first_seen=self.first_seen,
            cgroup=self.cgroup,
            command_line=self.command_line,
            wait_percent=None if self.wait_ns is None else 0.0,
            throttled_percent=None if self.wait_ns is None else 0.0,
            verdict=None if self.wait_ns is None else "idle",
        )


class ProcessExit(Struct, frozen=True, gc=False):
    """A process that exited, as the kernel reported it at that moment (taskstats).

    ``cpu_ns`` is the CPU time of its whole life, without the teardown of its address space. ``user`` is the real user,
    ``parent_pid`` the parent at the exit. ``name`` is that of the main thread, and so of the program after any
    execve(2); ``None`` if the message about that thread was lost.
    """

    pid: int
    parent_pid: int
    name: str | None
    user: str
    cpu_ns: int


class Reading(Struct, frozen=True, gc=False):
    """Raw cumulative counters of one instant: no rates, no deltas.

    Rates are computed over ``monotonic_ns`` (CLOCK_MONOTONIC: like the CPU counters, it stops while the machine is
    suspended). ``uptime_ns`` is the same instant on the clock of ``start_ns`` (CLOCK_BOOTTIME), and
    ``start_resolution_ns`` is the step of ``start_ns`` and ``children_ns``. ``unreadable`` counts the processes that
    exist but could not be read, by reason (``EACCES``, ``EMFILE``, ...). ``hidden`` has a sentence for each reason why
    processes are missing from ``processes`` (``hidepid=`` of /proc, a container); it is empty if none are.

    ``exits`` are the processes that exited since the previous reading, as far as the kernel reports them.
    ``exited_names`` names the source of these reports, or is ``unavailable: `` and the reason. ``lost_exits`` counts
    the reports lost so far, ``unexpected_messages`` the other messages received in their place.

    ``present_cpus`` is the number of CPUs of the machine, or ``None`` if unknown; in a container,
    ``host.logical_cpus`` can be lower. ``hidden_parents`` are the PIDs of living processes that are parents of some in
    ``processes`` but cannot be read themselves (hidepid, proc(5)).

    ``cgroups`` are the cgroups of the processes and their ancestors, by path. With cgroup v1, each figure is that of
    the cgroup with this path in the hierarchy of its controller. It is empty if the sampler does not read them.
    """

    time: datetime
    monotonic_ns: int
    uptime_ns: int
    sweep_ns: int
    host: Host
    machine: MachineTimes
    processes: dict[int, ProcessTimes]
    start_resolution_ns: int = 10_000_000
    unreadable: dict[str, int] = {}
    exits: list[ProcessExit] = []
    exited_names: str = NO_NAMES
    lost_exits: int = 0
    unexpected_messages: int = 0
    present_cpus: int | None = None
    hidden_parents: frozenset[int] = frozenset()
    hidden: list[str] = []
    cgroups: dict[str, CgroupTimes] = {}
