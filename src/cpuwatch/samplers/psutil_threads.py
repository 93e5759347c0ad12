"""Reads the threads of one process with psutil, which knows their CPU time only."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import psutil

from cpuwatch.errors import NotFoundError, NotPermittedError
from cpuwatch.samplers.threads import MAX_THREADS
from cpuwatch.text import text_from_locale
from cpuwatch.thread_usage import ThreadReading, ThreadTimes

__all__ = ["PsutilThreads"]

_TICK_NS = 10_000_000


class PsutilThreads:
    """Reads the threads of a process on systems without a usable /proc."""

    def read(self, pid: int) -> ThreadReading:
        """The threads of the process with this PID. Raises the same errors as the reader for procfs."""
        try:
            process = psutil.Process(pid)
            now, monotonic_ns = datetime.now(UTC), time.monotonic_ns()
            found = process.threads()
            times = process.cpu_times()
            key = f"{pid}-{round(process.create_time() * 1000)}"
            name = text_from_locale(process.name())
        except psutil.NoSuchProcess:
            raise NotFoundError(f"no process with PID {pid}") from None
        except psutil.AccessDenied:
            raise NotPermittedError(f"the threads of process {pid} cannot be read: permission denied") from None
        threads = {
            thread.id: _times(thread.id, round(thread.user_time * 1e9), round(thread.system_time * 1e9))
            for thread in found[:MAX_THREADS]
        }
        return ThreadReading(
            time=now,
            monotonic_ns=monotonic_ns,
            uptime_ns=0,
            pid=pid,
            key=key,
            name=name,
            cpu_ns=round((times.user + times.system) * 1e9),
            threads=threads,
            unread=max(0, len(found) - MAX_THREADS),
            tolerance_ns=2 * _TICK_NS * (1 + len(threads)),
        )


def _times(tid: int, user_ns: int, system_ns: int) -> ThreadTimes:
    return ThreadTimes(tid, None, None, None, None, user_ns + system_ns, user_ns, system_ns, None)
