"""The values that flow through cpuwatch: raw readings on one side, snapshots of usage on the other.

All are frozen :class:`msgspec.Struct`. Raw amounts are integers of nanoseconds, as the kernel counts them;
what is shown are floats of per cent and seconds. ``None`` says "not known", never 0 and never a guess.

Times of day are aware UTC datetimes. On the wire they are RFC 3339 with microseconds, whose fraction is left out
when it is exactly zero (msgspec's form).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

from msgspec import Struct

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


NO_NAMES = "unavailable: this sampler does not see processes exit"


class Host(Struct, frozen=True, gc=False):
    """The machine that was read, and how.

    ``boot_id`` changes at every boot (``/proc/sys/kernel/random/boot_id``, or ``boot-`` and the boot time where that is
    hidden), so that (boot_id, key) stands for one process for ever. ``backend`` names the source (``procfs/clock``,
    ``procfs/stat``, ``psutil``, ...) and ``clock_resolution_seconds`` the step of its CPU clock: 1e-9 for CPU clocks,
    0.01 for the kernel's ticks.
    """

    name: str
    boot_id: str
    logical_cpus: int
    backend: str
    clock_resolution_seconds: float


class CpuTimes(Struct, frozen=True, gc=False):
    """Cumulative nanoseconds of one logical CPU, or of all, since boot (proc_stat(5), the ``cpu`` lines).

    ``user_ns`` holds niced and guest time too; ``irq_ns`` hard and soft interrupts. A platform that does not
    count a kind has ``None`` there.
    """

    user_ns: int
    system_ns: int
    idle_ns: int
    iowait_ns: int | None = None
    irq_ns: int | None = None
    steal_ns: int | None = None


class MachineTimes(Struct, frozen=True, gc=False):
    """The machine's own books at one instant; ``per_cpu`` by the CPU's number, as CPUs may come and go."""

    total: CpuTimes
    per_cpu: dict[int, CpuTimes]
    load_average: tuple[float, float, float] | None = None


class PidNamespace(Struct, frozen=True, gc=False):
    """A PID namespace inside the one that is read (pid_namespaces(7)), as one of its processes sees it.

    ``depth`` counts from the namespace that is read, whose children are at 1; ``inode`` tells namespaces of one depth
    apart (``/proc/PID/ns/pid``) and is ``None`` where reading it is not permitted. ``pid`` is the PID that the process
    has inside: 1 for the init.
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
    """What was read of one process: who it is, and its cumulative counters.

    ``key`` is PID and start time: equal for the same process in each reading of one boot, different for any other.
    ``start_ns`` counts from boot. ``cpu_ns`` is the exact total of all threads, dead ones included; ``user_ns`` and
    ``system_ns`` are what the kernel's ticks say and serve to split it. ``children_ns`` is the CPU of children that
    ended and were waited for, with theirs (``cutime + cstime``). ``pid_namespace`` is ``None`` for the namespace that
    is read, and where it is not known.

    ``user_id`` is the number of ``user`` where there are such numbers.

    A sampler hands out the *same object* again for a process of which nothing changed since the last reading; that is
    how all that comes after can skip it. A process that has not run has another record if something else changed.
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

    @cached_property
    def at_rest(self) -> ProcessUsage:
        """The row of this process for an interval in which it did not run.

        Most processes do not run in most seconds, so their rows are made once, not once a second. It is kept on
        the record because it depends on nothing else; an outer cache would have to be told when to forget.
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
        )


class ProcessExit(Struct, frozen=True, gc=False):
    """A process that ended, as the kernel told it at that moment (taskstats).

    ``cpu_ns`` is the CPU time of its whole life, short of what taking down its address space took; ``user`` the real
    one, ``parent_pid`` its parent when it ended. ``name`` is that of its main thread, hence of its program after any
    execve(2); ``None`` if the message about that thread was lost.
    """

    pid: int
    parent_pid: int
    name: str | None
    user: str
    cpu_ns: int


