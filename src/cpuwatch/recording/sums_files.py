"""Makes the files of sums: those of a segment from its ticks, and those of more segments from their files."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from heapq import nlargest
from pathlib import Path

from cpuwatch.errors import RecordingError
from cpuwatch.recording.directory import WIDTHS, Kind, segment_path
from cpuwatch.recording.replay import Replay
from cpuwatch.recording.segment import (
    HEADER_BYTES,
    Stretch,
    header_of,
    header_of_segments,
    header_of_stretches,
    segment_sums_in,
    sums_file_bytes,
)
from cpuwatch.recording.sums import ProcessId, ProcessKey, SegmentSums, add_slot, empty_slot, process_ids
from cpuwatch.recording.sums_builder import SumsBuilder

__all__ = ["MAX_SHORT_LIVED", "merged_sums", "segment_sums", "sums_of_stretches", "wider_sums"]

_log = logging.getLogger("cpuwatch.recording")

MAX_SHORT_LIVED = 500
"""The sums of several segments keep at most this many of the processes that started and ended within them: the largest.

No other segment has these processes, so a ranking of up to this many rows is exact. Where a thousand processes run,
hundreds of thousands start in a week.
"""


def sums_of_stretches(parts: Sequence[Stretch]) -> SegmentSums:
    """The sums of the snapshots in these stretches, which are computed for it."""
    builder: SumsBuilder | None = None
    for part in parts:
        try:
            replay = Replay(part.key)
            if builder is None:
                builder = SumsBuilder(replay.reading())
            builder.add(replay.reading(), None)
            for record in part.ticks:
                snapshot = replay.next(record)
                builder.add(replay.reading(), snapshot)
        except RecordingError as error:
            _log.warning("a part of the recording cannot be replayed: %s", error)
    return SegmentSums(None, [], set(), set()) if builder is None else builder.sums()


def segment_sums(parts: Sequence[Stretch], sums: SegmentSums) -> bytes | None:
    """The file of sums of a segment.

    None if the figures are beyond what columns can hold; readers then compute them from the ticks.
    """
    try:
        return sums_file_bytes(header_of_stretches(parts), sums)
    except OverflowError:
        return None


def wider_sums(directory: Path, number: int) -> Iterator[tuple[Kind, bytes]]:
    """The files with the sums of the segments up to this one, narrow ones first.

    Write each before you ask for the next, which is made of it. If a file is missing or damaged, readers take more of
    the narrower ones. Raises ``OSError``.
    """
    narrower: Kind = "sums"
    for kind, width in WIDTHS.items():
        if number % width:
            return
        step = WIDTHS.get(narrower, 1)
        numbers = range(number - width + step, number + 1, step)
        paths = [segment_path(directory, of_part, narrower) for of_part in numbers]
        with suppress(FileNotFoundError, RecordingError, OverflowError):
            contents = [path.read_bytes() for path in paths]
            header = header_of_segments([header_of(content[:HEADER_BYTES]) for content in contents])
            yield kind, sums_file_bytes(header, merged_sums([segment_sums_in(content) for content in contents]))
        narrower = kind


def merged_sums(parts: Sequence[SegmentSums]) -> SegmentSums:
    """The sums of consecutive segments, without their minutes and without small processes that lived in them only."""
    totals = [part.total for part in parts if part.total is not None]
    if not totals:
        return SegmentSums(None, [], set(), set())
    total = empty_slot(totals[0].begin_us)
    for slot in totals:
        add_slot(total, slot)
    started = {one for part in parts for one in part.started}
    ended = {one for part in parts for one in part.ended}
    used_ns: dict[ProcessId, int] = {}
    processes = total.amounts["process"]
    for key, amount in processes.items():
        if isinstance(key, ProcessKey) and (process := (key.boot_id, key.key)) in started and process in ended:
            used_ns[process] = used_ns.get(process, 0) + amount.own_ns + amount.exited_ns
    omitted = used_ns.keys() - set(nlargest(MAX_SHORT_LIVED, used_ns, key=used_ns.__getitem__))
    total.amounts["process"] = {
        key: amount
        for key, amount in processes.items()
        if not (isinstance(key, ProcessKey) and (key.boot_id, key.key) in omitted)
    }
    kept = process_ids(total)
    return SegmentSums(total, [], started & kept, ended & kept, not omitted and all(part.is_complete for part in parts))
