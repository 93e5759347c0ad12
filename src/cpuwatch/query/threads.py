"""The fields of a thread, and which threads to show in which order. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from msgspec.structs import replace

from cpuwatch.fields import Field
from cpuwatch.query.parameters import VIEW, choice, parameters
from cpuwatch.query.select import sorted_by
from cpuwatch.thread_usage import ThreadsSnapshot

__all__ = ["DEFAULT_THREAD_SORT", "THREADS", "THREAD_FIELDS", "select_threads"]

ThreadSortKey = Literal[
    "tid",
    "name",
    "last_cpu",
    "cpu_percent",
    "user_percent",
    "system_percent",
    "wait_percent",
    "cpu_seconds",
    "start_time",
]

DEFAULT_THREAD_SORT: ThreadSortKey = "cpu_percent"

_ASCENDING = {"tid", "name", "last_cpu"}

THREAD_FIELDS = {
    field.name: field
    for field in (
        Field("tid", "integer", "TID", "TID", "Thread ID; that of the main thread is the PID."),
        Field("name", "text", "NAME", "Name", "Name of the thread, at most 15 bytes on Linux."),
        Field("state", "text", "S", "State", "R running, S sleeping, D in disk sleep, Z zombie, T stopped, I idle."),
        Field("last_cpu", "integer", "LASTCPU", "Last CPU", "Number of the CPU that the thread ran on last."),
        Field("cpu_percent", "number", "CPU%", "CPU %", "CPU use, in percent of one logical CPU.", "percent"),
        Field("user_percent", "number", "USER%", "User %", "The part of cpu_percent in user mode.", "percent"),
        Field("system_percent", "number", "SYS%", "System %", "The part of cpu_percent in the kernel.", "percent"),
        Field(
            "wait_percent",
            "number",
            "WAIT%",
            "Wait %",
            "Time in which the thread was runnable but got no CPU.",
            "percent",
        ),
        Field("cpu_seconds", "number", "TIME", "CPU time", "CPU time since the start.", "seconds"),
        Field("start_time", "time", "STARTED", "Started", "When the thread started."),
    )
}
"""By name, in the order of :class:`~cpuwatch.ThreadUsage`."""

THREADS = {
    "top": VIEW["top"],
    **parameters(
        ("sort", f"Sort by this field, by default {DEFAULT_THREAD_SORT}.", choice(*get_args(ThreadSortKey))),
        (
            "order",
            "Sort in this direction; by default, tid, name and last_cpu ascend, all else descends.",
            choice("asc", "desc"),
        ),
    ),
}
"""The parameters of a view of threads."""


def select_threads(snapshot: ThreadsSnapshot, values: Mapping[str, Any]) -> ThreadsSnapshot:
    """The first ``top`` threads in this order. ``values`` are those of :data:`THREADS`; the sums cover all threads.

    Unknown values come last. Equal ones are in the order of their CPU use, CPU time and ID.
    """
    sort = values.get("sort", DEFAULT_THREAD_SORT)
    descending = values["order"] == "desc" if "order" in values else sort not in _ASCENDING
    threads = sorted(snapshot.threads, key=lambda row: (-(row.cpu_percent or 0.0), -row.cpu_seconds, row.tid))
    return replace(snapshot, threads=sorted_by(threads, sort, descending=descending)[: values.get("top")])
