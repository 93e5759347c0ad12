"""The segments of a recording as they are now: they grow, become blocks, and are deleted while they are read."""

from __future__ import annotations

import errno
import threading
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from cpuwatch.errors import NotARecordingError, RecordingDamagedError, RecordingError
from cpuwatch.recording.directory import SegmentFile, damaged_marker, list_segments
from cpuwatch.recording.frames import is_unfinished
from cpuwatch.recording.segment import HEADER_BYTES, Header, Stretch, header_of, header_of_stretches, stretches, sums_in
from cpuwatch.recording.sums import DIMENSIONS, Dimension, Slot

__all__ = ["DamagedPart", "Segment", "SegmentReader"]

_CACHED_SEGMENTS = 3


class DamagedPart(Struct, frozen=True, gc=False):
    """Bytes of a file that cannot be read, ``begin <= offset < end``. No tick outside them is affected."""

    path: Path
    begin: int
    end: int


class Segment(Struct, frozen=True, gc=False):
    """Some minutes of a recording. Either path is None if there is no such file, or not any more.

    While it ``is_growing``, the header describes only its beginning.
    """

    number: int
    header: Header
    ticks_path: Path | None
    sums_path: Path | None
    is_growing: bool


class SegmentReader:
    """Finds and reads the segments of a recording. It may be used from several threads.

    Files that are deleted meanwhile are passed over. So are damaged parts; :attr:`damage` has those met so far.
    """

    def __init__(self, directory: Path) -> None:
        marker = damaged_marker(directory)
        self._directory = directory
        self._guard = threading.Lock()
        self._headers: dict[Path, Header] = {}
        self._parts: OrderedDict[tuple[Path, int], list[Stretch]] = OrderedDict()
        self._damage: dict[DamagedPart, None] = {}
        self._replayable: dict[tuple[int, str, int], int] = {}
        if marker is not None:
            self._note_damage(marker)

    @property
    def directory(self) -> Path:
        """Where the recording is."""
        return self._directory

    @property
    def damage(self) -> list[DamagedPart]:
        """The damaged parts that were met so far."""
        return list(self._damage)

    def listed(self) -> list[Segment]:
        """The segments that exist now, in the order in which they were recorded."""
        by_number: dict[int, dict[str, SegmentFile]] = {}
        files_now = self._files()
        if len(self._headers) > len(files_now):
            # Files go, and a directory that was removed may come again with the same names.
            paths = {file.path for file in files_now}
            self._headers = {path: header for path, header in self._headers.items() if path in paths}
        for file in files_now:
            by_number.setdefault(file.number, {})[file.kind] = file
        found = []
        for number, files in by_number.items():
            # Where there is both, the log has just become the block.
            ticks = files.get("block") or files.get("log")
            sums = files.get("sums")
            described = ticks or sums
            header = None if described is None else self._header(described.path)
            if header is not None:
                found.append(
                    Segment(
                        number,
                        header,
                        None if ticks is None else ticks.path,
                        None if sums is None else sums.path,
                        is_growing=ticks is not None and ticks.kind == "log",
                    )
                )
        return found

    def sizes(self) -> list[tuple[str, int]]:
        """Names and sizes of the newest files: as long as they are the same, nothing is new."""
        sizes = []
        for file in self._files()[-2:]:
            with suppress(FileNotFoundError):
                sizes.append((file.path.name, file.path.stat().st_size))
        return sizes

    def parts(self, segment: Segment) -> list[Stretch]:
        """The stretches of ticks of a segment; none if its ticks have been deleted."""
        path = segment.ticks_path
        if path is None:
            return []
        # A log may have become a block.
        for existing in (path, path.with_suffix(".block")):
            try:
                parts = self._read_parts(existing)
            except FileNotFoundError:
                continue
            return [self._replayable_part(segment, part) for part in parts] if self._replayable else parts
        return []

    def distrust(self, segment: Segment, part: Stretch, index: int) -> None:
        """Pass over this tick of a stretch, which cannot be replayed, and those behind it.

        Its checksum is right, so no range of bytes is known to be wrong; the whole file counts as damaged.
        """
        self._replayable[segment.number, part.key.run, part.key.tick.number] = index
        if segment.ticks_path is not None:
            self._note_damage(segment.ticks_path)

    def _replayable_part(self, segment: Segment, part: Stretch) -> Stretch:
        index = self._replayable.get((segment.number, part.key.run, part.key.tick.number))
        return part if index is None else Stretch(part.key, part.ticks[:index])

    def _note_damage(self, path: Path) -> None:
        try:
            size_bytes = path.stat().st_size
        except OSError:
            return
        self._damage[DamagedPart(path, 0, size_bytes)] = None

    def _content(self, path: Path, max_bytes: int = -1) -> bytes:
        """The beginning of a file. A bad sector in one file does not make the others unreadable.

        Raises ``FileNotFoundError``, and :class:`~cpuwatch.errors.RecordingError` if reading is not possible here.
        """
        try:
            with path.open("rb") as file:
                return file.read(max_bytes)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno != errno.EIO:
                raise RecordingError(f"cannot read {path}: {error.strerror}") from error
            self._note_damage(path)
            return b""

    def _read_parts(self, path: Path) -> list[Stretch]:
        """Raises ``FileNotFoundError``."""
        data = self._content(path)
        with self._guard:
            cached = self._parts.get((path, len(data)))
            if cached is not None:
                self._parts.move_to_end((path, len(data)))
                return cached
        parts = []
        for part in stretches(data):
            if isinstance(part, Stretch):
                parts.append(part)
            elif not (path.suffix == ".log" and part.end == len(data) and is_unfinished(data, part.begin)):
                # Else it is a frame that is being written.
                self._damage[DamagedPart(path, part.begin, part.end)] = None
        with self._guard:
            self._parts[path, len(data)] = parts
            while len(self._parts) > _CACHED_SEGMENTS:
                self._parts.popitem(last=False)
        return parts

    def sums(self, segment: Segment, level: int, dimensions: Collection[Dimension] = DIMENSIONS) -> list[Slot] | None:
        """The sums of a segment: 0 for one slot over all of it, 1 for slots of a minute. None if there are none.

        Only the amounts of these dimensions are read.
        """
        if segment.sums_path is None:
            return None
        try:
            return sums_in(self._content(segment.sums_path), level, dimensions)
        except FileNotFoundError:
            return None
        except RecordingDamagedError:
            self._note_damage(segment.sums_path)
            return None

    def _files(self) -> list[SegmentFile]:
        try:
            return list_segments(self._directory)
        except OSError as error:
            raise RecordingError(f"cannot read the recording {str(self._directory)!r}: {error.strerror}") from error

    def _header(self, path: Path) -> Header | None:
        known = self._headers.get(path)
        if known is not None:
            return known
        try:
            header = self._read_header(path)
        except FileNotFoundError:
            return None
        except NotARecordingError as error:
            raise NotARecordingError(f"cannot read {path}: {error}") from None
        if header is not None:
            self._headers[path] = header
        return header

    def _read_header(self, path: Path) -> Header | None:
        """A header that is damaged is made again from the ticks. Sums cannot be used without theirs."""
        try:
            return header_of(self._content(path, HEADER_BYTES))
        except RecordingDamagedError:
            pass
        if path.suffix == ".sums":
            self._note_damage(path)
            return None
        parts = self._read_parts(path)
        return header_of_stretches(parts) if parts else None
