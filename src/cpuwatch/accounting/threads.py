"""What each thread of a process used between two readings. Pure."""

from __future__ import annotations

from datetime import timedelta

from cpuwatch.accounting.user_share import user_share
from cpuwatch.errors import ReadingOrderError
from cpuwatch.thread_usage import ThreadReading, ThreadsSnapshot, ThreadTimes, ThreadUsage

__all__ = ["thread_usage"]


def thread_usage(earlier: ThreadReading, later: ThreadReading) -> ThreadsSnapshot:
    """The threads of the later reading, the busiest first, and what those that ended in between used.

    Raises :class:`~cpuwatch.errors.ReadingOrderError` if the readings are of two processes or in the wrong order.
    """
    if earlier.key != later.key:
        raise ReadingOrderError(f"the readings are of different processes ({earlier.key} and {later.key})")
    interval_ns = later.monotonic_ns - earlier.monotonic_ns
    if interval_ns <= 0:
        raise ReadingOrderError(
            f"the second reading was taken {-interval_ns / 1e9:.6f} s before the first: "
            "call thread_usage(earlier, later)"
        )
    # Start times are rounded down to a tick.
    started_after_ns = earlier.uptime_ns - later.start_resolution_ns
    changes = [
        _Change(record, _baseline(record, earlier, started_after_ns), interval_ns) for record in later.threads.values()
    ]
    threads = [_usage(change, later, interval_ns) for change in changes]
    threads.sort(key=lambda row: (-1.0 if row.cpu_percent is None else row.cpu_percent, row.cpu_seconds), reverse=True)

    of_threads_ns = sum(change.cpu_ns or 0 for change in changes)
    used_ns = later.cpu_ns - earlier.cpu_ns
    ended_ns = None
    if not later.unread and all(change.cpu_ns is not None for change in changes):
        ended_ns = used_ns - of_threads_ns
        if ended_ns <= earlier.tolerance_ns + later.tolerance_ns:
            ended_ns = 0
    cpu_ns = max(used_ns, of_threads_ns) if ended_ns is None else of_threads_ns + ended_ns
    waits_ns = [change.wait_ns for change in changes]
    known_waits_ns = [wait_ns for wait_ns in waits_ns if wait_ns is not None]
    is_whole_wait = not later.unread and len(known_waits_ns) == len(waits_ns)
    return ThreadsSnapshot(
        time=later.time,
        interval_seconds=interval_ns / 1e9,
        pid=later.pid,
        key=later.key,
        name=later.name,
        cpu_percent=100 * cpu_ns / interval_ns,
        ended_percent=_percent(ended_ns, interval_ns),
        wait_percent=_percent(sum(known_waits_ns), interval_ns) if is_whole_wait else None,
        thread_count=len(later.threads) + later.unread,
        unread=later.unread,
        threads=threads,
    )


def _baseline(record: ThreadTimes, earlier: ThreadReading, started_after_ns: int) -> ThreadTimes | None:
    """The counters of the thread at the earlier reading, all 0 if it started after it; None if they are unknown."""
    before = earlier.threads.get(record.tid)
    if before is not None and before.start_ns == record.start_ns:
        return before
    is_new = record.start_ns is not None and record.start_ns >= started_after_ns
    if not is_new and earlier.unread:
        return None
    # Every thread of a complete reading is in it, so this one has started since, maybe with a reused ID.
    wait_ns = None if record.wait_ns is None else 0
    return ThreadTimes(record.tid, None, None, None, record.start_ns, 0, 0, 0, wait_ns)


class _Change:
    """How much the counters of a thread grew in the interval."""

    def __init__(self, record: ThreadTimes, before: ThreadTimes | None, interval_ns: int) -> None:
        self.record = record
        self.cpu_ns: int | None = None
        self.wait_ns: int | None = None
        self.user_share: float | None = None
        if before is None or record.cpu_ns < before.cpu_ns:
            return
        # A thread uses at most one CPU, but the two instants at which it was read are not exactly an interval apart.
        self.cpu_ns = min(record.cpu_ns - before.cpu_ns, interval_ns)
        self.user_share = user_share(
            self.cpu_ns,
            (record.user_ns - before.user_ns, record.system_ns - before.system_ns),
            (record.user_ns, record.system_ns),
        )
        if record.wait_ns is not None and before.wait_ns is not None and record.wait_ns >= before.wait_ns:
            self.wait_ns = self._waited(before, record.wait_ns - before.wait_ns, interval_ns)

    def _waited(self, before: ThreadTimes, booked_ns: int, interval_ns: int) -> int:
        """The wait within this interval.

        The kernel adds a wait to its sum when the wait ends. A thread that was runnable at both readings and has not
        run in between has waited all the time. When its wait ends, the sum contains that of earlier intervals too; in
        this one it cannot have waited while it ran.
        """
        if not self.cpu_ns and not booked_ns and before.state == self.record.state == "R":
            return interval_ns
        return min(booked_ns, max(0, interval_ns - (self.cpu_ns or 0)))


def _usage(change: _Change, later: ThreadReading, interval_ns: int) -> ThreadUsage:
    record = change.record
    cpu_percent = _percent(change.cpu_ns, interval_ns)
    user_percent = None if cpu_percent is None or change.user_share is None else cpu_percent * change.user_share
    start_time = None
    if record.start_ns is not None:
        start_time = later.time - timedelta(microseconds=(later.uptime_ns - record.start_ns) // 1000)
    return ThreadUsage(
        tid=record.tid,
        name=record.name,
        state=record.state,
        last_cpu=record.last_cpu,
        cpu_percent=cpu_percent,
        user_percent=user_percent,
        system_percent=None if user_percent is None or cpu_percent is None else cpu_percent - user_percent,
        wait_percent=_percent(change.wait_ns, interval_ns),
        cpu_seconds=record.cpu_ns / 1e9,
        start_time=start_time,
    )


def _percent(amount_ns: int | None, interval_ns: int) -> float | None:
    return None if amount_ns is None else 100 * amount_ns / interval_ns
