"""The last snapshots of a monitor, bounded in number and in bytes."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator

from cpuwatch.model import Snapshot
from cpuwatch.packed_rows import PackedRows

__all__ = ["DEFAULT_HISTORY_BYTES", "SnapshotHistory"]

DEFAULT_HISTORY_BYTES = 128 * 2**20

_SNAPSHOT_BYTES = 2048
_CPU_BYTES = 48
_EXITED_ROW_BYTES = 224
_ROW_BYTES = 368
"""A row that is not packed: the Struct, its six floats, the reference to it."""
_RESTING_ROW_BYTES = 192
"""The same of a process at rest: its percentages are shared."""
_PACKED_ROW_BYTES = 128
"""6 floats, 3 integers of 4 bytes, 8 references to objects, and the place of the row."""
_REFERENCE_BYTES = 8
_OBJECT_COLUMNS = ("key", "name", "cgroup", "command_line", "start_time", "first_seen")


class SnapshotHistory:
    """At most ``max_snapshots`` and about ``max_bytes``; the oldest go first, the newest always stays.

    The bytes are an estimate from above of what a snapshot keeps in memory and the one before does not: its packed
    rows, the rows of processes that came to rest, new texts. What the sampler keeps of each living process is not in
    it.
    """

    def __init__(self, max_snapshots: int, max_bytes: int) -> None:
        self._max_snapshots = max_snapshots
        self._max_bytes = max_bytes
        self._snapshots: deque[Snapshot] = deque()
        self._sizes_bytes: deque[int] = deque()
        self._estimated_bytes = 0
        # Of the newest snapshot:
        self._packed_keys: set[str] = set()
        self._object_ids: set[int] = set()

    @property
    def estimated_bytes(self) -> int:
        """How much memory all of them keep."""
        return self._estimated_bytes

    def append(self, snapshot: Snapshot) -> None:
        """Add the newest; drop the oldest as the limits require."""
        size_bytes = self._added_bytes(snapshot)
        self._snapshots.append(snapshot)
        self._sizes_bytes.append(size_bytes)
        self._estimated_bytes += size_bytes
        while len(self._snapshots) > 1 and (
            len(self._snapshots) > self._max_snapshots or self._estimated_bytes > self._max_bytes
        ):
            self._snapshots.popleft()
            self._estimated_bytes -= self._sizes_bytes.popleft()

    def __len__(self) -> int:
        return len(self._snapshots)

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(self._snapshots)

    def __getitem__(self, index: int) -> Snapshot:
        return self._snapshots[index]

    def _added_bytes(self, snapshot: Snapshot) -> int:
        rows = snapshot.processes
        per_cpu_bytes = _CPU_BYTES * len(snapshot.machine.per_cpu_percent)
        size_bytes = _SNAPSHOT_BYTES + per_cpu_bytes + _EXITED_ROW_BYTES * len(snapshot.exited)
        if not isinstance(rows, PackedRows):
            return size_bytes + _ROW_BYTES * len(rows)
        keys = set(rows.column("key"))
        # A process that ran in the tick before and not in this one has a new row at rest, unless it ended.
        size_bytes += _RESTING_ROW_BYTES * len(self._packed_keys - keys)
        size_bytes += _REFERENCE_BYTES * len(rows) + _PACKED_ROW_BYTES * rows.packed
        objects = {id(item): item for name in _OBJECT_COLUMNS for item in rows.column(name)}
        # The snapshot before is still here, so an id that was in it is that of the same object.
        size_bytes += sum(sys.getsizeof(objects[new]) for new in objects.keys() - self._object_ids)
        self._packed_keys, self._object_ids = keys, set(objects)
        return size_bytes
