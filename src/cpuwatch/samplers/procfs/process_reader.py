"""Reads one process from ``/proc/PID`` and makes its record."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.model import PidNamespace, ProcessTimes
from cpuwatch.samplers.procfs import cpu_clock as _cpu_clock
from cpuwatch.samplers.procfs.cgroup import CgroupReader, Membership
from cpuwatch.samplers.procfs.command_lines import CommandLineReader
from cpuwatch.samplers.procfs.parse import ProcessStat, is_exiting, parse_process_stat
from cpuwatch.samplers.procfs.pid_namespace import read_pid_namespace
from cpuwatch.samplers.procfs.rota import MAX_COMMAND_LINES, MAX_COMMAND_LINES_NS, Rota, Turns
from cpuwatch.samplers.procfs.stat_files import STAT_BYTES, StatFiles, most_open_files
from cpuwatch.samplers.users import UserNames

__all__ = ["Instant", "ProcessReader", "errno_name"]


class Instant(Struct, frozen=True, gc=False):
    """One moment on the three clocks of a :class:`~cpuwatch.Reading`."""

    time: datetime
    monotonic_ns: int
    uptime_ns: int


class ProcessReader:
    """Makes :class:`~cpuwatch.ProcessTimes` of what /proc says about a PID.

    ``command_lines`` is None where they are not wanted.
    """

    def __init__(
        self, root: Path, tick_ns: int, users: UserNames, command_lines: CommandLineReader | None = None
    ) -> None:
        self._root = str(root)
        self._tick_ns = tick_ns
        self._users = users
        self._command_lines = command_lines
        self._cgroups = CgroupReader()
        self._files = StatFiles(most_open_files())
        self._rota = Rota()
        self._command_line_turns = Turns()

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

    def renewed(self, processes: Mapping[int, ProcessTimes]) -> list[ProcessTimes]:
        """New records for those whose cgroup, state, command line or user name changed. To be called after each sweep.

        ``processes`` are all that are known, by PID. The names of all users are up to date afterwards. For the rest
        processes take turns (:class:`~cpuwatch.samplers.procfs.rota.Rota`), whether they ran or not.
        """
        found: dict[int, ProcessTimes] = {}
        renamed_users = self._users.refresh(lambda: {record.user_id for record in processes.values()})
        if renamed_users:
            for record in processes.values():
                if record.user_id in renamed_users:
                    found[record.pid] = replace(record, user=self._users[record.user_id])

        def look_again(pid: int, **due: bool) -> None:
            known = found.get(pid, processes[pid])
            record = self._look_again(known, **due)
            if record is not known:
                found[pid] = record

        for pid in self._rota.take(processes):
            look_again(pid, cgroup=True, command_line=False)
            self._owe_command_line(pid)
        for pid in self._command_line_turns.take_for(MAX_COMMAND_LINES_NS, MAX_COMMAND_LINES, processes):
            look_again(pid, cgroup=False, command_line=True)
        return list(found.values())

    def end_sweep(self) -> None:
        """To be called after each sweep: lets go of what it did not read."""
        self._files.end_sweep()

    def close(self) -> None:
        """Close the files that are held open."""
        self._files.close()

    def _look_again(self, known: ProcessTimes, *, cgroup: bool, command_line: bool) -> ProcessTimes:
        """The record of this process with what changed since; the same one if nothing did, or if it cannot be read.

        The keywords say what to look at; with the cgroup goes the state of a process that may be frozen.
        """
        directory = f"{self._root}/{known.pid}"
        try:
            membership = self._membership(directory) if cgroup else None
            path = known.cgroup if membership is None else membership.path
            line = self._command_line(directory) if command_line else known.command_line
            is_same = path == known.cgroup and line == known.command_line
            if is_same and not (membership is not None and membership.may_be_frozen):
                return known
            # What was read may be of another process that has the PID now. The start time tells.
            data = self._files.read(known.pid, f"{directory}/stat")
            stat = parse_process_stat(data)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return known
        except OSError:
            # No descriptor is left, mostly.
            self._rota.add_busy(known.pid)
            return known
        if stat.start_time * self._tick_ns != known.start_ns:
            return known
        # Of a process that ends, version 1 says that it is in the root (proc_cgroup_show in kernel/cgroup/cgroup.c).
        if is_exiting(data):
            path = known.cgroup
        record = replace(known, cgroup=path, command_line=line, state=stat.state)
        return known if record == known else record

    def _command_line(self, directory: str) -> str | None:
        return None if self._command_lines is None else self._command_lines.read(directory)

    def _owe_command_line(self, pid: int, *, first: bool = False) -> None:
        if self._command_lines is None:
            return
        if first:
            self._command_line_turns.add_first(pid)
        else:
            self._command_line_turns.add(pid)

    def _membership(self, directory: str) -> Membership | None:
        """None if it cannot be told, as on a kernel without cgroups."""
        try:
            return self._cgroups.read(directory)
        except (OSError, ValueError):
            return None

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
        record = self._record(
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
            command_line=known.command_line,
        )
        if record.name != known.name:
            # Another name is another program (execve), mostly.
            self._rota.add_renamed(known.pid)
            self._owe_command_line(known.pid, first=True)
        if record.user_ns + record.system_ns != known.user_ns + known.system_ns:
            self._rota.add_busy(known.pid)
        if record.cpu_ns != known.cpu_ns:
            self._owe_command_line(known.pid)
        return record

    def _read_new(self, pid: int, clock_ns: int | None, directory: str, instant: Instant) -> ProcessTimes:
        """A process that is not known. Raises ``ProcessLookupError`` or ``FileNotFoundError`` if it vanishes.

        The PID may have changed hands between the look at the clock and this. So the clock is read again while the
        open file stands for the process, which is bound to it and not to the number: that it can be read afterwards
        says that all between was said of this process.
        """
        fd = os.open(f"{directory}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            stat = parse_process_stat(os.pread(fd, STAT_BYTES, 0))
            membership = self._membership(directory)
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
                cgroup=None if membership is None else membership.path,
                pid_namespace=read_pid_namespace(directory),
                command_line=self._command_line(directory),
            )
            os.pread(fd, 1, 0)
            self._rota.add_new(pid)
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
            user_id=user_id,
            state=stat.state,
            threads=stat.threads,
            cpu_ns=(stat.utime + stat.stime) * tick_ns if clock_ns is None else clock_ns,
            user_ns=stat.utime * tick_ns,
            system_ns=stat.stime * tick_ns,
            children_ns=stat.children_time * tick_ns,
        )


def errno_name(error: OSError) -> str:
    """``"EMFILE"`` and the like: the reason under which a failure is counted."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
