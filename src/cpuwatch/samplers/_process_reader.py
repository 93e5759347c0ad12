"""Reads one process from ``/proc/PID`` and makes its record."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct

from cpuwatch.model import PidNamespace, ProcessTimes
from cpuwatch.samplers import _cpu_clock
from cpuwatch.samplers._cgroup import parse_cgroup
from cpuwatch.samplers._pid_namespace import read_pid_namespace
from cpuwatch.samplers._proc_text import ProcessStat, parse_process_stat
from cpuwatch.samplers._stat_files import STAT_BYTES, StatFiles, most_open_files
from cpuwatch.samplers._users import UserNames

__all__ = ["Instant", "ProcessReader", "errno_name"]


class Instant(Struct, frozen=True, gc=False):
    """One moment on the three clocks of a :class:`~cpuwatch.Reading`."""

    time: datetime
    monotonic_ns: int
    uptime_ns: int


class ProcessReader:
    """Makes :class:`~cpuwatch.ProcessTimes` of what /proc says about a PID.

    ``command_lines`` gives the command line of the process that has this directory.
    """

    def __init__(self, root: Path, tick_ns: int, command_lines: Callable[[str], str | None]) -> None:
        self._root = str(root)
        self._tick_ns = tick_ns
        self._command_line = command_lines
        self._users = UserNames()
        self._files = StatFiles(most_open_files())

    def read(self, pid: int, clock_ns: int | None, known: ProcessTimes | None, instant: Instant) -> ProcessTimes | None:
        """The process under this PID; None if it vanished, at whatever point: only here is that dealt with.

        ``clock_ns`` is what its CPU clock was just found at (or ``GONE``); None where clocks cannot be used: then its
        CPU time is what ``stat`` says in ticks. A process that is there and cannot be read raises ``OSError``.
        """
        if clock_ns == _cpu_clock.GONE:
            return None
        directory = f"{self._root}/{pid}"
        try:
            record = None if known is None else self._read_again(known, clock_ns, directory)
            return self._read_new(pid, clock_ns, directory, instant) if record is None else record
        except (FileNotFoundError, ProcessLookupError):
            return None
        except ValueError as error:
            raise OSError(errno.EBADMSG, str(error), directory) from error

    def end_sweep(self) -> None:
        """To be called after each sweep: lets go of what it did not read."""
        self._files.end_sweep()

    def close(self) -> None:
        """Close the files that are held open."""
        self._files.close()

    def _read_again(self, known: ProcessTimes, clock_ns: int | None, directory: str) -> ProcessTimes | None:
        """The known process; None if its PID stands for another now.

        If it is still the same, it was so all the time between, and the clock and the user were its own.
        """
        # The directory belongs to the effective user always (the files in it to root, if the process is not dumpable;
        # proc(5)), and is looked up by its path: the owner that an open file shows is that of the moment of opening.
        user_id = os.stat(directory).st_uid
        stat = parse_process_stat(self._files.read(known.pid, f"{directory}/stat"))
        if stat.start_time * self._tick_ns != known.start_ns:
            return None
        return self._record(
            stat,
            user_id,
            clock_ns,
            pid=known.pid,
            key=known.key,
            # The same object, so that snapshots of many ticks share one text.
            name=known.name if stat.name == known.name else stat.name,
            start_time=known.start_time,
            first_seen=known.first_seen,
            cgroup=known.cgroup,
            pid_namespace=known.pid_namespace,
            # Another name is another program (execve), mostly: to read it each time would cost as much as all the rest.
            command_line=known.command_line if stat.name == known.name else self._command_line(directory),
        )

    def _read_new(self, pid: int, clock_ns: int | None, directory: str, instant: Instant) -> ProcessTimes:
        """A process that is not known. Raises ``ProcessLookupError`` or ``FileNotFoundError`` if it vanishes.

        The PID may have changed hands between the look at the clock and this. So the clock is read again while the
        open file stands for the process, which is bound to it and not to the number: that it can be read afterwards
        says that all between was said of this process.
        """
        fd = os.open(f"{directory}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            stat = parse_process_stat(os.pread(fd, STAT_BYTES, 0))
            age_ns = instant.uptime_ns - stat.start_time * self._tick_ns
            record = self._record(
                stat,
                os.stat(directory).st_uid,
                None if clock_ns is None else _cpu_clock.read_one(pid),
                pid=pid,
                key=f"{pid}-{stat.start_time}",
                name=stat.name,
                start_time=instant.time - timedelta(microseconds=age_ns // 1000),
                first_seen=instant.time,
                cgroup=_cgroup(directory),
                pid_namespace=read_pid_namespace(directory),
                command_line=self._command_line(directory),
            )
            os.pread(fd, 1, 0)
            return record
        finally:
            os.close(fd)

    def _record(
        self,
        stat: ProcessStat,
        user_id: int,
        clock_ns: int | None,
        *,
        pid: int,
        key: str,
        name: str,
        start_time: datetime,
        first_seen: datetime,
        cgroup: str | None,
        pid_namespace: PidNamespace | None,
        command_line: str | None,
    ) -> ProcessTimes:
        tick_ns = self._tick_ns
        return ProcessTimes(
            pid=pid,
            key=key,
            start_ns=stat.start_time * tick_ns,
            start_time=start_time,
            first_seen=first_seen,
            cgroup=cgroup,
            pid_namespace=pid_namespace,
            command_line=command_line,
            ppid=stat.ppid,
            name=name,
            user=self._users[user_id],
            state=stat.state,
            threads=stat.threads,
            cpu_ns=(stat.utime + stat.stime) * tick_ns if clock_ns is None else clock_ns,
            user_ns=stat.utime * tick_ns,
            system_ns=stat.stime * tick_ns,
            children_ns=stat.children_time * tick_ns,
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
