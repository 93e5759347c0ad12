"""Reads one process from ``/proc/PID`` and makes its record."""

from __future__ import annotations

import errno
import os
from collections.abc import Container, Iterable, Mapping
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from cpuwatch.model import ProcessTimes
from cpuwatch.samplers.procfs import cpu_clock
from cpuwatch.samplers.procfs.cgroup import CgroupReader, Membership
from cpuwatch.samplers.procfs.command_lines import CommandLineReader
from cpuwatch.samplers.procfs.parse import ProcessStat, is_exiting, parse_process_stat
from cpuwatch.samplers.procfs.pid_namespace import read_pid_namespace
from cpuwatch.samplers.procfs.run_delay import RunDelays, counts_run_delay
from cpuwatch.samplers.procfs.stat_files import STAT_BYTES, StatFiles, max_open_files
from cpuwatch.samplers.procfs.stat_parser import StatParser
from cpuwatch.samplers.procfs.sweep import Instant
from cpuwatch.samplers.reread_schedule import (
    COMMAND_LINES_BUDGET_NS,
    MAX_COMMAND_LINES_PER_READING,
    PidQueue,
    RereadSchedule,
)
from cpuwatch.samplers.users import UserNames

__all__ = ["ProcessReader", "errno_name"]

_SETTLED_NS = 60 * 10**9
"""By this age, whatever started a process has moved it to its cgroup. Most processes of a first reading are older."""


