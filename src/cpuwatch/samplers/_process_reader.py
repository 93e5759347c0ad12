"""Reads one process from ``/proc/PID`` and makes its record."""

from __future__ import annotations

import errno
import os
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.model import ProcessTimes
from cpuwatch.samplers import _cpu_clock
from cpuwatch.samplers._cgroup import parse_cgroup
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
    """Makes :class:`~cpuwatch.ProcessTimes` of what /proc says about a PID."""

    def __init__(self, root: Path, tick_ns: int) -> None:
        self._root = str(root)
        self._tick_ns = tick_ns
        self._users = UserNames()

    def read(self, pid: int, clock_ns: int | None, known: ProcessTimes | None, instant: Instant) -> ProcessTimes | None:
        """The process under this PID; None if it vanished, at whatever point: only here is that dealt with.

        ``clock_ns`` is what its CPU clock was just found at (or ``GONE``); None where clocks cannot be used: then its
        CPU time is what ``stat`` says in ticks. A process that is there and cannot be read raises ``OSError``.

        If it is still the ``known`` one, it was the same process all the time between, and the clock was its own.
        If it is a new one, the PID may have changed hands between the look at the clock and this; then the clock is
        read again while the open file stands for the process: a file under /proc/PID is bound to the process, not to
        the number, and reading it fails (ESRCH) once that process is gone.
        """
        if clock_ns == _cpu_clock.GONE:
            return None
        directory = f"{self._root}/{pid}"
        try:
            fd = os.open(f"{directory}/stat", os.O_RDONLY | os.O_CLOEXEC)
            try:
                stat = parse_process_stat(os.pread(fd, _STAT_BYTES, 0))
                if clock_ns is None:
                    cpu_ns = (stat.utime + stat.stime) * self._tick_ns
                elif known is not None and known.key == _key(pid, stat):
                    cpu_ns = clock_ns
                else:
                    cpu_ns = _cpu_clock.read_one(pid)
                record = self._record(pid, stat, _user_id(fd, directory), cpu_ns, known, instant)
                if known is None or known.key != record.key:
                    record = replace(record, cgroup=_cgroup(directory))
                    os.pread(fd, 1, 0)
                return record
            finally:
                os.close(fd)
        except (FileNotFoundError, ProcessLookupError):
            return None
        except ValueError as error:
            raise OSError(errno.EBADMSG, str(error), directory) from error

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
            cgroup=None if known is None else known.cgroup,
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


def _cgroup(directory: str) -> str | None:
    """The cgroup of a new process. It is read once: a process is hardly ever moved after it was set up."""
    try:
        return parse_cgroup(Path(directory, "cgroup").read_bytes())
    except OSError:
        return None


def errno_name(error: OSError) -> str:
    """``"EMFILE"`` and the like: the reason under which a failure is counted."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _key(pid: int, stat: ProcessStat) -> str:
    return f"{pid}-{stat.start_time}"


def _user_id(fd: int, directory: str) -> int:
    """The effective user of the process whose ``stat`` is open.

    The file belongs to him, but to root if the process is not dumpable (proc(5)); the directory belongs to him
    always, and costs a walk of the path.
    """
    return os.fstat(fd).st_uid or os.stat(directory).st_uid
