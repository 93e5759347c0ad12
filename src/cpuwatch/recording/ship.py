"""Ships the closed blocks of a recording as Parquet files, each at least once, under names that depend on its content.

``TABLE/host=NAME/day=YYYY-MM-DD/block-BOOT-RUN-SEQUENCE.parquet``: boot, run and sequence are those of the first tick
in the file, and stand for no other tick. A block that is shipped again after a crash replaces its own files, so no row
appears twice. How far shipping got is in a file beside the recording. A listing of the target would need no file, but
costs a request for each host and day, and rights to list.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain, groupby
from pathlib import Path

import msgspec
from msgspec import Struct

from cpuwatch.encoding.flat_tables import FLAT_TABLES, FlatTable
from cpuwatch.errors import ShipError
from cpuwatch.model import Snapshot
from cpuwatch.recording.directory import write_file
from cpuwatch.recording.partitions import Part, escaped, partition_of
from cpuwatch.recording.reader import Recording
from cpuwatch.recording.segments import Segment
from cpuwatch.recording.ship_targets import Target

__all__ = ["Progress", "Shipment", "progress_path", "read_progress", "ship_blocks"]

_log = logging.getLogger("cpuwatch.ship")


class Progress(Struct, frozen=True):
    """How far a recording was shipped to a target: up to the block ``number``, which began with this tick.

    ``lost_blocks`` were deleted by the limits of the recording before they were shipped.
    """

    target: str
    number: int = 0
    run: str = ""
    first_sequence: int = 0
    lost_blocks: int = 0


class Shipment(Struct, frozen=True):
    """A block that was shipped: its number, and the files and bytes that were made of it."""

    number: int
    files: int
    size_bytes: int


def read_progress(path: Path, target: str) -> Progress:
    """What the file says about this target; nothing was shipped if there is none, or it is damaged.

    Then all blocks are shipped again, which changes nothing in the target. Raises ``OSError``.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Progress)
    except FileNotFoundError:
        return Progress(target)
    except msgspec.DecodeError:
        _log.warning("%s is damaged: all blocks are shipped again", path)
        return Progress(target)
    return found if found.target == target else Progress(target)


def progress_path(directory: Path, target: str) -> Path:
    """The file that tells how far a recording was shipped to a target."""
    return directory / f"shipped-{blake2b(target.encode(), digest_size=6).hexdigest()}.json"


def ship_blocks(
    recording: Recording, target: Target, progress: Progress, path: Path, pace: Callable[[int], None]
) -> Iterator[Shipment]:
    """Ship the blocks that were closed since, oldest first, and note each in the file at ``path``.

    ``pace`` is called with the size of each file after it was stored, and may wait. Blocks are never kept for this: the
    limits of the recording win, and blocks that are gone are counted and logged. Raises
    :class:`~cpuwatch.errors.ShipError`, and ``OSError`` for the file.
    """
    segments = recording.segments.listed()
    done = _shipped_number(segments, progress)
    for segment in segments:
        if segment.is_growing:
            break
        if segment.number <= done or segment.ticks_path is None:
            continue
        shipment = _ship(recording, segment, target, pace)
        if shipment.files == 0 and not segment.ticks_path.exists():
            # The limits have just deleted it.
            continue
        # The first shipment takes what there is. From then on, numbers without a gap are expected.
        lost = segment.number - done - 1 if done else 0
        if lost:
            _log.warning("%d blocks were deleted before they were shipped: raise the limits of the recording", lost)
        done, header = segment.number, segment.header
        lost += progress.lost_blocks
        progress = Progress(progress.target, done, header.run, header.first_sequence, lost)
        write_file(path, msgspec.json.encode(progress) + b"\n")
        yield shipment


def _shipped_number(segments: Sequence[Segment], progress: Progress) -> int:
    """The last block that was shipped; 0 if the directory has another recording now, whose numbers begin again."""
    begins = {segment.number: (segment.header.run, segment.header.first_sequence) for segment in segments}
    is_other = begins.get(progress.number, (progress.run, progress.first_sequence)) != (
        progress.run,
        progress.first_sequence,
    )
    return 0 if is_other or max(begins, default=progress.number) < progress.number else progress.number


def _ship(recording: Recording, segment: Segment, target: Target, pace: Callable[[int], None]) -> Shipment:
    files = size_bytes = 0
    try:
        with tempfile.TemporaryDirectory(prefix="cpuwatch-ship-") as folder:
            for name, path in _files(recording.in_segment(segment.number), Path(folder)):
                content = path.read_bytes()
                path.unlink()
                target.put(name, content)
                files, size_bytes = files + 1, size_bytes + len(content)
                pace(len(content))
    except OSError as error:
        raise ShipError(f"cannot make the Parquet files in {tempfile.gettempdir()!r}: {error.strerror}") from None
    return Shipment(segment.number, files, size_bytes)


def _files(snapshots: Iterator[Snapshot], folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a block: their names in the target, and where they are now."""
    tables: list[FlatTable] = list(FLAT_TABLES.values())
    for number, (partition, ticks) in enumerate(groupby(snapshots, partition_of)):
        first = next(ticks)
        with Part(folder, number, tables, active_only=True) as part:
            for snapshot in chain([first], ticks):
                part.add(snapshot)
        name = escaped(f"block-{first.host.boot_id}-{first.sampling.run}-{first.sequence:010}.parquet")
        for file in part.files(Path(), partition):
            yield str(file.partition / name), file.unfinished
