"""Reads one process from ``/proc/PID`` and makes its record."""

from __future__ import annotations

import errno
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from msgspec import Struct

from cpuwatch.model import ProcessTimes
from cpuwatch.samplers import _cpu_clock
from cpuwatch.samplers._proc_text import ProcessStat, parse_process_stat
from cpuwatch.samplers._users import UserNames

__all__ = ["Instant", "ProcessReader", "errno_name"]

# A stat line is some 300 bytes; the kernel bounds the name and every number in it.
_STAT_BYTES = 4096


class Instant(Struct, frozen=True, gc=False):
    """One moment on the three clocks of a :class:`~cpuwatch.Reading`."""

    time: datetime
    monotonic_ns: int
    uptime_ns: int


class ProcessReader:
    """Makes :class:`~cpuwatch.ProcessTimes` of what /proc says about a PID.

    Each method returns None for a process that vanished, at whatever point: this is the one place where that is
    dealt with. A process that is there and cannot be read raises ``OSError``.
    """

    def __init__(self, root: Path, tick_ns: int) -> None:
        self._root = root
        self._tick_ns = tick_ns
        self._users = UserNames()

    def read_with_clock(
        self, pid: int, cpu_ns: int, known: ProcessTimes | None, instant: Instant
    ) -> ProcessTimes | None:
        """The process whose clock was just found at ``cpu_ns``; the clock may be ``GONE``.

        If it is still the ``known`` one, it was the same process all the time between, and the clock was its own.
        If it is a new one, the PID may have changed hands between the look at the clock and this; then the clock
        is read again while the open file stands for the process: a file under /proc/PID is bound to the process,
        not to the number, and reading it fails (ESRCH) once that process is gone.
        """
        if cpu_ns == _cpu_clock.GONE:
            return None
        try:
            with _OpenStat(self._path(pid)) as stat_file:
                stat = parse_process_stat(stat_file.read())
                if known is None or known.key != _key(pid, stat):
                    cpu_ns = _cpu_clock.read_one(pid)
                    stat_file.read()
                return self._record(pid, stat, stat_file.user_id(), cpu_ns, known, instant)
        except (FileNotFoundError, ProcessLookupError):
            return None

    def read(self, pid: int, known: ProcessTimes | None, instant: Instant) -> ProcessTimes | None:
        """The process as its ``stat`` tells it, in ticks."""
        try:
            with _OpenStat(self._path(pid)) as stat_file:
                stat = parse_process_stat(stat_file.read())
                cpu_ns = (stat.utime + stat.stime) * self._tick_ns
                return self._record(pid, stat, stat_file.user_id(), cpu_ns, known, instant)
        except (FileNotFoundError, ProcessLookupError):
            return None

    def _path(self, pid: int) -> str:
        return f"{self._root}/{pid}"

    def _record(
        self,
        pid: int,
        stat: ProcessStat,
        user_id: int,
        cpu_ns: int,
        known: ProcessTimes | None,
        instant: Instant,
    ) -> ProcessTimes:
        key = _key(pid, stat)
        start_ns = stat.start_time * self._tick_ns
        if known is not None and known.key == key:
            start_time, first_seen = known.start_time, known.first_seen
        else:
            age = timedelta(microseconds=(instant.uptime_ns - start_ns) // 1000)
            start_time, first_seen = instant.time - age, instant.time
        return ProcessTimes(
            pid=pid,
            key=key,
            start_ns=start_ns,
            start_time=start_time,
            first_seen=first_seen,
            ppid=stat.ppid,
            name=stat.name,
            user=self._users[user_id],
            state=stat.state,
            threads=stat.threads,
            cpu_ns=cpu_ns,
            user_ns=stat.utime * self._tick_ns,
            system_ns=stat.stime * self._tick_ns,
            children_ns=stat.children_time * self._tick_ns,
        )


def errno_name(error: OSError) -> str:
    """``"EMFILE"`` and the like: the reason under which a failure is counted."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _key(pid: int, stat: ProcessStat) -> str:
    return f"{pid}-{stat.start_time}"


class _OpenStat:
    """``/proc/PID/stat``, held open: while it can be read, its process exists."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def __enter__(self) -> Self:
        self._fd = os.open(f"{self._directory}/stat", os.O_RDONLY | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def read(self) -> bytes:
        return os.pread(self._fd, _STAT_BYTES, 0)

    def user_id(self) -> int:
        """The effective user.

        The file belongs to it, but to root if the process is not dumpable (proc(5)); the directory belongs to it
        always, and costs a walk of the path.
        """
        return os.fstat(self._fd).st_uid or Path(self._directory).stat().st_uid
