"""The fields of a process in one table: name, meaning, unit, type, titles, and how they sort and add up.

The terminal table, ``--sort``, ``--fields``, the query parameters, the OpenAPI description, the columns of the page and
the table in docs/http-api.md come from it. A new field of a process is added to :class:`~cpuwatch.model.ProcessUsage`,
to the arithmetic, and here.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["FIELDS", "NAMES", "Field", "SortKey"]

SortKey = Literal[
    "pid",
    "name",
    "user",
    "threads",
    "cpu_percent",
    "user_percent",
    "system_percent",
    "exited_percent",
    "total_percent",
    "cpu_seconds",
    "start_time",
    "wait_percent",
    "throttled_percent",
]
"""The sortable fields, spelled out because type checkers cannot read them from the table."""


class Field(Struct, frozen=True):
    """A field of :class:`~cpuwatch.model.ProcessUsage`.

    ``heading`` is its column in the terminal, ``title`` in the page. ``adds_up`` tells whether the values of several
    processes may be added up.
    """

    name: str
    type: Literal["integer", "number", "text", "time"]
    heading: str
    title: str
    description: str
    unit: Literal["percent", "seconds"] | None = None
    is_sortable: bool = False
    adds_up: bool = False

    @property
    def descends(self) -> bool:
        """Whether the highest value comes first by default. PIDs are numbers, but only name a process."""
        return self.type != "text" and self.name not in {"pid", "ppid"}


def _percent(name: str, heading: str, title: str, description: str, *, is_sortable: bool = True) -> Field:
    return Field(name, "number", heading, title, description, "percent", is_sortable, adds_up=True)


def _table(*fields: Field) -> dict[str, Field]:
    return {field.name: field for field in fields}


FIELDS = _table(
    Field("pid", "integer", "PID", "PID", "Process ID.", is_sortable=True),
    Field("start_time", "time", "STARTED", "Started", "When the process started.", is_sortable=True),
    Field("key", "text", "KEY", "Key", "PID and start time: one process, and no other of this boot."),
    Field("ppid", "integer", "PPID", "Parent", "PID of the parent."),
    Field("name", "text", "NAME", "Name", "Name of the program, at most 15 bytes on Linux.", is_sortable=True),
    Field("user", "text", "USER", "User", "Owner, or the number of the owner if it has no name.", is_sortable=True),
    Field("state", "text", "S", "State", "R running, S sleeping, D in disk sleep, Z zombie, T stopped, I idle."),
    Field("threads", "integer", "THREADS", "Threads", "Number of threads.", is_sortable=True, adds_up=True),
    _percent("cpu_percent", "CPU%", "CPU %", "CPU use, in percent of one logical CPU."),
    _percent("machine_percent", "MACH%", "Machine %", "CPU use, in percent of the machine.", is_sortable=False),
    _percent("user_percent", "USER%", "User %", "The part of cpu_percent in user mode."),
    _percent("system_percent", "SYS%", "System %", "The part of cpu_percent in the kernel."),
    _percent("exited_percent", "EXITED%", "Exited %", "CPU use of descendants that exited within the interval."),
    _percent("total_percent", "TOTAL%", "Total %", "cpu_percent plus exited_percent; the default order."),
    Field("cpu_seconds", "number", "TIME", "CPU time", "CPU time since the start.", "seconds", True, True),
    Field("first_seen", "time", "SEEN", "First seen", "When cpuwatch first saw the process."),
    Field("cgroup", "text", "CGROUP", "Cgroup", "Path of the cgroup."),
    Field("command_line", "text", "COMMAND", "Command line", "Command line with secrets masked, if cpuwatch reads it."),
    _percent("wait_percent", "WAIT%", "Wait %", "Time in which threads were runnable but got no CPU."),
    _percent("throttled_percent", "THROT%", "Throttled %", "The part of wait_percent that is due to a quota."),
    Field("verdict", "text", "VERDICT", "Verdict", "busy, idle, or why it got less CPU than it wanted."),
)
"""By name, in the order of :class:`~cpuwatch.model.ProcessUsage`."""

NAMES = tuple(FIELDS)
