"""Writes the ticks of a monitor to a directory: a frame a tick, and now and then a block.

Only one thread may use a writer. :class:`~cpuwatch.recording.recorder.Recorder` gives it a thread of its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from msgspec import Struct

from cpuwatch.errors import RecordingDamagedError
from cpuwatch.recording.clock_time import time_us
from cpuwatch.recording.difference import key_record, tick_record
from cpuwatch.recording.directory import (
    Kind,
    Lock,
    create_directory,
    list_segments,
    segment_path,
    sync_directory,
    write_file,
)
from cpuwatch.recording.frames import Damage
from cpuwatch.recording.replay import Replay
from cpuwatch.recording.retention import Limits, Retention
from cpuwatch.recording.segment import (
    Stretch,
    block_bytes,
    log_header,
    log_key,
    log_tick,
    stretches,
    sums_file_bytes,
)
from cpuwatch.recording.sums import Slot
from cpuwatch.recording.sums_builder import SumsBuilder
from cpuwatch.sampled_tick import SampledTick

__all__ = ["LogSize", "RecordingWriter"]

_log = logging.getLogger("cpuwatch.recording")

_SPARE_BYTES = 65_536
"""A block and its sums are smaller than the log from which they are made, but for this."""


class LogSize(Struct, frozen=True, gc=False):
    """When a log becomes a block: after ``ticks``, or at ``max_bytes``, so that neither needs much memory.

    A log gets a key every ``key_ticks``: behind damage, its ticks are lost up to the next one. It is brought to the
    disk every ``sync_seconds``.
    """

    ticks: int = 600
    max_bytes: int = 2 * 2**20
    key_ticks: int = 60
    sync_seconds: float = 5.0


class RecordingWriter:
    """Appends ticks to the recording in ``directory``, which is created if it does not exist.

    Raises :class:`~cpuwatch.errors.RecordingError` if the directory holds anything else, or if another process writes
    to it. After an ``OSError`` the writer can only be closed; a new one continues the recording.
    """

    def __init__(self, directory: Path, limits: Limits | None = None, log_size: LogSize | None = None) -> None:
        create_directory(directory)
        self._directory = directory
        self._log_size = LogSize() if log_size is None else log_size
        self._lock = Lock(directory)
        self._log: _Log | None = None
        try:
            for unfinished in directory.glob("*.tmp"):
                unfinished.unlink()
            self._retention = Retention(directory, Limits() if limits is None else limits)
            self._next_number = 1 + max((file.number for file in list_segments(directory)), default=0)
            for file in list_segments(directory):
                if file.kind == "log":
                    self._finish(file.number, None)
        except BaseException:
            self._lock.close()
            raise

    @property
    def used_bytes(self) -> int:
        """The size of the recording."""
        return self._retention.used_bytes

    def write(self, tick: SampledTick) -> None:
        """Append a tick. Raises ``OSError``, and ``RecordingError`` if the limits leave no room for it."""
        log = self._log
        if log is not None and log.last.run != tick.run:
            self._end_log()
            log = None
        if log is None:
            self._begin_log(tick)
            return
        if tick.number == log.last.number + 1:
            self._append(log, log_tick(tick_record(log.last, tick)))
            log.add(tick)
            if log.ticks_since_key >= self._log_size.key_ticks:
                self._append(log, log_key(key_record(tick)))
                log.ticks_since_key = 0
        else:
            # Ticks are missing, so there is nothing to which this one is a difference.
            self._append(log, log_key(key_record(tick)))
            log.add_key(tick)
        if tick.reading.monotonic_ns - log.synced_ns >= self._log_size.sync_seconds * 1e9:
            log.sync(tick.reading.monotonic_ns)
        if log.ticks >= self._log_size.ticks or log.size_bytes >= self._log_size.max_bytes:
            self._end_log()
            self._begin_log(tick)

    def close(self) -> None:
        """End the log, and let others write."""
        try:
            self._end_log()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close all files as they are. The next writer finishes the log."""
        if self._log is not None:
            self._log.close()
            self._log = None
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin_log(self, tick: SampledTick) -> None:
        content = log_header(key_record(tick))
        self._retention.make_room(2 * len(content) + _SPARE_BYTES)
        number, self._next_number = self._next_number, self._next_number + 1
        self._log = _Log(number, segment_path(self._directory, number, "log"), tick)
        self._append(self._log, content)
        self._log.sync(tick.reading.monotonic_ns)
        sync_directory(self._directory)

    def _append(self, log: _Log, content: bytes) -> None:
        # The block will be written before the log is deleted.
        self._retention.make_room(len(content) + log.size_bytes + len(content) + _SPARE_BYTES)
        log.write(content)
        self._retention.note(log.path, log.size_bytes)

    def _end_log(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            log.close()
            self._finish(log.number, log.sums.levels())
            self._retention.remove_old(log.last_time_us)

    def _finish(self, number: int, levels: tuple[list[Slot], list[Slot]] | None) -> None:
        """Make a log a block with its sums, which are computed again if they are not known."""
        path = segment_path(self._directory, number, "log")
        found = list(stretches(path.read_bytes()))
        parts = [part for part in found if isinstance(part, Stretch)]
        for part in found:
            if isinstance(part, Damage):
                _log.warning("%s is damaged from byte %d to %d; the rest is kept", path, part.begin, part.end)
        if any(part.ticks for part in parts):
            levels = sums_of_stretches(parts) if levels is None else levels
            self._write("sums", number, sums_file_bytes(parts, levels))
            self._write("block", number, block_bytes(parts))
        self._retention.remove(path)

    def _write(self, kind: Kind, number: int, content: bytes) -> None:
        path = segment_path(self._directory, number, kind)
        self._retention.make_room(len(content))
        write_file(path, content)
        self._retention.note(path, len(content))


def sums_of_stretches(parts: Sequence[Stretch]) -> tuple[list[Slot], list[Slot]]:
    """The sums of the snapshots in these stretches, which are computed for it."""
    builder = SumsBuilder(parts[0].key.tick.time_us)
    for part in parts:
        replay = Replay(part.key)
        builder.add(part.key.tick.time_us, {}, None)
        for record in part.ticks:
            try:
                snapshot = replay.next(record)
            except RecordingDamagedError as error:
                _log.warning("a part of the recording cannot be replayed: %s", error)
                break
            builder.add(record.time_us, replay.reading().processes, snapshot)
    return builder.levels()


class _Log:
    """The log that grows."""

    def __init__(self, number: int, path: Path, tick: SampledTick) -> None:
        self.number = number
        self.path = path
        self.last = tick
        self.ticks = 0
        self.ticks_since_key = 0
        self.size_bytes = 0
        self.synced_ns = tick.reading.monotonic_ns
        self.sums = SumsBuilder(time_us(tick.reading.time))
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    @property
    def last_time_us(self) -> int:
        return time_us(self.last.reading.time)

    def write(self, content: bytes) -> None:
        """Append, in one call if the system takes all of it. Raises ``OSError``."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self.size_bytes += len(content)

    def add(self, tick: SampledTick) -> None:
        """Note a tick that was written."""
        self.sums.add(time_us(tick.reading.time), tick.reading.processes, tick.snapshot)
        self.last = tick
        self.ticks += 1
        self.ticks_since_key += 1

    def add_key(self, tick: SampledTick) -> None:
        """Note a key that was written after a gap. Its snapshot is not in the recording, and so not in the sums."""
        self.sums.add(time_us(tick.reading.time), tick.reading.processes, None)
        self.last = tick
        self.ticks_since_key = 0

    def sync(self, now_ns: int) -> None:
        """Bring the log to the disk. Raises ``OSError``, also if the file was deleted."""
        os.fdatasync(self._descriptor)
        if not os.fstat(self._descriptor).st_nlink:
            raise FileNotFoundError(2, "the log was deleted", str(self.path))
        self.synced_ns = now_ns

    def close(self) -> None:
        os.close(self._descriptor)
