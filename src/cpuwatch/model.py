"""The values that flow through cpuwatch: raw readings on one side, snapshots of usage on the other.

All are frozen :class:`msgspec.Struct`. Raw amounts are integers of nanoseconds, as the kernel counts them;
snapshots show floats: percent and seconds. ``None`` means unknown; an unknown value is never 0 and never a guess.

Times of day are aware UTC datetimes. On the wire they are RFC 3339 with microseconds; a fraction of exactly zero is
omitted (msgspec's form).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from msgspec import Struct

from cpuwatch.shown_tables import SNAPSHOT_HEADINGS, html_table, rich_table, snapshot_rows, snapshot_summary

__all__ = [
    "Attribution",
    "CpuTimes",
    "ExitedUsage",
    "Host",
    "MachineTimes",
    "MachineUsage",
    "PidNamespace",
    "ProcessExit",
    "ProcessTimes",
    "ProcessUsage",
    "Reading",
    "Sampling",
    "Snapshot",
]


NO_NAMES = "unavailable: this sampler does not report exits"


class Host(Struct, frozen=True, gc=False):
    """The machine that was read, and how.

    ``boot_id`` changes at every boot (``/proc/sys/kernel/random/boot_id``, or ``boot-`` and the boot time where that is
    hidden), so (boot_id, key) identifies one process forever. ``backend`` names the sampler (``procfs/clock``,
    ``procfs/stat``, ``psutil``, ...), and ``clock_resolution_seconds`` is the step of its CPU clock: 1e-9 for CPU
    clocks, 0.01 for the kernel's ticks.
    """

    name: str
    boot_id: str
    logical_cpus: int
    backend: str
    clock_resolution_seconds: float


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


class ProcessTimes(Struct, frozen=True, dict=True):
    """One process in a reading: its identity and its cumulative counters.

    ``key`` is PID and start time: equal for the same process in all readings of one boot, different for any other.
    ``start_ns`` counts from boot. ``cpu_ns`` is the exact total of all threads, including exited ones; ``user_ns`` and
    ``system_ns`` come from the kernel's ticks and only serve to split it. ``children_ns`` is the CPU time of children
    that exited and were waited for, including their own children's (``cutime + cstime``). ``pid_namespace`` is ``None``
    for the sampled namespace, or if it is unknown.

    ``user_id`` is the numeric ID of ``user``, on systems that have such IDs. ``wait_ns`` is how long the threads of the
    process have waited for a CPU while they were runnable, and ``None`` if that was not read.

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


class ProcessUsage(Struct, frozen=True, gc=False):
    """One process over one interval.

    ``cpu_percent`` is in percent of one logical CPU (250 is two and a half CPUs), ``machine_percent`` the same divided
    by the number of CPUs. ``user_percent`` and ``system_percent`` add up to ``cpu_percent``. ``exited_percent`` is
    the CPU used in the interval by descendants that have exited. ``total_percent`` is ``cpu_percent`` plus
    ``exited_percent``. An unknown ``exited_percent`` adds nothing, as in :class:`Attribution`: if it made the total
    unknown, the row would sort below idle ones. All five are ``None`` while the process has no baseline.
    ``cpu_seconds`` is its CPU time since it started. ``state`` is the letter of proc_pid_stat(5).
    ``command_line`` is ``None`` unless command lines are read; secrets are masked.

    ``wait_percent`` is the time in which threads of the process were runnable but got no CPU, in percent of the
    interval: 250 means that two and a half threads waited all the time. It includes the time in which a quota of the
    cgroup kept them from running.
    """

    pid: int
    start_time: datetime
    key: str
    ppid: int | None
    name: str
    user: str | None
    state: str | None
    threads: int | None
    cpu_percent: float | None
    machine_percent: float | None
    user_percent: float | None
    system_percent: float | None
    exited_percent: float | None
    total_percent: float | None
    cpu_seconds: float
    first_seen: datetime
    cgroup: str | None = None
    command_line: str | None = None
    wait_percent: float | None = None


