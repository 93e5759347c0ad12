"""Records the ticks of a monitor in a thread, so that no disk ever holds up sampling."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

from msgspec import Struct

from cpuwatch.attempts import Attempts
from cpuwatch.recording.retention import RecordingLimits
from cpuwatch.recording.writer import LogSize, RecordingWriter
from cpuwatch.sampled_tick import SampledTick
from cpuwatch.tick_thread import TickThread

__all__ = ["Recorder", "RecorderHealth"]

_log = logging.getLogger("cpuwatch.recording")

_TOO_SLOW = "the disk of the recording is too slow"
_RETRY_SECONDS = 5.0
_CLOSING_SECONDS = 1.5


class RecorderHealth(Struct, frozen=True, gc=False):
    """How recording is going: counts since the start, the size of the recording, and the cause if it fails now."""

    recorded_ticks: int = 0
    lost_ticks: int = 0
    used_bytes: int = 0
    failure: str | None = None


class Recorder:
    """Appends ticks to a recording. Pass :meth:`record` to :meth:`~cpuwatch.Monitor.follow_ticks`.

    ``limits`` are 1 GiB by default. ``log_size`` says when a log becomes a compressed block.

    Raises :class:`~cpuwatch.errors.RecordingError` if the directory cannot be recorded to. Later failures are logged
    once and counted in :attr:`health`; recording goes on, with a gap, as soon as the disk works again.
    """

    def __init__(
        self, directory: str | Path, limits: RecordingLimits | None = None, log_size: LogSize | None = None
    ) -> None:
        self._open_writer = partial(RecordingWriter, Path(directory), limits, log_size)
        self._writer: RecordingWriter | None = self._open_writer()
        self._attempts = Attempts("write to the recording", "recording")
        self._retry_at = 0.0
        self._recorded = 0
        self._dropped = 0
        self._failed = 0
        self._is_behind = False
        self._used_bytes = self._writer.used_bytes
        self._ticks = TickThread("cpuwatch-recorder", self._record, self._finish)

    @property
    def health(self) -> RecorderHealth:
        """How recording is going."""
        failure = self._attempts.failure or (_TOO_SLOW if self._is_behind else None)
        return RecorderHealth(self._recorded, self._dropped + self._failed, self._used_bytes, failure)

    def record(self, tick: SampledTick) -> None:
        """Record a tick. Never waits: if the disk is too slow, the tick is lost and counted."""
        if self._ticks.put(tick):
            self._is_behind = self._is_behind and self._ticks.waiting > 1
            return
        self._dropped += 1
        if not self._is_behind:
            _log.warning("%s; ticks are lost", _TOO_SLOW)
        self._is_behind = True

    def close(self) -> None:
        """Write what is queued and end the thread. A disk that hangs is given up after 1.5 seconds."""
        if not self._ticks.close(_CLOSING_SECONDS):
            _log.warning("the disk of the recording did not respond within %g s", _CLOSING_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _record(self, tick: SampledTick) -> None:
        if time.monotonic() < self._retry_at:
            self._failed += 1
            return
        self._attempts.make(partial(self._write, tick))
        if self._attempts.failure is None:
            self._recorded += 1
        else:
            self._failed += 1
            self._retry_at = time.monotonic() + _RETRY_SECONDS

    def _finish(self) -> None:
        if self._writer is not None:
            self._attempts.make(self._writer.close)

    def _write(self, tick: SampledTick) -> None:
        writer, self._writer = self._writer or self._open_writer(), None
        with ExitStack() as failed:
            # A file may end anywhere then. A new writer finds out what is intact.
            failed.callback(writer.abandon)
            writer.write(tick)
            failed.pop_all()
        self._used_bytes = writer.used_bytes
        self._writer = writer
