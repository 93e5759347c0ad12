"""Estimates an upper bound of the memory that a history of snapshots takes."""

from __future__ import annotations

import sys

from cpuwatch.model import Snapshot
from cpuwatch.packed_rows import PackedRows

__all__ = ["SnapshotBytes"]

_SNAPSHOT_BYTES = 2048
_CPU_BYTES = 48
_EXITED_ROW_BYTES = 224
_CGROUP_BYTES = 200
_ROW_BYTES = 368
"""An unpacked row: the Struct, its floats, and the reference to it."""
_IDLE_BYTES = 320
"""The record of an idle process. Its row, which takes its place when somebody reads it, is smaller."""
_PACKED_ROW_BYTES = 144
"""8 floats, 3 integers of 4 bytes, 8 references to objects, and the index of the row."""
_REFERENCE_BYTES = 8
_OBJECT_COLUMNS = ("key", "name", "cgroup", "command_line", "start_time", "first_seen")


class SnapshotBytes:
    """Counts the memory of each snapshot that it does not share with the previous one.

    That is its packed rows, the records or rows of processes that became idle, and new texts. The records that the
    sampler keeps for each living process are not included.
    """

    def __init__(self) -> None:
        # All belong to the newest snapshot.
        self._packed_keys: set[str] = set()
        self._object_ids: set[int] = set()
        self._cgroup_ids: set[int] = set()

    def added_by(self, snapshot: Snapshot) -> int:
        """The bytes that this snapshot adds. Call it once per snapshot, in order, while the previous one is kept."""
        rows = snapshot.processes
        per_cpu_bytes = _CPU_BYTES * len(snapshot.machine.per_cpu_percent)
        size_bytes = _SNAPSHOT_BYTES + per_cpu_bytes + _EXITED_ROW_BYTES * len(snapshot.exited)
        cgroup_ids = set(map(id, snapshot.cgroups))
        size_bytes += _REFERENCE_BYTES * len(cgroup_ids) + _CGROUP_BYTES * len(cgroup_ids - self._cgroup_ids)
        self._cgroup_ids = cgroup_ids
        if not isinstance(rows, PackedRows):
            return size_bytes + _ROW_BYTES * len(rows)
        keys = set(rows.column("key"))
        # A process that ran in the previous tick but not in this one has a new record, unless it exited.
        size_bytes += _IDLE_BYTES * len(self._packed_keys - keys)
        size_bytes += _REFERENCE_BYTES * len(rows) + _PACKED_ROW_BYTES * rows.packed
        objects = {id(item): item for name in _OBJECT_COLUMNS for item in rows.column(name)}
        # The previous snapshot still exists, so an id that was in it belongs to the same object.
        size_bytes += sum(sys.getsizeof(objects[new]) for new in objects.keys() - self._object_ids)
        self._packed_keys, self._object_ids = keys, set(objects)
        return size_bytes
