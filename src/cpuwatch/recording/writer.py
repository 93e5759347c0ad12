"""Writes the ticks of a monitor to a directory: a frame a tick, and now and then a block.

Only one thread may use a writer. :class:`~cpuwatch.recording.recorder.Recorder` gives it a thread of its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from msgspec import Struct

from cpuwatch.errors import RecordingError
from cpuwatch.recording.clock_time import time_us
from cpuwatch.recording.difference import key_record, tick_record
from cpuwatch.recording.directory import (
    Kind,
    Lock,
    create_directory,
    list_segments,
    segment_path,
    sync_directory,
    unfinished_files,
    write_file,
)
from cpuwatch.recording.frames import Damage
from cpuwatch.recording.retention import RecordingLimits, Retention
from cpuwatch.recording.segment import (
    Stretch,
    block_bytes,
    log_header,
    log_key,
    log_tick,
    stretches,
)
from cpuwatch.recording.sums import SegmentSums
from cpuwatch.recording.sums_builder import SumsBuilder
from cpuwatch.recording.sums_files import segment_sums, sums_of_stretches, wider_sums
from cpuwatch.sampled_tick import SampledTick

__all__ = ["LogSize", "RecordingWriter"]

_log = logging.getLogger("cpuwatch.recording")

_LIMIT_PARTS = 16
"""A log ends at this part of the limit at the latest: it and its block are there at the same time, beside the rest."""

_SPARE_BYTES = 65_536
"""A block and its sums are smaller than the log from which they are made, but for this."""


class LogSize(Struct, frozen=True, gc=False):
    """When a log becomes a block: after ``ticks``, or at ``max_bytes``, so that neither needs much memory.

    The first key does not count for ``max_bytes``. A log gets another key every ``key_ticks``: behind damage, its ticks
    are lost up to the next one. Large keys come less often, so that they take at most four fifths of the log. A log is
    brought to the disk every ``sync_seconds``.
    """

    ticks: int = 600
    max_bytes: int = 2 * 2**20
    key_ticks: int = 60
    sync_seconds: float = 5.0


class RecordingWriter:
    """Appends ticks to the recording in ``directory``, which is created if it does not exist.

    Raises :class:`~cpuwatch.errors.RecordingError` if the directory holds anything else, or if another process writes
    to it. After an error the writer can only be abandoned; a new one continues the recording.
    """

    def __init__(self, directory: Path, limits: RecordingLimits | None = None, log_size: LogSize | None = None) -> None:
        limits = RecordingLimits() if limits is None else limits
        create_directory(directory)
        self._directory = directory
        self._log_size = LogSize() if log_size is None else log_size
        self._max_log_bytes = min(self._log_size.max_bytes, limits.max_bytes // _LIMIT_PARTS)
        self._log: _Log | None = None
        with self._errors(), ExitStack() as failed:
            self._lock = Lock(directory)
            failed.callback(self._lock.close)
            for unfinished in unfinished_files(directory):
                unfinished.unlink()
            self._retention = Retention(directory, limits)
            self._retention.make_room(0)
            files = list_segments(directory)
            self._next_number = 1 + max((file.number for file in files), default=0)
            for file in files:
                if file.kind == "log":
                    self._finish(file.number, None)
            failed.pop_all()

    @property
    def used_bytes(self) -> int:
        """The size of the recording."""
        return self._retention.used_bytes

    def write(self, tick: SampledTick) -> None:
        """Append a tick. Raises ``RecordingError`` if the disk does not take it, or the limits leave no room for it."""
        with self._errors():
            self._add(tick)

    def _add(self, tick: SampledTick) -> None:
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
            if log.ticks_since_key >= self._log_size.key_ticks and 4 * log.bytes_since_key >= log.key_bytes:
                self._append_key(log, tick)
        else:
            # Ticks are missing, so there is nothing to which this one is a difference.
            self._append_key(log, tick)
            log.add_key(tick)
        if tick.reading.monotonic_ns - log.synced_ns >= self._log_size.sync_seconds * 1e9:
            log.sync(tick.reading.monotonic_ns)
        if log.ticks >= self._log_size.ticks or log.grown_bytes >= self._max_log_bytes:
            self._end_log()
            self._begin_log(tick)

    def close(self) -> None:
        """End the log, and let others write. Raises ``RecordingError``."""
        try:
            with self._errors():
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

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RecordingError(f"cannot record to {str(self._directory)!r}: {error.strerror or error}") from error

    def _begin_log(self, tick: SampledTick) -> None:
        content = log_header(key_record(tick))
        self._retention.make_room(2 * len(content) + _SPARE_BYTES)
        number, self._next_number = self._next_number, self._next_number + 1
        self._log = _Log(number, segment_path(self._directory, number, "log"), tick)
        self._append(self._log, content)
        self._log.note_key(len(content))
        self._log.first_bytes = len(content)
        self._log.sync(tick.reading.monotonic_ns)
        sync_directory(self._directory)

    def _append_key(self, log: _Log, tick: SampledTick) -> None:
        content = log_key(key_record(tick))
        self._append(log, content)
        log.note_key(len(content))

    def _append(self, log: _Log, content: bytes) -> None:
        # The block will be written before the log is deleted.
        self._retention.make_room(len(content) + log.size_bytes + len(content) + _SPARE_BYTES)
        log.write(content)
        self._retention.note(log.path, log.size_bytes)

    def _end_log(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            log.close()
            self._finish(log.number, log.sums.sums())
            self._retention.remove_old(log.last_time_us)

    def _finish(self, number: int, sums: SegmentSums | None) -> None:
        """Make a log a block with its sums, which are computed again if they are not known."""
        path = segment_path(self._directory, number, "log")
        if segment_path(self._directory, number, "block").exists():
            # Only its deletion was missing.
            self._retention.remove(path)
            return
        found = list(stretches(path.read_bytes()))
        parts = [part for part in found if isinstance(part, Stretch)]
        for part in found:
            if isinstance(part, Damage):
                _log.warning("%s is damaged from byte %d to %d; the rest is kept", path, part.begin, part.end)
        if any(part.ticks for part in parts):
            content = segment_sums(parts, sums_of_stretches(parts) if sums is None else sums)
            if content is not None:
                self._write("sums", number, content)
            self._write("block", number, block_bytes(parts))
        self._retention.remove(path)
        for kind, content in wider_sums(self._directory, number):
            self._write(kind, number, content)

    def _write(self, kind: Kind, number: int, content: bytes) -> None:
        path = segment_path(self._directory, number, kind)
        self._retention.make_room(len(content))
        write_file(path, content)
        self._retention.note(path, len(content))


class _Log:
    """The log that grows."""

    def __init__(self, number: int, path: Path, tick: SampledTick) -> None:
        self.number = number
        self.path = path
        self.last = tick
        self.ticks = 0
        self.ticks_since_key = 0
        self.bytes_since_key = 0
        self.key_bytes = 0
        self.first_bytes = 0
        self.size_bytes = 0
        self.synced_ns = tick.reading.monotonic_ns
        self.sums = SumsBuilder(tick.reading)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)

    @property
    def grown_bytes(self) -> int:
        """What came after the first key."""
        return self.size_bytes - self.first_bytes

    @property
    def last_time_us(self) -> int:
        return time_us(self.last.reading.time)

    def write(self, content: bytes) -> None:
        """Append, in one call if the system takes all of it. Raises ``OSError``."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self.size_bytes += len(content)
        self.bytes_since_key += len(content)

    def note_key(self, size_bytes: int) -> None:
        """Note a key that was written."""
        self.ticks_since_key = self.bytes_since_key = 0
        self.key_bytes = size_bytes

    def add(self, tick: SampledTick) -> None:
        """Note a tick that was written."""
        self.sums.add(tick.reading, tick.snapshot)
        self.last = tick
        self.ticks += 1
        self.ticks_since_key += 1

    def add_key(self, tick: SampledTick) -> None:
        """Note a key that was written after a gap. Its snapshot is not in the recording, and so not in the sums."""
        self.sums.add(tick.reading, None)
        self.last = tick

    def sync(self, now_ns: int) -> None:
        """Bring the log to the disk. Raises ``OSError``, also if the file was deleted."""
        os.fdatasync(self._descriptor)
        if not os.fstat(self._descriptor).st_nlink:
            raise FileNotFoundError(2, "the log was deleted", str(self.path))
        self.synced_ns = now_ns

    def close(self) -> None:
        os.close(self._descriptor)
