"""Packs the history in memory: snapshots become blocks of readings, which take a twentieth of the space. Pure.

A snapshot is computed again when somebody reads it, and is equal to the one that was live.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import msgspec

from cpuwatch.errors import RecordingDamagedError
from cpuwatch.history import SnapshotHistory
from cpuwatch.model import Snapshot
from cpuwatch.recording.block import decode_ticks, encode_ticks
from cpuwatch.recording.difference import key_record, tick_record
from cpuwatch.recording.records import KeyRecord, TickRecord
from cpuwatch.recording.replay import Replay
from cpuwatch.sampled_tick import SampledTick

__all__ = ["MAX_TICKS", "HistoryPacker", "PackedTicks"]

MAX_TICKS = 60
_MAX_BYTES = 2**20
"""Of records that wait for their block: where thousands of processes run, blocks are shorter."""
_MAX_CURSORS = 2
_BLOCK_BYTES = 512

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TickRecord).decode


class HistoryPacker:
    """Takes every tick of a monitor, and packs the snapshots of the history a block at a time.

    Snapshots that cannot be packed, because a sampler returned what has no encoding, stay as they are.
    """

    def __init__(self, history: SnapshotHistory) -> None:
        self._history = history
        self._cursors = _Cursors()
        self._last: SampledTick | None = None
        self._key = b""
        self._records: list[bytes] = []
        self._sequences: list[int] = []
        self._size_bytes = 0

    def add(self, tick: SampledTick) -> None:
        """Add a tick whose snapshot, if it has one, is in the history."""
        try:
            self._add(tick)
        except (UnicodeEncodeError, OverflowError):
            self._last = None

    def _add(self, tick: SampledTick) -> None:
        last, self._last = self._last, None
        if last is None or last.number + 1 != tick.number:
            self._begin(tick)
        else:
            record = _encode(tick_record(last, tick))
            self._records.append(record)
            self._size_bytes += len(record)
            if tick.snapshot is not None:
                self._sequences.append(tick.snapshot.sequence)
            if len(self._records) >= MAX_TICKS or self._size_bytes >= _MAX_BYTES:
                self._pack(tick.run)
                self._begin(tick)
        self._last = tick

    def _begin(self, tick: SampledTick) -> None:
        self._key = encode_ticks([key_record(tick).tick])
        self._records, self._sequences, self._size_bytes = [], [], 0

    def _pack(self, run: str) -> None:
        if self._sequences:
            ticks = encode_ticks(list(map(_decode, self._records)))
            self._history.pack(self._sequences, PackedTicks(run, self._key, ticks, self._cursors))


class PackedTicks:
    """The ticks of about a minute as compressed bytes (:class:`~cpuwatch.history.SnapshotBlock`)."""

    __slots__ = ("_cursors", "_key", "_run", "_ticks")

    def __init__(self, run: str, key: bytes, ticks: bytes, cursors: _Cursors) -> None:
        self._run = run
        self._key = key
        self._ticks = ticks
        self._cursors = cursors

    @property
    def size_bytes(self) -> int:
        """The memory that it takes."""
        return len(self._key) + len(self._ticks) + _BLOCK_BYTES

    def snapshot(self, sequence: int) -> Snapshot:
        """The snapshot with this sequence, which must be in the block."""
        return self._cursors.snapshot(self, sequence)

    def records(self) -> tuple[KeyRecord, list[TickRecord]]:
        """The key and the ticks."""
        (key,) = decode_ticks(self._key)
        return KeyRecord(self._run, key), decode_ticks(self._ticks)


class _Cursors:
    """Replays of the blocks that were read last, so that reading one snapshot after the other is fast."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cursors: OrderedDict[int, _Cursor] = OrderedDict()

    def snapshot(self, block: PackedTicks, sequence: int) -> Snapshot:
        with self._lock:
            cursor = self._cursors.get(id(block))
            if cursor is None or cursor.block is not block or cursor.is_behind(sequence):
                cursor = self._cursors[id(block)] = _Cursor(block)
            self._cursors.move_to_end(id(block))
            while len(self._cursors) > _MAX_CURSORS:
                self._cursors.popitem(last=False)
            return cursor.snapshot(sequence)


class _Cursor:
    """A replay of one block, which only goes forward."""

    def __init__(self, block: PackedTicks) -> None:
        key, self._records = block.records()
        self._replay = Replay(key)
        self._next = 0
        self._newest: Snapshot | None = None
        self.block = block

    def is_behind(self, sequence: int) -> bool:
        """Whether this snapshot was passed already."""
        return self._newest is not None and sequence < self._newest.sequence

    def snapshot(self, sequence: int) -> Snapshot:
        if self._newest is not None and self._newest.sequence == sequence:
            return self._newest
        rest = self._records[self._next :]
        wanted = [index for index, record in enumerate(rest) if record.sequence == sequence]
        for index, snapshot in self._replay.chosen(rest, wanted):
            self._next += index + 1
            self._newest = snapshot
            return snapshot
        raise RecordingDamagedError(f"the block does not have the snapshot {sequence}")