class ExitedUsage(Struct, frozen=True, gc=False):
    """CPU used in this interval by processes of one name and user that exited in it.

    ``parent_pid`` is the process that waited for them; its ``exited_percent`` includes this usage. ``parent_name`` is
    the name of that process, ``None`` if it cannot be read. ``name``, ``user`` and ``count`` are ``None`` if the kernel
    does not report which processes exited.

    ``estimated`` is true if the parent did not wait for them (SIGCHLD ignored). The kernel then adds their CPU time to
    no other process, and the percentages come from its messages. They are up to an eighth too low, are part of
    ``attribution.unattributed_percent`` and never exceed it, and are ``None`` if it is unknown.
    """

    name: str | None
    user: str | None
    parent_pid: int | None
    parent_name: str | None
    count: int | None
    cpu_percent: float | None
    machine_percent: float | None
    estimated: bool = False


class MachineUsage(Struct, frozen=True, gc=False):
    """The machine over one interval, in percent of all CPUs (0..100); ``per_cpu_percent[n]`` in percent of CPU n.

    ``cpu_percent`` is all time except idle and iowait. It is None for a CPU that is offline, or was offline at the
    beginning of the interval.

    ``pressure_percent`` is the time in which at least one thread was runnable but got no CPU, in percent of the
    interval: 0..100 for any number of CPUs. ``waiting_threads`` is the average number of such threads, as far as the
    ``wait_percent`` of the processes is known. Both are ``None`` if the sampler does not read them.
    """

    cpu_percent: float | None
    user_percent: float | None
    system_percent: float | None
    iowait_percent: float | None
    irq_percent: float | None
    steal_percent: float | None
    per_cpu_percent: list[float | None]
    load_average: tuple[float, float, float] | None
    pressure_percent: float | None = None
    waiting_threads: float | None = None


class Attribution(Struct, frozen=True, gc=False):
    """Where the machine's busy time went, in percent of the machine.

    ``processes`` is what living processes used themselves, ``exited`` what processes that exited in the interval used.
    ``processes + exited + unattributed - excess`` is ``machine.cpu_percent`` (an unknown ``exited`` counts as 0).
    ``excess_percent`` is how far the CPU clocks of the processes exceed the ticks of the machine. The kernel counts
    both independently; their small difference is shown, not spread over processes.
    """

    processes_percent: float | None
    exited_percent: float | None
    unattributed_percent: float | None
    excess_percent: float | None


class Sampling(Struct, frozen=True, gc=False):
    """The state of the sampling: its lateness in this tick, and what went wrong since the monitor started.

    ``unreadable`` counts processes that could not be read in this tick, by reason. ``lost_exits`` counts messages about
    exited processes that were lost since the sampler was opened; names are missing then, amounts are not.
    ``unexpected_messages`` counts other messages that arrived on the sampler's socket. ``hidden`` has a sentence for
    each reason why processes are not shown (``hidepid=`` of /proc, a container); it is empty if all are shown. ``run``
    identifies the monitor that took the snapshot, since sequences start at 1 in each; it is empty without a monitor.
    """

    lateness_seconds: float | None = None
    missed_ticks: int = 0
    failed_ticks: int = 0
    unreadable: dict[str, int] = {}
    lost_exits: int = 0
    unexpected_messages: int = 0
    hidden: list[str] = []
    run: str = ""


class Snapshot(Struct, frozen=True, gc=False):
    """The CPU usage of a machine and of each of its processes over one interval.

    ``processes`` is read-only; ``list(snapshot.processes)`` is a list that can be changed. ``exited_names`` names the
    source of the names in ``exited``, or is ``unavailable: `` and the reason.
    """

    sequence: int
    time: datetime
    interval_seconds: float
    sweep_seconds: float
    host: Host
    machine: MachineUsage
    attribution: Attribution
    processes: Sequence[ProcessUsage]
    exited: list[ExitedUsage] = []
    exited_names: str = NO_NAMES
    sampling: Sampling = Sampling()

    def __repr__(self) -> str:
        # All fields of thousands of rows would bury what matters. A row shows all its fields.
        return f"<Snapshot {snapshot_summary(self)}>"

    def _repr_html_(self) -> str:
        return html_table(snapshot_summary(self), SNAPSHOT_HEADINGS, snapshot_rows(self))

    def __rich__(self) -> Any:
        return rich_table(snapshot_summary(self), SNAPSHOT_HEADINGS, snapshot_rows(self))
