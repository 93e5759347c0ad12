"""The threads of one process: raw counters on one side, what each used in an interval on the other.

As in :mod:`cpuwatch.model`, raw amounts are integers of nanoseconds, and ``None`` means unknown.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

__all__ = ["ThreadReading", "ThreadTimes", "ThreadUsage", "ThreadsSnapshot"]


class ThreadTimes(Struct, frozen=True, gc=False):
    """The cumulative counters of one thread.

    ``start_ns`` counts from boot. ``user_ns`` and ``system_ns`` come from the kernel's ticks and only serve to split
    ``cpu_ns``. ``wait_ns`` is how long the thread has waited for a CPU while it was runnable. ``last_cpu`` is the
    number of the CPU that it ran on last.
    """

    tid: int
    name: str | None
    state: str | None
    last_cpu: int | None
    start_ns: int | None
    cpu_ns: int
    user_ns: int
    system_ns: int
    wait_ns: int | None


class ThreadReading(Struct, frozen=True, gc=False):
    """The threads of one process at one instant, by ID.

    ``cpu_ns`` is the CPU time of the whole process, including threads that have ended. ``unread`` is the number of
    threads that were left out because a reading takes a limited number. ``tolerance_ns`` is how far the sum of the
    threads may differ from ``cpu_ns`` without a thread having ended, because counters have steps and the process ran
    on while they were read. Rates are computed over ``monotonic_ns``; ``uptime_ns`` is the same instant on the clock
    of ``start_ns``, whose step is ``start_resolution_ns``.
    """

    time: datetime
    monotonic_ns: int
    uptime_ns: int
    pid: int
    key: str
    name: str
    cpu_ns: int
    threads: dict[int, ThreadTimes]
    unread: int
    tolerance_ns: int
    start_resolution_ns: int = 10_000_000


class ThreadUsage(Struct, frozen=True, gc=False):
    """One thread over one interval.

    ``cpu_percent`` is in percent of one CPU, so at most 100. ``user_percent`` and ``system_percent`` add up to it.
    ``wait_percent`` is the time in which the thread was runnable but got no CPU. ``cpu_seconds`` is its CPU time since
    it started. ``state`` is the letter of proc_pid_stat(5), and ``last_cpu`` the number of the CPU that it ran on last.
    """

    tid: int
    name: str | None
    state: str | None
    last_cpu: int | None
    cpu_percent: float | None
    user_percent: float | None
    system_percent: float | None
    wait_percent: float | None
    cpu_seconds: float
    start_time: datetime | None


class ThreadsSnapshot(Struct, frozen=True, gc=False):
    """The threads of one process over one interval.

    ``cpu_percent`` is what the whole process used: the sum of its threads, and ``ended_percent``, the use of threads
    that ended within the interval. ``ended_percent`` is ``None`` if that of a thread is unknown. ``wait_percent`` is
    the sum over the threads. ``thread_count`` is the number of living threads. ``unread`` is how many of them were not
    read, because a reading takes a limited number.
    """

    time: datetime
    interval_seconds: float
    pid: int
    key: str
    name: str
    cpu_percent: float | None
    ended_percent: float | None
    wait_percent: float | None
    thread_count: int
    unread: int
    threads: list[ThreadUsage]
