"""Reads the limits and counters of the cgroups of processes, and keeps what did not change."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import compress
from operator import is_not
from pathlib import Path

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
from cpuwatch.samplers.procfs.cgroup_mounts import CgroupMounts, Hierarchy
from cpuwatch.samplers.procfs.parse import pressure_ns
from cpuwatch.samplers.procfs.stat_files import StatFiles, max_open_files, read_once

__all__ = ["CgroupTable"]

_SHARE_OF_OPEN_FILES = 4
_MAX_OPEN_FILES = 1024

READINGS_PER_ROUND = 10
"""The name, the CPUs and the existence of a cgroup are checked at least once in this many readings."""

_GONE = {errno.ENOENT, errno.ENODEV}
"""A removed cgroup has no files. One that is still open cannot be read (kernfs_fop_read_iter in fs/kernfs/file.c)."""


class CgroupTable:
    """The cgroups of all processes, and their ancestors.

    The counters of a cgroup only change when one of its processes runs or waits. So only the cgroups of processes with
    a new record are read; the others keep their record.
    """

    def __init__(self, mounts: CgroupMounts, name_of: Callable[[str], str | None]) -> None:
        self._mounts = mounts
        self._name_of = name_of
        self._files = StatFiles(min(_MAX_OPEN_FILES, max_open_files() // _SHARE_OF_OPEN_FILES))
        self._cgroups: dict[str, CgroupTimes] = {}
        self._processes: Mapping[int, ProcessTimes] = {}
        self._in_turn: list[str] = []

    def read(self, processes: Mapping[int, ProcessTimes]) -> dict[str, CgroupTimes]:
        """The cgroups by path. ``processes`` are all of this reading."""
        if self._mounts.unified is None and self._mounts.cpu is None:
            return {}
        changed, vanished = self._changes(processes)
        active = _paths_of(changed)
        due = {*self._turn(), *(active - self._cgroups.keys()), *_paths_of(vanished)}
        for path in active | due:
            known = self._cgroups.get(path, CgroupTimes())
            if path in due:
                if not self._exists(path):
                    self._cgroups.pop(path, None)
                    continue
                known = self._with_name_and_cpus(path, known)
            self._cgroups[path] = self._with_counters(path, known)
        self._files.end_sweep()
        return self._cgroups.copy()

    def close(self) -> None:
        """Close all files."""
        self._files.close()

    def _changes(self, processes: Mapping[int, ProcessTimes]) -> tuple[list[ProcessTimes], list[ProcessTimes]]:
        """The processes with a new record, and those that vanished, since the last reading."""
        before, self._processes = self._processes, processes
        changed = list(compress(processes.values(), map(is_not, processes.values(), map(before.get, processes))))
        new = sum(record.pid not in before for record in changed)
        vanished: list[ProcessTimes] = []
        if len(processes) - new != len(before):
            vanished = [before[pid] for pid in before.keys() - processes.keys()]
        return changed, vanished

    def _turn(self) -> Collection[str]:
        if not self._in_turn:
            self._in_turn = list(self._cgroups)
        size = math.ceil(len(self._cgroups) / READINGS_PER_ROUND)
        turn, self._in_turn = self._in_turn[:size], self._in_turn[size:]
        return turn

    def _exists(self, path: str) -> bool:
        """Whether there is such a cgroup in any hierarchy that counts."""
        hierarchies = (self._mounts.unified, self._mounts.cpu)
        directories = (hierarchy.directory_of(path) for hierarchy in hierarchies if hierarchy is not None)
        return any(directory is not None and Path(directory).is_dir() for directory in directories)

    def _with_name_and_cpus(self, path: str, known: CgroupTimes) -> CgroupTimes:
        name, cpus = self._name_of(path), self._cpus(path)
        return known if (known.name, known.cpus) == (name, cpus) else replace(known, name=name, cpus=cpus)

    def _with_counters(self, path: str, known: CgroupTimes) -> CgroupTimes:
        quota = self._quota(path)
        throttling = None if quota is None else self._throttling(path)
        record = replace(
            known,
            quota_ns=None if quota is None else quota.quota_ns,
            period_ns=None if quota is None else quota.period_ns,
            periods=None if throttling is None else throttling.periods,
            throttled_periods=None if throttling is None else throttling.throttled_periods,
            throttled_ns=None if throttling is None else throttling.throttled_ns,
            pressure_ns=self._pressure_ns(path),
        )
        return known if record == known else record

    def _quota(self, path: str) -> Quota | None:
        """None without a quota, or if it cannot be read. The root cgroup of the machine has no such file in v2."""
        try:
            if self._mounts.cpu is None:
                return parse_cpu_max(self._read(self._mounts.unified, path, "cpu.max"))
            quota_us = self._read(self._mounts.cpu, path, "cpu.cfs_quota_us")
            if quota_us.startswith(b"-"):
                return None
            return quota_of_v1(quota_us, self._read(self._mounts.cpu, path, "cpu.cfs_period_us"))
        except (OSError, ValueError):
            return None

    def _throttling(self, path: str) -> Throttling | None:
        try:
            return parse_throttling(self._read(self._mounts.cpu or self._mounts.unified, path, "cpu.stat"))
        except (OSError, ValueError):
            return None

    def _pressure_ns(self, path: str) -> int | None:
        """None if the kernel does not count it, as for all cgroups of v1."""
        try:
            return pressure_ns(self._read(self._mounts.unified, path, "cpu.pressure"))
        except (OSError, ValueError):
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

    def _read(self, hierarchy: Hierarchy | None, path: str, name: str) -> bytes:
        directory = None if hierarchy is None else hierarchy.directory_of(path)
        if directory is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self._files.read((path, name), f"{directory}/{name}")


def _paths_of(processes: Iterable[ProcessTimes]) -> set[str]:
    """The paths of their cgroups and of all ancestors of these."""
    paths = {path for record in processes for path in (record.cgroup, record.cpu_cgroup) if path is not None}
    return {above for path in paths for above in path_with_ancestors(path)}
