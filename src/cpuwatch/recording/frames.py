"""Frames: checksummed pieces of a file, found again behind damage. Pure.

Every file of a recording is a sequence of frames: a mark, a checksum, a kind, the length of the payload, the payload.
The checksum is the CRC-32 of what follows it. After damage, reading goes on at the next mark with a matching checksum.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from zlib import crc32

from msgspec import Struct

__all__ = ["Damage", "Frame", "FrameKind", "frame", "frames", "is_unfinished"]

_MARK = b"\xc9cpw"
_HEAD = struct.Struct("<4sIBI")
_CHECKED = struct.Struct("<BI")


class FrameKind(IntEnum):
    """What the payload of a frame is."""

    HEADER = 1
    """The version of the format, and what the file covers."""
    KEY = 2
    """A whole reading."""
    TICK = 3
    """The difference of a reading to the one before."""
    KEY_TICK = 4
    """The key of a block, as a block of one tick."""
    TICKS = 5
    """The ticks of a block."""
    SUMS = 6
    """Sums over slots of one length."""


class Frame(Struct, frozen=True, gc=False):
    """An intact frame, and the offset of its end in the file."""

    kind: int
    payload: bytes
    end: int


class Damage(Struct, frozen=True, gc=False):
    """A range of bytes, ``begin <= offset < end``, in which no frame is intact."""

    begin: int
    end: int


def frame(kind: FrameKind, payload: bytes) -> bytes:
    """The bytes of a frame."""
    checksum = crc32(payload, crc32(_CHECKED.pack(kind, len(payload))))
    return _HEAD.pack(_MARK, checksum, kind, len(payload)) + payload


def frames(data: bytes, begin: int = 0) -> Iterator[Frame | Damage]:
    """The frames from ``begin`` on, and each range of damage between them, in the order of the file."""
    offset = damaged_from = begin
    while 0 <= offset < len(data):
        found = _frame_at(data, offset)
        if found is None:
            offset = data.find(_MARK, offset + 1)
            continue
        if damaged_from < offset:
            yield Damage(damaged_from, offset)
        yield found
        offset = damaged_from = found.end
    if damaged_from < len(data):
        yield Damage(damaged_from, len(data))


def is_unfinished(data: bytes, begin: int) -> bool:
    """Whether the bytes from ``begin`` on may be the beginning of a frame of which the rest is missing."""
    if len(data) - begin < _HEAD.size:
        return _MARK.startswith(data[begin : begin + len(_MARK)])
    mark, _, _, length = _HEAD.unpack_from(data, begin)
    return bool(mark == _MARK and len(data) - begin - _HEAD.size < length)


def _frame_at(data: bytes, offset: int) -> Frame | None:
    begin = offset + _HEAD.size
    if len(data) < begin:
        return None
    mark, checksum, kind, length = _HEAD.unpack_from(data, offset)
    if mark != _MARK or len(data) - begin < length:
        return None
    payload = data[begin : begin + length]
    if crc32(payload, crc32(_CHECKED.pack(kind, length))) != checksum:
        return None
    return Frame(kind, payload, begin + length)
