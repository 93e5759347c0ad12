"""Reads the threads of one process from ``/proc/PID/task``, on request. Samplers do not read threads.

The CPU clock of a thread (MAKE_THREAD_CPUCLOCK in include/linux/posix-timers_types.h) can only be read within its own
process (``pid_for_clock`` in kernel/time/posix-cpu-timers.c). But the first number of a thread's ``schedstat`` is the
same counter in nanoseconds, and every user may read it. The process clock is the sum of these counters and of those of
the threads that have ended.
"""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from cpuwatch.errors import NotFoundError, NotPermittedError, SamplerError
from cpuwatch.samplers.procfs import cpu_clock
from cpuwatch.samplers.procfs.parse import last_cpu, parse_process_stat
from cpuwatch.samplers.procfs.run_delay import counts_run_delay
from cpuwatch.samplers.procfs.stat_files import STAT_BYTES, read_once
from cpuwatch.samplers.procfs.visibility import Visibility
from cpuwatch.samplers.threads import MAX_THREADS
from cpuwatch.thread_usage import ThreadReading, ThreadTimes

__all__ = ["ProcfsThreads"]

_ROUNDING_TICKS = 2
"""``utime`` and ``stime`` are each rounded down to a tick."""


class ProcfsThreads:
    """Reads the threads of a process in ``root``, a mounted /proc; at most ``max_threads`` of them, oldest first."""

    def __init__(self, root: str | os.PathLike[str] = "/proc", max_threads: int = MAX_THREADS) -> None:
        self._root = Path(root)
        self._max_threads = max_threads
        self._tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        self._has_clock = cpu_clock.is_usable(self._root, self._tick_ns)
        self._has_schedstat = counts_run_delay()
        self._visibility = Visibility(self._root)

    def read(self, pid: int) -> ThreadReading:
        """The threads of the process with this PID.

        Raises :class:`~cpuwatch.errors.NotFoundError` if there is none, or if it exits meanwhile, and
        :class:`~cpuwatch.errors.SamplerError` if it cannot be read.
        """
        try:
            return self._read(pid)
        except (FileNotFoundError, ProcessLookupError):
            raise NotFoundError(f"no process with PID {pid}{self._hidden()}") from None
        except PermissionError:
            raise NotPermittedError(
                f"the threads of process {pid} cannot be read: permission denied{self._hidden()}"
            ) from None
        except (OSError, ValueError) as error:
            raise SamplerError(f"the threads of process {pid} cannot be read: {error}") from error

    def _hidden(self) -> str:
        return "".join(f"; {reason}" for reason in self._visibility.hidden())

    def _read(self, pid: int) -> ThreadReading:
        # Both open files are bound to the process, not to the PID. If the first can still be read after the second was
        # opened, they belong to the same process.
        with (
            closing(_Descriptor(f"{self._root}/{pid}/stat", os.O_RDONLY)) as stat_file,
            closing(_Descriptor(f"{self._root}/{pid}/task", os.O_RDONLY | os.O_DIRECTORY)) as tasks,
        ):
            of_process = parse_process_stat(os.pread(stat_file.fd, STAT_BYTES, 0))
            begin_ns = self._process_ns(pid, stat_file)
            tids = [int(name) for name in os.listdir(tasks.fd)]
            if not tids:
                raise ProcessLookupError
            # A thread has such a directory too. The first thread in it is the main one, whose ID is the PID.
            if tids[0] != pid:
                raise NotFoundError(f"{pid} is a thread of the process with PID {tids[0]}")
            now, monotonic_ns, uptime_ns = _instant()
            threads = {}
            for tid in tids[: self._max_threads]:
                # It has ended.
                with suppress(FileNotFoundError, ProcessLookupError):
                    threads[tid] = self._thread(tid, tasks.fd)
            end_ns = self._process_ns(pid, stat_file)
        steps = 0 if self._has_clock and self._has_schedstat else _ROUNDING_TICKS * self._tick_ns
        return ThreadReading(
            time=now,
            monotonic_ns=monotonic_ns,
            uptime_ns=uptime_ns,
            pid=pid,
            key=f"{pid}-{of_process.start_time}",
            name=of_process.name,
            cpu_ns=end_ns,
            threads=threads,
            unread=max(0, len(tids) - self._max_threads),
            tolerance_ns=end_ns - begin_ns + steps * (1 if self._has_schedstat else 1 + len(threads)),
            start_resolution_ns=self._tick_ns,
        )

    def _process_ns(self, pid: int, stat_file: _Descriptor) -> int:
        """The CPU time of the process. Raises ``ProcessLookupError`` if it has exited."""
        data = os.pread(stat_file.fd, STAT_BYTES, 0)
        if self._has_clock:
            clock_ns = cpu_clock.read_one(pid)
            os.pread(stat_file.fd, 1, 0)
            return clock_ns
        stat = parse_process_stat(data)
        return (stat.utime + stat.stime) * self._tick_ns

    def _thread(self, tid: int, tasks_fd: int) -> ThreadTimes:
        data = read_once(f"{tid}/stat", tasks_fd)
        stat = parse_process_stat(data)
        user_ns, system_ns = stat.utime * self._tick_ns, stat.stime * self._tick_ns
        cpu_ns, wait_ns = user_ns + system_ns, None
        if self._has_schedstat:
            cpu_ns, wait_ns, _ = map(int, read_once(f"{tid}/schedstat", tasks_fd).split())
        return ThreadTimes(
            tid=tid,
            name=stat.name,
            state=stat.state,
            last_cpu=last_cpu(data),
            start_ns=stat.start_time * self._tick_ns,
            cpu_ns=cpu_ns,
            user_ns=user_ns,
            system_ns=system_ns,
            wait_ns=wait_ns,
        )


class _Descriptor:
    """An open file or directory, without a buffer."""

    def __init__(self, path: str, flags: int) -> None:
        self.fd: int = os.open(path, flags | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self.fd)


def _instant() -> tuple[datetime, int, int]:
    return datetime.now(UTC), time.monotonic_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
