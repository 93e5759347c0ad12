"""Keeps a recording within its limits: the ticks of the oldest segments go first, their sums stay longer."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from cpuwatch.errors import RecordingDamagedError, RecordingError
from cpuwatch.recording.directory import list_segments, own_files
from cpuwatch.recording.segment import HEADER_BYTES, header_of

__all__ = ["RecordingLimits", "Retention"]

_SUMS_SHARE = 8
"""Sums without their ticks may take this part of the limit; a minute of sums is about a fifth of a minute of ticks."""


class RecordingLimits(Struct, frozen=True, gc=False):
    """``max_bytes`` of all files together, and how old the oldest tick may be in seconds; None is no limit."""

    max_bytes: int = 2**30
    max_age_seconds: float | None = None


class Retention:
    """Knows the size of each file of a recording, and deletes the oldest ones. Only its writer may use it."""

    def __init__(self, directory: Path, limits: RecordingLimits) -> None:
        self._limits = limits
        self._directory = directory
        self._sizes = {path: path.stat().st_size for path in own_files(directory)}
        self._times_us: dict[Path, int] = {}
        self.used_bytes: int = sum(self._sizes.values())
        """The size of all files."""

    def note(self, path: Path, size_bytes: int) -> None:
        """A file has this size now."""
        self.used_bytes += size_bytes - self._sizes.get(path, 0)
        self._sizes[path] = size_bytes

    def remove(self, path: Path) -> None:
        """Delete a file. Raises ``OSError``."""
        path.unlink(missing_ok=True)
        self.used_bytes -= self._sizes.pop(path, 0)
        self._times_us.pop(path, None)

    def make_room(self, needed_bytes: int) -> None:
        """Delete what is oldest until there is room for this many more bytes.

        Raises :class:`~cpuwatch.errors.RecordingError` if there can be none, and ``OSError``.
        """
        excess_bytes = self.used_bytes + needed_bytes - self._limits.max_bytes
        if excess_bytes <= 0:
            return
        expendable = self._expendable()
        if sum(self._sizes.get(path, 0) for path in expendable) < excess_bytes:
            raise RecordingError(
                f"a limit of {self._limits.max_bytes} bytes is too small for this machine: "
                f"recording needs {excess_bytes} bytes more now, and more than that to keep anything; raise it"
            )
        for path in expendable:
            self.remove(path)
            if self.used_bytes + needed_bytes <= self._limits.max_bytes:
                return

    def remove_old(self, now_us: int) -> None:
        """Delete the segments that are older than the limit at this time. Raises ``OSError``."""
        if self._limits.max_age_seconds is None:
            return
        oldest_us = now_us - round(self._limits.max_age_seconds * 1e6)
        for file in list_segments(self._directory):
            # No early end: after the wall clock was set back, older segments have later times.
            path = self._directory / file.name
            if file.kind != "log" and self._time_us(path, is_wide=file.width > 1) < oldest_us:
                self.remove(path)

    def _time_us(self, path: Path, *, is_wide: bool) -> int:
        """The latest time in a segment, but the first one in totals: they may not outlive any of their segments."""
        if path not in self._times_us:
            with path.open("rb") as content:
                try:
                    header = header_of(content.read(HEADER_BYTES))
                    self._times_us[path] = header.min_time_us if is_wide else header.max_time_us
                except RecordingDamagedError:
                    self._times_us[path] = round(path.stat().st_mtime * 1e6)
        return self._times_us[path]

    def _expendable(self) -> list[Path]:
        """The files to delete, in this order: blocks, unless sums take more than their share."""
        files = list_segments(self._directory)
        blocks = [self._directory / file.name for file in files if file.kind == "block"]
        # Totals go with the first of their segments.
        by_begin = sorted((file.number - file.width, -file.width, file.name) for file in files if "sums" in file.kind)
        sums = [self._directory / name for _, _, name in by_begin]
        sums_bytes = sum(self._sizes.get(path, 0) for path in sums)
        order: list[Path] = []
        while sums and sums_bytes > self._limits.max_bytes // _SUMS_SHARE:
            sums_bytes -= self._sizes.get(sums[0], 0)
            order.append(sums.pop(0))
        return order + blocks + sums
