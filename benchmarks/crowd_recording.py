"""Recordings of a crowd: a day through the writer, and further days as copies of it with later times.

Seven days are 604,800 ticks, a quarter of an hour of work for the writer. So only the first day goes through it. The
others have the same amounts, as other ticks: numbers, times and what started on that day are moved by whole days, and
each block is encoded again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from benchmarks import say
from benchmarks.crowd_readings import UPTIME_NS, Crowd, crowd_readings, live_ticks
from cpuwatch.recording.directory import list_segments, segment_path
from cpuwatch.recording.frames import Damage, Frame, FrameKind, frames
from cpuwatch.recording.records import Identity, KeyRecord, TickRecord
from cpuwatch.recording.retention import RecordingLimits
from cpuwatch.recording.segment import (
    Stretch,
    block_bytes,
    header_of_stretches,
    segment_sums_in,
    stretches,
    sums_file_bytes,
)
from cpuwatch.recording.sums import Key, ProcessKey, SegmentSums, Slot
from cpuwatch.recording.sums_files import wider_sums
from cpuwatch.recording.writer import LogSize, RecordingWriter
from cpuwatch.sampled_tick import SampledTick

__all__ = ["DAY", "RecordingBytes", "bytes_of", "crowd_recording", "record", "repeat_day"]

DAY = 86_400
_DAY_NS = DAY * 10**9
_TICK_NS = 10**7
_NO_LIMITS = RecordingLimits(2**50)
_REPORT_EVERY_TICKS = 14_400


@dataclass(frozen=True, slots=True)
class RecordingBytes:
    """The size of a recording: differences of ticks, whole readings at the beginning of segments, and sums."""

    ticks: int
    keys: int
    sums: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.ticks + self.keys + self.sums


def crowd_recording(directory: Path, crowd: Crowd, seconds: int, days: int = 1) -> Path:
    """The recording of this crowd in ``directory``, which is made unless it exists; ``days`` copies one after another.

    It is written under another name first, so an interrupted run leaves nothing half done.
    """
    name = f"crowd-{crowd.processes}-{crowd.running}-{crowd.cpus}-{crowd.forks:g}-{crowd.seed}-{seconds}x{days}"
    made = directory / name
    if made.exists():
        say(f"{made} exists: used again")
        return made
    unfinished = directory / f"{name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    record(unfinished, islice(live_ticks(crowd_readings(crowd)), seconds + 1))
    if days > 1:
        repeat_day(unfinished, days)
    unfinished.rename(made)
    return made


def record(directory: Path, ticks: Iterable[SampledTick]) -> None:
    """Write these ticks through the real writer. Only blocks are brought to the disk at once: no crash is measured."""
    with RecordingWriter(directory, _NO_LIMITS, LogSize(sync_seconds=1e9)) as writer:
        for tick in ticks:
            writer.write(tick)
            if tick.number % _REPORT_EVERY_TICKS == 0:
                say(f"{tick.number} ticks written to {directory}")


def bytes_of(recording: Path) -> RecordingBytes:
    """What the files of a finished recording take."""
    ticks = keys = sums = 0
    for file in list_segments(recording):
        path = recording / file.name
        size = path.stat().st_size
        if file.kind != "block":
            sums += size
            continue
        of_key = sum(
            len(found.payload)
            for found in frames(path.read_bytes())
            if isinstance(found, Frame) and found.kind == FrameKind.KEY_TICK
        )
        keys += of_key
        ticks += size - of_key
    return RecordingBytes(ticks, keys, sums)


def repeat_day(recording: Path, days: int) -> None:
    """Add copies of a recording of one day to it, each a day later than the one before."""
    numbers = sorted({file.number for file in list_segments(recording)})
    for day in range(1, days):
        for number in numbers:
            data = segment_path(recording, number, "block").read_bytes()
            sums = segment_sums_in(segment_path(recording, number, "sums").read_bytes())
            parts = [_later_stretch(part, day) for part in stretches(data) if not isinstance(part, Damage)]
            copy = day * len(numbers) + number
            segment_path(recording, copy, "block").write_bytes(block_bytes(parts))
            later = _later_sums(sums, day)
            segment_path(recording, copy, "sums").write_bytes(sums_file_bytes(header_of_stretches(parts), later))
            for kind, content in wider_sums(recording, copy):
                segment_path(recording, copy, kind).write_bytes(content)
        say(f"day {day + 1} of {days} copied")


def _later_stretch(part: Stretch, days: int) -> Stretch:
    return Stretch(
        KeyRecord(part.key.run, _later_tick(part.key.tick, days)), [_later_tick(tick, days) for tick in part.ticks]
    )


def _later_tick(tick: TickRecord, days: int) -> TickRecord:
    return replace(
        tick,
        number=tick.number + days * DAY,
        sequence=tick.sequence + days * DAY if tick.sequence else 0,
        time_us=tick.time_us + days * _DAY_NS // 1000,
        monotonic_ns=tick.monotonic_ns + days * _DAY_NS,
        uptime_ns=tick.uptime_ns + days * _DAY_NS,
        identities=[_later_identity(identity, days) for identity in tick.identities],
    )


def _later_identity(identity: Identity, days: int) -> Identity:
    if not _started_that_day(identity.start_ns):
        return identity
    start_ns = identity.start_ns + days * _DAY_NS
    return replace(
        identity,
        key=f"{identity.pid}-{start_ns // _TICK_NS}",
        start_ns=start_ns,
        start_time=identity.start_time + timedelta(days=days),
        first_seen=identity.first_seen + timedelta(days=days),
    )


def _later_sums(sums: SegmentSums, days: int) -> SegmentSums:
    assert sums.total is not None
    started, ended = (
        {(boot_id, _later_process(key, days)) for boot_id, key in ids} for ids in (sums.started, sums.ended)
    )
    return SegmentSums(
        _later_slot(sums.total, days), [_later_slot(slot, days) for slot in sums.minutes], started, ended
    )


def _later_slot(slot: Slot, days: int) -> Slot:
    amounts = dict(slot.amounts)
    amounts["process"] = {_later_key(key, days): amount for key, amount in amounts["process"].items()}
    later_us = days * _DAY_NS // 1000
    return replace(slot, begin_us=slot.begin_us + later_us, end_us=slot.end_us + later_us, amounts=amounts)


def _later_key(key: Key, days: int) -> Key:
    assert isinstance(key, ProcessKey)
    return replace(key, key=_later_process(key.key, days))


def _later_process(key: str, days: int) -> str:
    pid, _, started_ticks = key.partition("-")
    start_ns = int(started_ticks) * _TICK_NS
    return f"{pid}-{(start_ns + days * _DAY_NS) // _TICK_NS}" if _started_that_day(start_ns) else key


def _started_that_day(start_ns: int) -> bool:
    return start_ns >= UPTIME_NS
