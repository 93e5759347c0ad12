"""Reads the limits and counters of the cgroups of processes, and keeps what did not change."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.accounting.cgroups import path_with_ancestors
from cpuwatch.model import CgroupTimes, ProcessTimes
from cpuwatch.samplers.procfs.cgroup_files import (
    Quota,
    Throttling,
    count_cpus,
    parse_cpu_max,
    parse_throttling,
    quota_of_v1,
)
from cpuwatch.samplers.procfs.cgroup_mounts import CgroupMounts
from cpuwatch.samplers.procfs.parse import pressure_ns
from cpuwatch.samplers.procfs.stat_files import StatFiles, max_open_files, read_once

__all__ = ["CgroupTable"]

_SHARE_OF_OPEN_FILES = 4
_MAX_OPEN_FILES = 1024

READINGS_PER_ROUND = 60
"""The CPUs and the existence of a cgroup, and the limits of an idle one, are checked at least once in a round. They
seldom change, and looking up paths takes longer than reading open files."""

_MAX = "cpu.max"
_STAT = "cpu.stat"
_PRESSURE = "cpu.pressure"
_QUOTA = "cpu.cfs_quota_us"
_PERIOD = "cpu.cfs_period_us"

_GONE = {errno.ENOENT, errno.ENODEV}
"""A removed cgroup has no files. One that is still open cannot be read (kernfs_fop_read_iter in fs/kernfs/file.c)."""


class _Cgroup(Struct, gc=False):
    """A cgroup: its files by name, what was in them, and the record that was made of that."""

    files: dict[str, str]
    content: list[bytes | None]
    record: CgroupTimes


class CgroupTable:
    """The cgroups of all processes, and their ancestors.

    The counters of a cgroup only change when one of its processes runs or waits. So only the cgroups of such processes
    are read; the others keep their record.
    """

    def __init__(self, mounts: CgroupMounts, name_of: Callable[[str], str | None]) -> None:
        self._mounts = mounts
        self._name_of = name_of
        self._files = StatFiles(min(_MAX_OPEN_FILES, max_open_files() // _SHARE_OF_OPEN_FILES))
        self._cgroups: dict[str, _Cgroup] = {}
        self._in_turn: list[str] = []

    def read(self, active: Iterable[ProcessTimes], exited: Iterable[ProcessTimes]) -> dict[str, CgroupTimes]:
        """The cgroups by path. ``active`` processes ran, waited or moved since the last call; ``exited`` ones exited.

        At the first call, all processes are active.
        """
        if self._mounts.unified is None and self._mounts.cpu is None:
            return {}
        paths = _paths_of(active)
        due = {*self._turn(), *(paths - self._cgroups.keys()), *_paths_of(exited)}
        for path in due:
            self._renew(path)
        for path in paths | due:
            cgroup = self._cgroups.get(path)
            if cgroup is not None:
                self._count(path, cgroup)
        self._files.end_sweep()
        return {path: cgroup.record for path, cgroup in self._cgroups.items()}

    def close(self) -> None:
        """Close all files."""
        self._files.close()

    def _turn(self) -> Collection[str]:
        if not self._in_turn:
            self._in_turn = list(self._cgroups)
        size = math.ceil(len(self._cgroups) / READINGS_PER_ROUND)
        turn, self._in_turn = self._in_turn[:size], self._in_turn[size:]
        return turn

    def _renew(self, path: str) -> None:
        """Find out what seldom changes about a cgroup: whether it exists, its files and its CPUs."""
        files = self._files_of(path)
        if files is None:
            self._cgroups.pop(path, None)
            return
        cgroup = self._cgroups.get(path)
        if cgroup is None:
            cgroup = self._cgroups[path] = _Cgroup(files, [], CgroupTimes())
        cgroup.files = files
        cpus = self._cpus(path)
        if cpus != cgroup.record.cpus:
            cgroup.record = replace(cgroup.record, cpus=cpus)

    def _files_of(self, path: str) -> dict[str, str] | None:
        """The existing files with limits and counters by name; None if no hierarchy has such a cgroup."""
        unified, v1 = self._mounts.unified, self._mounts.cpu
        places = [(unified, (_PRESSURE,) if v1 is not None else (_PRESSURE, _MAX, _STAT))]
        if v1 is not None:
            places.append((v1, (_QUOTA, _PERIOD, _STAT)))
        files: dict[str, str] = {}
        exists = False
        for hierarchy, names in places:
            directory = None if hierarchy is None else hierarchy.directory_of(path)
            if directory is not None and Path(directory).is_dir():
                exists = True
                found = {name: f"{directory}/{name}" for name in names}
                files |= {name: file for name, file in found.items() if os.access(file, os.R_OK)}
        return files if exists else None

    def _count(self, path: str, cgroup: _Cgroup) -> None:
        """Read the limits, the counters and the name. If nothing changed, the record stays the same."""
        maximum, quota_us = self._content(cgroup, _MAX), self._content(cgroup, _QUOTA)
        content = [maximum, quota_us, self._content(cgroup, _PRESSURE)]
        is_limited = not (maximum or b"max").startswith(b"max") or not (quota_us or b"-1").startswith(b"-")
        if is_limited:
            content += [self._content(cgroup, _STAT), self._content(cgroup, _PERIOD)]
        if content != cgroup.content:
            cgroup.content = content
            record = _with_counters(cgroup.record, *content)
            if record != cgroup.record:
                cgroup.record = record
        name = self._name_of(path)
        if name != cgroup.record.name:
            cgroup.record = replace(cgroup.record, name=name)

    def _content(self, cgroup: _Cgroup, name: str) -> bytes | None:
        """None if there is no such file, or it cannot be read now."""
        file = cgroup.files.get(name)
        if file is None:
            return None
        try:
            return self._files.read(file, file)
        except OSError:
            return None

    def _cpus(self, path: str) -> int | None:
        """The number of CPUs in the set of the cgroup, or of its nearest ancestor that has one."""
        v1 = self._mounts.cpuset
        name = "cpuset.cpus.effective" if v1 is None else "cpuset.effective_cpus"
        hierarchy = self._mounts.unified if v1 is None else v1
        for above in path_with_ancestors(path):
            directory = None if hierarchy is None else hierarchy.directory_of(above)
            if directory is not None:
                try:
                    return count_cpus(read_once(f"{directory}/{name}"))
                except OSError as error:
                    if error.errno not in _GONE:
                        return None
        return None


def _with_counters(
    record: CgroupTimes,
    maximum: bytes | None,
    quota_us: bytes | None,
    pressure: bytes | None,
    stat: bytes | None = None,
    period_us: bytes | None = None,
) -> CgroupTimes:
    """The record with what these files say. What they do not say is None, as is a malformed value."""
    quota: Quota | None = None
    throttling: Throttling | None = None
    with suppress(ValueError):
        if maximum is not None:
            quota = parse_cpu_max(maximum)
        elif quota_us is not None and period_us is not None:
            quota = quota_of_v1(quota_us, period_us)
    with suppress(ValueError):
        throttling = None if stat is None else parse_throttling(stat)
    waited_ns: int | None = None
    with suppress(ValueError):
        waited_ns = None if pressure is None else pressure_ns(pressure)
    return replace(
        record,
        quota_ns=None if quota is None else quota.quota_ns,
        period_ns=None if quota is None else quota.period_ns,
        periods=None if throttling is None else throttling.periods,
        throttled_periods=None if throttling is None else throttling.throttled_periods,
        throttled_ns=None if throttling is None else throttling.throttled_ns,
        pressure_ns=waited_ns,
    )


def _paths_of(processes: Iterable[ProcessTimes]) -> set[str]:
    """The paths of their cgroups and of all ancestors of these."""
    paths = {path for record in processes for path in (record.cgroup, record.cpu_cgroup) if path is not None}
    return {above for path in paths for above in path_with_ancestors(path)}
