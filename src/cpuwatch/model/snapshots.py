"""Snapshots: the usage between two readings, in percent and seconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from cpuwatch.model.host import NO_NAMES, Host
from cpuwatch.shown_tables import SNAPSHOT_HEADINGS, html_table, rich_table, snapshot_rows, snapshot_summary

__all__ = [
    "Attribution",
    "CgroupUsage",
    "ExitedUsage",
    "MachineUsage",
    "ProcessUsage",
    "Sampling",
    "Snapshot",
    "Verdict",
]

Verdict = Literal["idle", "busy", "throttled", "crowded", "stolen"]
"""Whether something got the CPU that it wanted (``busy``), and if not, why.

``throttled``: by the quota of its cgroup. ``crowded``: other threads ran. ``stolen``: by the hypervisor, for other
virtual machines. ``idle``: it wanted next to none.
"""


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
    interval: 250 means that two and a half threads waited all the time. ``throttled_percent`` is the part of it in
    which a quota of the cgroup kept them from running; in the rest they waited for each other or for other processes.
    ``verdict`` says whether the process got the CPU that it wanted, and if not, why (docs/accounting.md).
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
    throttled_percent: float | None = None
    verdict: Verdict | None = None


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


class BusyProcess(Struct, frozen=True, gc=False):
    """One of the processes that used the most CPU, as in its row."""

    pid: int
    name: str
    cgroup: str | None
    total_percent: float


class MachineUsage(Struct, frozen=True, gc=False):
    """The machine over one interval, in percent of all CPUs (0..100); ``per_cpu_percent[n]`` in percent of CPU n.

    ``cpu_percent`` is all time except idle and iowait. It is None for a CPU that is offline, or was offline at the
    beginning of the interval.

    ``pressure_percent`` is the time in which at least one thread was runnable but got no CPU, in percent of the
    interval: 0..100 for any number of CPUs. ``waiting_threads`` is the average number of such threads, as far as the
    ``wait_percent`` of the processes is known. Both are ``None`` if the sampler does not read them. ``verdict`` is that
    of the machine as a whole (docs/accounting.md).

    ``busiest`` are the processes that used the most CPU, busiest first, at most ten. A query does not narrow them: they
    are the ones for which a ``crowded`` process waited, as far as they may run on the same CPUs.
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
    verdict: Verdict | None = None
    busiest: list[BusyProcess] = []


class CgroupUsage(Struct, frozen=True, gc=False):
    """A cgroup over one interval: how much of the CPU its limits allow, and what they cost.

    ``quota_cpus`` is its own quota, in CPUs, and ``None`` if it has none. ``limit_cpus`` is the number of CPUs that it
    can use at most: the tightest quota of it and its ancestors, or the number of its CPUs if that is lower. The cgroup
    with that quota is ``limited_by``, which is ``None`` if no quota is tighter than the number of CPUs.
    ``cpu_percent`` is what its processes used, including those in cgroups below it and those that exited, in percent
    of one CPU. ``quota_percent`` is the same in percent of its own quota.

    ``throttled_percent`` is how long its run queues were throttled by its own quota, in percent of the interval,
    summed over CPUs: 200 means two CPUs all the time. ``throttled_periods_percent`` is the share of the periods in
    which that happened, 0..100. Both are ``None`` without a quota. ``pressure_percent`` is the share of the interval
    in which at least one of its threads was runnable but got no CPU, 0..100.

    ``cpus`` is the number of CPUs on which its threads may run. ``name`` is that of the container or pod, if it is
    known.
    """

    path: str
    name: str | None
    cpu_percent: float
    quota_cpus: float | None
    limit_cpus: float | None
    limited_by: str | None
    quota_percent: float | None
    throttled_percent: float | None
    throttled_periods_percent: float | None
    pressure_percent: float | None
    cpus: int | None


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
    source of the names in ``exited``, or is ``unavailable: `` and the reason. ``cgroups`` are the cgroups of the
    processes and their ancestors, by ascending path; it is empty if the sampler does not read them.
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
    cgroups: list[CgroupUsage] = []

    def __repr__(self) -> str:
        # All fields of thousands of rows would bury what matters. A row shows all its fields.
        return f"<Snapshot {snapshot_summary(self)}>"

    def _repr_html_(self) -> str:
        return html_table(snapshot_summary(self), SNAPSHOT_HEADINGS, snapshot_rows(self))

    def __rich__(self) -> Any:
        return rich_table(snapshot_summary(self), SNAPSHOT_HEADINGS, snapshot_rows(self))
