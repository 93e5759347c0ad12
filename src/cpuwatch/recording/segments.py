"""The segments of a recording as they are now: they grow, become blocks, and are deleted while they are read."""

from __future__ import annotations

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress
from operator import attrgetter
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
    """Some minutes of a recording. Either name is None if there is no such file, or not any more.

    While it ``is_growing``, the header describes only its beginning. ``wider_sums`` are the files with the sums of this
    and later segments, the widest first.
    """

    number: int
    header: Header
    directory: Path
    ticks_name: str | None
    sums_name: str | None
    is_growing: bool
    wider_sums: list[SegmentFile]

    @property
    def ticks_path(self) -> Path | None:
        """The log or the block."""
        return None if self.ticks_name is None else self.directory / self.ticks_name

    @property
    def sums_path(self) -> Path | None:
        """The file with the sums."""
        return None if self.sums_name is None else self.directory / self.sums_name


class SegmentReader:
    """Finds and reads the segments of a recording. It may be used from several threads.

    Files that are deleted meanwhile are passed over. So are damaged parts; :attr:`damage` has those met so far.
    """

    def __init__(self, directory: Path) -> None:
        marker = damaged_marker(directory)
        self._directory = directory
        self._guard = threading.Lock()
        self._headers: dict[str, Header] = {}
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
        wider: dict[int, list[SegmentFile]] = {}
        files_now = self._files()
        if len(self._headers) > len(files_now):
            # Files go, and a directory that was removed may come again with the same names.
            names = {file.name for file in files_now}
            self._headers = {name: header for name, header in self._headers.items() if name in names}
        for file in files_now:
            if file.width == 1:
                by_number.setdefault(file.number, {})[file.kind] = file
            else:
                wider.setdefault(file.number - file.width + 1, []).append(file)
        found = []
        for number, files in by_number.items():
            # Where there is both, the log has just become the block.
            ticks = files.get("block") or files.get("log")
            sums = files.get("sums")
            described = ticks or sums
            header = None if described is None else self._header(described.name)
            if header is not None:
                found.append(
                    Segment(
                        number,
                        header,
                        self._directory,
                        None if ticks is None else ticks.name,
                        None if sums is None else sums.name,
                        is_growing=ticks is not None and ticks.kind == "log",
                        wider_sums=sorted(wider.get(number, ()), key=attrgetter("width"), reverse=True),
                    )
                )
        return found

    def sizes(self) -> list[tuple[str, int]]:
        """Names and sizes of the newest files: as long as they are the same, nothing is new."""
        sizes = []
        for file in self._files()[-2:]:
            with suppress(FileNotFoundError):
                sizes.append((file.name, (self._directory / file.name).stat().st_size))
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

    def _content(self, path: Path | str, max_bytes: int | None = None) -> bytes:
        """The content of a file, or its beginning. A bad sector in one file does not make the others unreadable.

        Raises ``FileNotFoundError``, and :class:`~cpuwatch.errors.RecordingError` if reading is not possible here.
        """
        try:
            # Without a file object, which takes longer than the calls: there are thousands of headers.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if max_bytes is not None:
                    return os.read(descriptor, max_bytes)
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    return file.read()
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno != errno.EIO:
                raise RecordingError(f"cannot read {path}: {error.strerror}") from error
            self._note_damage(Path(path))
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
        return None if segment.sums_path is None else self._sums(segment.sums_path, level, dimensions)

    def wider_sums(self, file: SegmentFile, dimensions: Collection[Dimension]) -> list[Slot] | None:
        """One slot over all segments of this file; None if it is not there any more."""
        return self._sums(self._directory / file.name, 0, dimensions)

    def _sums(self, path: Path, level: int, dimensions: Collection[Dimension]) -> list[Slot] | None:
        try:
            return sums_in(self._content(path), level, dimensions)
        except FileNotFoundError:
            return None
        except RecordingDamagedError:
            self._note_damage(path)
            return None

    def _files(self) -> list[SegmentFile]:
        try:
            return list_segments(self._directory)
        except OSError as error:
            raise RecordingError(f"cannot read the recording {str(self._directory)!r}: {error.strerror}") from error

    def _header(self, name: str) -> Header | None:
        known = self._headers.get(name)
        if known is not None:
            return known
        path = f"{self._directory}/{name}"
        try:
            header = self._read_header(path)
        except FileNotFoundError:
            return None
        except NotARecordingError as error:
            raise NotARecordingError(f"cannot read {path}: {error}") from None
        if header is not None:
            self._headers[name] = header
        return header

    def _read_header(self, path: str) -> Header | None:
        """A header that is damaged is made again from the ticks. Sums cannot be used without theirs."""
        try:
            return header_of(self._content(path, HEADER_BYTES))
        except RecordingDamagedError:
            pass
        if path.endswith(".sums"):
            self._note_damage(Path(path))
            return None
        parts = self._read_parts(Path(path))
        return header_of_stretches(parts) if parts else None