class ProcessReader:
    """Makes the :class:`~cpuwatch.ProcessTimes` of a PID from its files under /proc.

    Command lines are read only if ``command_lines`` is given.
    """

    def __init__(
        self, root: Path, tick_ns: int, users: UserNames, command_lines: CommandLineReader | None = None
    ) -> None:
        self._root = str(root)
        self._tick_ns = tick_ns
        self._users = users
        self._command_lines = command_lines
        self._cgroups = CgroupReader()
        self._files = StatFiles(max_open_files())
        self._stats = StatParser()
        self._delays = RunDelays(self._files) if counts_run_delay() else None
        self._schedule = RereadSchedule()
        self._command_line_queue = PidQueue()

    def read(self, pid: int, clock_ns: int | None, known: ProcessTimes | None, instant: Instant) -> ProcessTimes | None:
        """The process with this PID; None if it has exited, at whatever point. Only this method handles that.

        ``clock_ns`` is the value of its CPU clock just before, or ``GONE``. If it is None, because clocks cannot be
        used, the CPU time comes from ``stat``, in ticks. Raises ``OSError`` if the process exists but cannot be read.
        """
        if clock_ns == cpu_clock.GONE:
            return None
        directory = f"{self._root}/{pid}"
        try:
            record = None if known is None else self._read_known(known, clock_ns, directory, instant)
            return self._read_new(pid, clock_ns, directory, instant) if record is None else record
        except (FileNotFoundError, ProcessLookupError):
            return None
        except ValueError as error:
            raise OSError(errno.EBADMSG, str(error), directory) from error

    def reread(self, processes: Mapping[int, ProcessTimes]) -> list[ProcessTimes]:
        """New records of processes whose cgroup, state, command line or user name changed. Call it after each sweep.

        ``processes`` are all known records by PID. User names are refreshed for all of them. The rest is read for the
        processes whose turn it is (:class:`~cpuwatch.samplers.reread_schedule.RereadSchedule`), whether they ran or
        not.
        """
        changed: dict[int, ProcessTimes] = {}
        renamed_users = self._users.refresh(lambda: {record.user_id for record in processes.values()})
        if renamed_users:
            for record in processes.values():
                if record.user_id in renamed_users:
                    changed[record.pid] = replace(record, user=self._users[record.user_id])
        due = self._schedule.due(processes)
        for pid in due:
            known = changed.get(pid, processes[pid])
            record = self._recheck_cgroup(known)
            if record is not known:
                changed[pid] = record
        if self._command_lines is not None:
            self._reread_command_lines(due, processes, changed)
        return list(changed.values())

    def still_waiting(self, instant: Instant) -> list[tuple[int, int]]:
        """The PIDs and the run delay of processes that were runnable when they were read, before this sweep.

        It is only valid for those that have not run since.
        """
        return [] if self._delays is None else self._delays.still_waiting(instant.monotonic_ns)

    def end_sweep(self, processes: Container[int]) -> None:
        """Close the files that this sweep did not read, and forget all but these PIDs. Call it after each sweep."""
        self._files.end_sweep()
        if self._delays is not None:
            self._delays.end_sweep(processes)

    def close(self) -> None:
        """Close all files."""
        self._files.close()

    def _reread_command_lines(
        self, due: Iterable[int], processes: Mapping[int, ProcessTimes], changed: dict[int, ProcessTimes]
    ) -> None:
        """Add those whose command line changed to ``changed``."""
        for pid in due:
            self._command_line_queue.append(pid)
        for pid in self._command_line_queue.pop_for(COMMAND_LINES_BUDGET_NS, MAX_COMMAND_LINES_PER_READING, processes):
            known = changed.get(pid, processes[pid])
            record = self._recheck_command_line(known)
            if record is not known:
                changed[pid] = record

    def _recheck_cgroup(self, known: ProcessTimes) -> ProcessTimes:
        """A new record if the cgroup changed, or the state of a process that may be frozen; otherwise the same one."""
        directory = f"{self._root}/{known.pid}"
        membership = self._membership(directory)
        if membership is None:
            return known
        is_same = (membership.path, membership.cpu_path) == (known.cgroup, known.cpu_cgroup)
        if is_same and not membership.may_be_frozen:
            return known
        moved = replace(known, cgroup=membership.path, cpu_cgroup=membership.cpu_path)
        return self._confirmed(known, directory, moved)

    def _recheck_command_line(self, known: ProcessTimes) -> ProcessTimes:
        """A new record if the command line changed, otherwise the same one."""
        directory = f"{self._root}/{known.pid}"
        try:
            line = self._command_line(directory)
        except (FileNotFoundError, ProcessLookupError):
            return known
        except OSError:
            self._schedule.add_busy(known.pid)
            return known
        if line == known.command_line:
            return known
        return self._confirmed(known, directory, replace(known, command_line=line))

    def _confirmed(self, known: ProcessTimes, directory: str, changed: ProcessTimes) -> ProcessTimes:
        """The changed record, unless what was read belongs to another process that has the PID now.

        Its start time would differ. If the process cannot be read, its record stays the same.
        """
        try:
            data = self._files.read(known.pid, f"{directory}/stat")
            stat = parse_process_stat(data)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return known
        except OSError:
            # Usually no descriptor is left: retry soon.
            self._schedule.add_busy(known.pid)
            return known
        if stat.start_time * self._tick_ns != known.start_ns:
            return known
        # cgroup v1 shows an exiting process in the root (proc_cgroup_show in kernel/cgroup/cgroup.c).
        if is_exiting(data):
            changed = replace(changed, cgroup=known.cgroup, cpu_cgroup=known.cpu_cgroup)
        record = replace(changed, state=stat.state)
        return known if record == known else record

    def _command_line(self, directory: str) -> str | None:
        return None if self._command_lines is None else self._command_lines.read(directory)

    def _queue_command_line(self, pid: int, *, first: bool = False) -> None:
        if self._command_lines is None:
            return
        if first:
            self._command_line_queue.prepend(pid)
        else:
            self._command_line_queue.append(pid)

    def _membership(self, directory: str) -> Membership | None:
        """None if it cannot be read, as on a kernel without cgroups."""
        try:
            return self._cgroups.read(directory)
        except (OSError, ValueError):
            return None

    def _read_known(
        self, known: ProcessTimes, clock_ns: int | None, directory: str, instant: Instant
    ) -> ProcessTimes | None:
        """The new record of a known process; None if another process has its PID now.

        If the start time is the same after the clock and the user were read, both belong to this process.
        """
        # The effective user always owns the directory, while root owns the files in it if the process is not dumpable
        # (proc(5)). It is looked up by path, because an open file keeps the owner of the moment when it was opened.
        user_id = os.stat(directory).st_uid
        schedstat = None if self._delays is None else self._delays.read_main_thread(known.pid, directory)
        stat = self._stats.parse(known.pid, self._files.read(known.pid, f"{directory}/stat"))
        if stat.start_time * self._tick_ns != known.start_ns:
            return None
        tick_ns = self._tick_ns
        # Not the constructor: with 18 keywords it takes five times as long.
        record = replace(
            known,
            # The same object, so that the snapshots of many ticks share one string.
            name=known.name if stat.name == known.name else stat.name,
            ppid=stat.ppid,
            user=self._users[user_id],
            user_id=user_id,
            state=stat.state,
            threads=stat.threads,
            cpu_ns=_cpu_ns(stat, tick_ns) if clock_ns is None else clock_ns,
            user_ns=stat.utime * tick_ns,
            system_ns=stat.stime * tick_ns,
            children_ns=stat.children_time * tick_ns,
            wait_ns=self._wait_ns(known.pid, directory, schedstat, stat, known.wait_ns, instant),
        )
        if record.name != known.name:
            # A new name usually means a new program (execve).
            self._schedule.add_renamed(known.pid)
            self._queue_command_line(known.pid, first=True)
        if record.user_ns + record.system_ns != known.user_ns + known.system_ns:
            self._schedule.add_busy(known.pid)
        if record.cpu_ns != known.cpu_ns:
            self._queue_command_line(known.pid)
        return record

    def _read_new(self, pid: int, clock_ns: int | None, directory: str, instant: Instant) -> ProcessTimes:
        """The record of an unknown process. Raises ``ProcessLookupError`` or ``FileNotFoundError`` if it exits.

        Another process may have taken the PID since the clock was read. So the clock is read again while ``stat`` is
        open. The open file is bound to the process, not to the PID: if it can still be read at the end, everything that
        was read in between belongs to this process.
        """
        fd = os.open(f"{directory}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            membership = self._membership(directory)
            data = os.pread(fd, STAT_BYTES, 0)
            stat = parse_process_stat(data)
            if is_exiting(data) and membership is not None and membership.path == "/":
                # cgroup v1 shows an exiting process there, as in _confirmed. It started in the cgroup of its parent.
                membership = self._membership(f"{self._root}/{stat.ppid}")
            age_ns = instant.uptime_ns - stat.start_time * self._tick_ns
            user_id = os.stat(directory).st_uid
            tick_ns = self._tick_ns
            schedstat = None if self._delays is None else self._delays.begin(pid, directory)
            record = ProcessTimes(
                pid=pid,
                key=f"{pid}-{stat.start_time}",
                start_ns=stat.start_time * tick_ns,
                start_time=instant.time - timedelta(microseconds=age_ns // 1000),
                first_seen=instant.time,
                ppid=stat.ppid,
                name=stat.name,
                user=self._users[user_id],
                state=stat.state,
                threads=stat.threads,
                cpu_ns=_cpu_ns(stat, tick_ns) if clock_ns is None else cpu_clock.read_one(pid),
                user_ns=stat.utime * tick_ns,
                system_ns=stat.stime * tick_ns,
                children_ns=stat.children_time * tick_ns,
                cgroup=None if membership is None else membership.path,
                command_line=self._command_line(directory),
                pid_namespace=read_pid_namespace(directory),
                user_id=user_id,
                wait_ns=self._wait_ns(pid, directory, schedstat, stat, None, instant),
                cpu_cgroup=None if membership is None else membership.cpu_path,
            )
            os.pread(fd, 1, 0)
            self._schedule.add_new(pid, has_settled=age_ns > _SETTLED_NS)
            return record
        finally:
            os.close(fd)

    def _wait_ns(
        self,
        pid: int,
        directory: str,
        schedstat: bytes | None,
        stat: ProcessStat,
        known_ns: int | None,
        instant: Instant,
    ) -> int | None:
        """The run delay, which never decreases: what a process waited was counted before the kernel added it."""
        if self._delays is None:
            return None
        wait_ns = self._delays.wait_ns(pid, directory, schedstat, stat.threads, stat.state, instant.monotonic_ns)
        return wait_ns if known_ns is None or wait_ns is None else max(known_ns, wait_ns)


def _cpu_ns(stat: ProcessStat, tick_ns: int) -> int:
    return (stat.utime + stat.stime) * tick_ns


def errno_name(error: OSError) -> str:
    """The symbol of an error, such as ``"EMFILE"``: the reason under which a failure is counted."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
