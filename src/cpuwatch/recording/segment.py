"""The ticks of some minutes as a file: first a log that grows by a frame a tick, later one compressed block. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct

from cpuwatch.errors import NotARecordingError, RecordingDamagedError
from cpuwatch.recording.block import decode_ticks, encode_ticks
from cpuwatch.recording.frames import Damage, Frame, FrameKind, frame, frames
from cpuwatch.recording.packing import Unpacker, pack, pack_escaped
from cpuwatch.recording.records import KeyRecord, TickRecord
from cpuwatch.recording.sums import DIMENSIONS, Dimension, SegmentSums, Slot
from cpuwatch.recording.sums_format import decode_segment_sums, decode_sums, encode_sums

__all__ = [
    "HEADER_BYTES",
    "VERSION",
    "Header",
    "Stretch",
    "block_bytes",
    "header_of",
    "header_of_segments",
    "header_of_stretches",
    "log_header",
    "log_key",
    "log_tick",
    "segment_sums_in",
    "stretches",
    "sums_file_bytes",
    "sums_in",
]

VERSION = 1

HEADER_BYTES = 4096
"""The beginning of a file that is enough for its header."""

_key_records = Unpacker(KeyRecord)
_tick_records = Unpacker(TickRecord)


class Header(Struct, frozen=True, gc=False):
    """The first frame of a file: what it covers. In a log, which grows, that is its first key.

    ``run`` is that of the monitor. Sequences are those of the snapshots, 0 if there is none; times are microseconds
    since the Unix epoch. ``ticks`` is the number of snapshots.
    """

    version: int
    run: str
    boot_id: str
    first_sequence: int
    last_sequence: int
    min_time_us: int
    max_time_us: int
    ticks: int


class _BlockKey(Struct, frozen=True, array_like=True, gc=False):
    """The key of a block: ``ticks`` is a block of one tick."""

    run: str
    ticks: bytes


_block_keys = Unpacker(_BlockKey)
_headers = Unpacker(Header)


class Stretch(Struct, frozen=True, gc=False):
    """A key and the ticks that follow it without a gap."""

    key: KeyRecord
    ticks: list[TickRecord]

    @property
    def last(self) -> TickRecord:
        """The newest record."""
        return self.ticks[-1] if self.ticks else self.key.tick

    def continues_with(self, key: KeyRecord) -> bool:
        """Whether the key is of the last tick again, so that the stretch goes on behind it."""
        return key.run == self.key.run and key.tick.number == self.last.number


def log_header(key: KeyRecord) -> bytes:
    """The beginning of a log."""
    return _header_frame(header_of_stretches([Stretch(key, [])])) + log_key(key)


def log_key(key: KeyRecord) -> bytes:
    """A key as it stands in a log."""
    return frame(FrameKind.KEY, pack_escaped(key))


def log_tick(record: TickRecord) -> bytes:
    """A tick as it stands in a log."""
    return frame(FrameKind.TICK, pack_escaped(record))


def block_bytes(parts: Sequence[Stretch]) -> bytes:
    """The file of a block: the stretches of one log, at least one."""
    return _header_frame(header_of_stretches(parts)) + b"".join(map(_stretch_bytes, parts))


def _stretch_bytes(part: Stretch) -> bytes:
    try:
        key = frame(FrameKind.KEY_TICK, pack(_BlockKey(part.key.run, encode_ticks([part.key.tick]))))
        return key + (frame(FrameKind.TICKS, encode_ticks(part.ticks)) if part.ticks else b"")
    except OverflowError:
        # A sampler that returns nonsense must not end the recording.
        return log_key(part.key) + b"".join(map(log_tick, part.ticks))


def sums_file_bytes(header: Header, sums: SegmentSums) -> bytes:
    """The file with the sums of a segment, or of several."""
    return _header_frame(header) + frame(FrameKind.SUMS, encode_sums(sums))


def sums_in(data: bytes, level: int, dimensions: Collection[Dimension] = DIMENSIONS) -> list[Slot]:
    """The slots of one level in a file of sums, with the amounts of these dimensions.

    Raises :class:`~cpuwatch.errors.RecordingDamagedError`.
    """
    return decode_sums(_sums_payload(data), level, dimensions)


def segment_sums_in(data: bytes) -> SegmentSums:
    """All that a file of sums contains. Raises :class:`~cpuwatch.errors.RecordingDamagedError`."""
    return decode_segment_sums(_sums_payload(data))


def _sums_payload(data: bytes) -> bytes:
    for found in frames(data):
        if isinstance(found, Frame) and found.kind == FrameKind.SUMS:
            return found.payload
    raise RecordingDamagedError("the sums are damaged")


def _header_frame(header: Header) -> bytes:
    return frame(FrameKind.HEADER, pack_escaped(header))


def header_of_stretches(parts: Sequence[Stretch]) -> Header:
    """What these stretches, at least one, cover."""
    key = parts[0].key
    ticks = [tick for part in parts for tick in part.ticks if tick.sequence]
    times_us = [tick.time_us for tick in ticks] or [key.tick.time_us]
    return Header(
        VERSION,
        key.run,
        "" if key.tick.context is None else key.tick.context.host.boot_id,
        ticks[0].sequence if ticks else 0,
        ticks[-1].sequence if ticks else 0,
        min(times_us),
        max(times_us),
        len(ticks),
    )


def header_of_segments(headers: Sequence[Header]) -> Header:
    """What consecutive segments, at least one, cover together."""
    first, last = headers[0], headers[-1]
    return Header(
        VERSION,
        first.run,
        first.boot_id,
        first.first_sequence,
        last.last_sequence,
        min(header.min_time_us for header in headers),
        max(header.max_time_us for header in headers),
        sum(header.ticks for header in headers),
    )


def header_of(data: bytes) -> Header:
    """The header at the beginning of a file.

    Raises :class:`~cpuwatch.errors.RecordingDamagedError` if there is none that is intact, and
    :class:`~cpuwatch.errors.NotARecordingError` if it is of a newer version.
    """
    first = next(frames(data), None)
    if not isinstance(first, Frame) or first.kind != FrameKind.HEADER:
        raise RecordingDamagedError("the header is damaged")
    return _header(first.payload)


def _header(payload: bytes) -> Header:
    header = _headers.unpack(payload)
    if header.version > VERSION:
        raise NotARecordingError(
            f"its format has version {header.version}, and this cpuwatch reads up to {VERSION}: install a newer one"
        )
    return header


def stretches(data: bytes) -> Iterator[Stretch | Damage]:
    """What is intact in a log or a block, and each range of damage, in order.

    A tick that does not follow the one before counts as damaged, because nothing can be computed from it. In a log,
    the next key ends that.
    """
    assembly = _Assembly()
    end = 0
    for found in frames(data):
        begin, end = end, found.end
        if isinstance(found, Damage):
            yield found
            continue
        try:
            done = assembly.add(found)
        except RecordingDamagedError:
            yield Damage(begin, end)
        else:
            if done is not None:
                yield done
    if assembly.current is not None:
        yield assembly.current


class _Assembly:
    """Puts the frames of a file together again. ``current`` is the stretch that may still grow."""

    def __init__(self) -> None:
        self.current: Stretch | None = None

    def add(self, found: Frame) -> Stretch | None:
        """Add a frame; returns the stretch that ends before it.

        Raises :class:`~cpuwatch.errors.RecordingDamagedError` for a frame that does not fit.
        """
        match found.kind:
            case FrameKind.HEADER:
                _header(found.payload)
            case FrameKind.KEY | FrameKind.KEY_TICK:
                return self._begin(_key(found))
            case FrameKind.TICK | FrameKind.TICKS:
                self._continue(_ticks(found))
        return None

    def _begin(self, key: KeyRecord) -> Stretch | None:
        before = self.current
        if before is not None and before.continues_with(key):
            return None
        self.current = Stretch(key, [])
        return before

    def _continue(self, ticks: list[TickRecord]) -> None:
        if self.current is None or not ticks or ticks[0].number != self.current.last.number + 1:
            raise RecordingDamagedError("a tick does not follow the one before")
        self.current.ticks.extend(ticks)


def _key(found: Frame) -> KeyRecord:
    if found.kind == FrameKind.KEY:
        return _key_records.unpack(found.payload)
    block_key = _block_keys.unpack(found.payload)
    ticks = decode_ticks(block_key.ticks)
    if len(ticks) != 1:
        raise RecordingDamagedError(f"a key of {len(ticks)} ticks")
    return KeyRecord(block_key.run, ticks[0])


def _ticks(found: Frame) -> list[TickRecord]:
    return [_tick_records.unpack(found.payload)] if found.kind == FrameKind.TICK else decode_ticks(found.payload)