class Reading(Struct, frozen=True, gc=False):
    """Raw cumulative counters of one instant: no rates, no deltas.

    ``monotonic_ns`` is the instant that rates are taken over (CLOCK_MONOTONIC: it stands still while the machine
    is suspended, as CPU counters do). ``uptime_ns`` is the same instant on the clock of ``start_ns``
    (CLOCK_BOOTTIME), and ``start_resolution_ns`` the step of that and of ``children_ns``. ``unreadable`` counts the
    processes that are there but could not be read, by reason (``EACCES``, ``EMFILE``, ...). ``hidden`` has a sentence
    for each reason why others are missing from ``processes`` (``hidepid=`` of /proc, a container); empty if none are.

    ``exits`` are the processes that ended since the reading before, as far as the kernel tells; ``exited_names`` says
    where they come from, or ``unavailable: `` and why not; ``lost_exits`` how many of these messages were lost so far,
    ``unexpected_messages`` how many others came in their place.

    ``present_cpus`` is the number of CPUs that the machine has, where ``host.logical_cpus`` may be what a container is
    shown of them; ``None`` if it is not known. ``hidden_parents`` are the PIDs of living processes that
    are the parents of some in ``processes`` but cannot be read themselves (hidepid, proc(5)).
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
    ``exited_percent``; an unknown ``exited_percent`` adds nothing, as in :class:`Attribution`, because a row without
    the part that is known would sort below idle ones. All five are ``None`` while the process has no baseline.
    ``cpu_seconds`` is its CPU time since it started. ``state`` is the letter of proc_pid_stat(5).
    ``command_line`` is ``None`` unless the sampler was asked for it; secrets are masked.
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


class ExitedUsage(Struct, frozen=True, gc=False):
    """What processes of one name and user used in the interval in which they exited.

    ``parent_pid`` is the process that waited for them; this is part of its ``exited_percent``. ``parent_name`` is its
    name, ``None`` if the process cannot be read. ``name``, ``user`` and ``count`` are ``None`` where the kernel does
    not report who exited.

    ``estimated`` is true where nobody waited for them (SIGCHLD ignored). The kernel then adds their time to nobody's,
    and the percentages are those of its messages: up to an eighth short, and part of
    ``attribution.unattributed_percent``, which they never exceed. They are ``None`` if that is not known.
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
    """The machine over one interval; each in 0..100 of all its CPUs, ``per_cpu_percent[n]`` of CPU n alone.

    ``cpu_percent`` is all that was neither idle nor waiting for a disk. A CPU that is offline, or was at the beginning
    of the interval, has no figure (None).
    """

    cpu_percent: float | None
    user_percent: float | None
    system_percent: float | None
    iowait_percent: float | None
    irq_percent: float | None
    steal_percent: float | None
    per_cpu_percent: list[float | None]
    load_average: tuple[float, float, float] | None


class Attribution(Struct, frozen=True, gc=False):
    """Where the machine's busy time went, in per cent of the machine.

    ``processes`` is what living processes used themselves, ``exited`` what ended ones did not live to show.
    ``processes + exited + unattributed - excess`` is ``machine.cpu_percent`` (an unknown ``exited`` counts as nothing).
    ``excess_percent`` is by how much the processes' clocks say more than the machine's ticks: the kernel keeps two
    books, and their small disagreement is shown, not spread over processes.
    """

    processes_percent: float | None
    exited_percent: float | None
    unattributed_percent: float | None
    excess_percent: float | None


class Sampling(Struct, frozen=True, gc=False):
    """How the sampling itself fares: its lateness in this tick, and what went wrong since the monitor's start.

    ``unreadable`` counts processes that could not be read in this tick, by reason; ``lost_exits`` the messages about
    ended processes that were lost since the sampler was opened: names are missing then, never amounts.
    ``unexpected_messages`` counts those that came to the sampler's socket and were not about an ended process.
    ``hidden`` has a sentence for each reason why processes are not shown (``hidepid=`` of /proc, a container); empty if
    all are. ``run`` is the same for all snapshots of a monitor, and another for the next one's: sequences count within
    it. It is empty where there was no monitor.
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

    ``processes`` cannot be changed; ``list(snapshot.processes)`` can. ``exited_names`` says where the names in
    ``exited`` come from, or ``unavailable: `` and why there are none.
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
