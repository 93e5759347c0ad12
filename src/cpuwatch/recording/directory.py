"""The files of a recording: their names, their order, and who may write.

A recording is a directory with a file ``recording.json``, which says what it is, and numbered segments. Each segment is
a log (``00000042.log``) while it grows, and then a block (``00000042.block``) with its sums (``00000042.sums``). The
sums outlive the block. Totals of 8, 64 and 512 segments are in files named after the last of them
(``00000064.sums8``). Files ``*.tmp`` are not finished, and mean nothing.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal, Self, cast, get_args

import msgspec
from msgspec import Struct

from cpuwatch.errors import NotARecordingError, RecordingError, RecordingLockedError
from cpuwatch.recording.segment import HEADER_BYTES, VERSION, header_of
from cpuwatch.text import shortened

__all__ = [
    "WIDTHS",
    "Kind",
    "Lock",
    "SegmentFile",
    "create_directory",
    "damaged_marker",
    "list_segments",
    "own_files",
    "segment_path",
    "unfinished_files",
    "write_file",
]

Kind = Literal["log", "block", "sums", "sums8", "sums64", "sums512"]

WIDTHS: dict[Kind, int] = {"sums8": 8, "sums64": 64, "sums512": 512}
"""The number of segments in a file of totals, each made of eight others: a range of any length needs few files."""

_MARKER = "recording.json"
_LOCK = "writer.lock"
_UNFINISHED = ".tmp"
_NUMBER_DIGITS = 8
_KINDS = frozenset(get_args(Kind))


class _Marker(Struct, frozen=True):
    format: str
    version: int


_FORMAT = "cpuwatch recording"


class SegmentFile(Struct, frozen=True, gc=False, order=True):
    """A file of a segment. Ordered by number, in which order they were recorded."""

    number: int
    kind: Kind
    name: str

    @property
    def width(self) -> int:
        """The number of segments that it describes: those up to ``number``."""
        return WIDTHS.get(self.kind, 1)


def segment_path(directory: Path, number: int, kind: Kind) -> Path:
    """The path of this file of a segment."""
    return directory / f"{number:0{_NUMBER_DIGITS}}.{kind}"


def list_segments(directory: Path) -> list[SegmentFile]:
    """The files of all segments, in order. Raises ``OSError``."""
    # Without a regular expression and without paths: there are thousands of names.
    return sorted(file for file in map(_segment_file, os.listdir(directory)) if file is not None)


def _segment_file(name: str) -> SegmentFile | None:
    digits, _, kind = name.partition(".")
    if kind in _KINDS and len(digits) == _NUMBER_DIGITS and digits.isascii() and digits.isdigit():
        return SegmentFile(int(digits), cast("Kind", kind), name)
    return None


def own_files(directory: Path) -> list[Path]:
    """All files that the writer has made, in no order. Foreign files are left alone. Raises ``OSError``."""
    return [directory / name for name in os.listdir(directory) if _is_own(name)]


def unfinished_files(directory: Path) -> list[Path]:
    """What a writer left that ended while it wrote a file. Raises ``OSError``."""
    return [path for path in own_files(directory) if path.suffix == _UNFINISHED]


def _is_own(name: str) -> bool:
    final = name.removesuffix(_UNFINISHED)
    return final in {_MARKER, _LOCK} or _segment_file(final) is not None


def damaged_marker(directory: Path) -> Path | None:
    """The file that says what the directory is, if it is damaged although there are segments.

    Raises :class:`~cpuwatch.errors.NotARecordingError` unless the directory holds a recording that can be read.
    """
    try:
        content = (directory / _MARKER).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        what = "there is no such directory" if not directory.exists() else "it holds no recording"
        if directory.exists() and not directory.is_dir():
            what = "it is not a directory"
        raise NotARecordingError(f"cannot read the recording {str(directory)!r}: {what}") from None
    except OSError as error:
        raise RecordingError(f"cannot read the recording {str(directory)!r}: {error.strerror}") from error
    try:
        marker = msgspec.json.decode(content, type=_Marker)
        if marker.format != _FORMAT:
            raise ValueError(f"its format is {shortened(marker.format)!r}")  # noqa: TRY301
    except ValueError as error:
        if _has_segments(directory):
            return directory / _MARKER
        raise NotARecordingError(
            f"cannot read the recording {str(directory)!r}: {_MARKER} is not that of a recording ({error})"
        ) from None
    if marker.version > VERSION:
        raise NotARecordingError(
            f"cannot read the recording {str(directory)!r}: its format has version {marker.version}, "
            f"and this cpuwatch reads up to {VERSION}; install a newer cpuwatch"
        )
    return None


def _has_segments(directory: Path) -> bool:
    """Whether there is a file with an intact header. Other programs use names like those of logs."""
    for file in list_segments(directory):
        with suppress(OSError, RecordingError), (directory / file.name).open("rb") as content:
            header_of(content.read(HEADER_BYTES))
            return True
    return False


def create_directory(directory: Path) -> None:
    """Make the directory a recording, unless it is one.

    Raises :class:`~cpuwatch.errors.NotARecordingError` for a directory that holds anything else.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not (directory / _MARKER).exists():
            foreign = sorted(name for name in os.listdir(directory) if not _is_own(name))
            if foreign:
                raise NotARecordingError(
                    f"cannot record to {str(directory)!r}: it holds {foreign[0]!r}, which is not part of a recording; "
                    "name a new or empty directory"
                )
            _write_marker(directory)
        elif damaged_marker(directory) is not None:
            _write_marker(directory)
    except FileExistsError as error:
        raise RecordingError(f"cannot record to {str(directory)!r}: it is not a directory") from error
    except OSError as error:
        raise RecordingError(f"cannot record to {str(directory)!r}: {error.strerror}") from error


def _write_marker(directory: Path) -> None:
    write_file(directory / _MARKER, msgspec.json.encode(_Marker(_FORMAT, VERSION)) + b"\n")


def write_file(path: Path, content: bytes) -> None:
    """Write a file as a whole: under another name first, and on the disk before it gets its own.

    So a crash leaves the old file or the new one (rename(2), fsync(2)). Raises ``OSError``.
    """
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Bring the names in a directory to the disk. Raises ``OSError``."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Lock:
    """The right to write to a recording. One process has it, until it closes it or ends (flock(2)).

    Raises :class:`~cpuwatch.errors.RecordingLockedError`, which names the holder.
    """

    def __init__(self, directory: Path) -> None:
        with ExitStack() as failed:
            self._file = failed.enter_context((directory / _LOCK).open("a+", encoding="utf-8", errors="replace"))
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.seek(0)
                holder = self._file.read(200).strip() or "another process"
                raise RecordingLockedError(
                    f"cannot record to {str(directory)!r}: {holder} is recording to it; "
                    "name another directory, or stop it"
                ) from None
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            self._file.flush()
            failed.pop_all()

    def close(self) -> None:
        """Let others write."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
