"""A damaged recording: all intact ticks are returned, and the damage is reported with its file and byte range."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from small_recordings import busy_ticks, memory_limit, snapshots_of, write_recording

from cpuwatch import Recording, Snapshot, open_recording
from cpuwatch.errors import CpuwatchError, NotARecordingError, RecordingDamagedError
from cpuwatch.recording.block import decode_ticks
from cpuwatch.recording.columns import Column, packed, unpacked
from cpuwatch.recording.directory import SegmentFile
from cpuwatch.recording.frames import Frame, FrameKind, frame, frames
from cpuwatch.recording.segments import DamagedPart
from cpuwatch.recording.sums import DIMENSIONS
from cpuwatch.recording.writer import RecordingWriter

# A gap makes a second stretch.
TICKS = [tick for tick in busy_ticks(8) if tick.number != 5]
GAP = 6
SNAPSHOTS = [one for one in snapshots_of(TICKS) if one.sequence != GAP - 1]
LENGTH_FIELD = range(9, 13)


class Example:
    """A recording with one file of ticks, and its frames."""

    def __init__(self, directory: Path, suffix: str) -> None:
        self.directory = directory
        write_recording(directory, TICKS, finish=suffix == "block")
        self.path = directory / f"00000001.{suffix}"
        self.data = self.path.read_bytes()
        found = [one for one in frames(self.data) if isinstance(one, Frame)]
        ends = [0, *(one.end for one in found)]
        self.frames = [(one, range(begin, end)) for one, (begin, end) in zip(found, pairwise(ends), strict=True)]

    def snapshots_without(self, lost: list[range]) -> list[Snapshot]:
        """What has to be readable if these ranges of bytes are lost: what follows from an intact key without a gap."""
        numbers: list[int] = []
        last = None
        for one, place in self.frames:
            if place in lost:
                continue
            if one.kind in {FrameKind.KEY, FrameKind.KEY_TICK}:
                last = _first_number(one)
            elif one.kind in {FrameKind.TICK, FrameKind.TICKS} and last is not None:
                own = _numbers(one)
                if own[0] == last + 1:
                    numbers += own
                    last = own[-1]
        return [one for one in SNAPSHOTS if one.sequence + 1 in numbers]

    def damaged(self, data: bytes) -> Recording:
        self.path.write_bytes(data)
        return open_recording(self.directory)


def _first_number(found: Frame) -> int:
    content = msgpack.unpackb(found.payload, timestamp=3, strict_map_key=False)
    if found.kind == FrameKind.KEY:
        return int(content[1][0])
    return decode_ticks(content[1])[0].number


def _numbers(found: Frame) -> list[int]:
    if found.kind == FrameKind.TICK:
        return [int(msgpack.unpackb(found.payload, timestamp=3, strict_map_key=False)[0])]
    return [record.number for record in decode_ticks(found.payload)]


@pytest.fixture(params=["log", "block"])
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Example:
    return Example(tmp_path / "recording", request.param)


def check(recording: Recording, expected: list[Snapshot]) -> None:
    """All ways to read return the same."""
    assert list(recording) == expected
    assert recording.latest == next(reversed(expected), None)
    times = [tick.reading.time for tick in TICKS]
    assert list(recording.between(times[2], times[5])) == [one for one in expected if times[2] < one.time <= times[5]]
    before = [one for one in expected if one.time <= times[4]]
    assert recording.at(times[4]) == next(reversed(before), None)


def test_the_example_has_stretches_and_keys(example: Example) -> None:
    check(open_recording(example.directory), SNAPSHOTS)
    keys = [one for one, _ in example.frames if one.kind in {FrameKind.KEY, FrameKind.KEY_TICK}]
    assert len(keys) == (4 if example.path.suffix == ".log" else 2)


def test_a_file_that_is_cut_off_at_any_byte(example: Example) -> None:
    for size in range(len(example.data)):
        recording = example.damaged(example.data[:size])
        lost = [place for _, place in example.frames if place.stop > size]
        check(recording, example.snapshots_without(lost))
        begin = max((place.stop for _, place in example.frames if place.stop <= size), default=0)
        # The end of a log may be a frame that is being written.
        is_damage = size > begin and example.path.suffix == ".block"
        assert recording.damage == ([DamagedPart(example.path, begin, size)] if is_damage else [])


def test_a_bit_that_is_flipped_in_any_byte(example: Example) -> None:
    *_, last = example.frames
    for offset in range(len(example.data)):
        data = bytearray(example.data)
        data[offset] ^= 1 << offset % 8
        recording = example.damaged(bytes(data))
        (place,) = (place for _, place in example.frames if offset in place)
        expected = example.snapshots_without([place])
        check(recording, expected)
        damage = recording.damage
        looks_unfinished = example.path.suffix == ".log" and place == last[1] and offset - place.start in LENGTH_FIELD
        assert any(part.begin <= offset < part.end for part in damage) or looks_unfinished
        assert all(part.path == example.path for part in damage)
        # Frames that follow a lost one cannot be used either, up to the next key.
        assert not damage or damage[0].begin == place.start
        if expected == SNAPSHOTS:
            assert damage in ([], [DamagedPart(example.path, place.start, place.stop)])


def test_sums_that_are_damaged_at_any_byte(tmp_path: Path) -> None:
    write_recording(tmp_path, TICKS, finish=True)
    path = tmp_path / "00000001.sums"
    data = path.read_bytes()
    intact = open_recording(tmp_path).segments
    (segment,) = intact.listed()
    expected = [intact.sums(segment, level) for level in (0, 1)]
    for offset in range(len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << offset % 8
        for damaged in (bytes(flipped), data[:offset]):
            path.write_bytes(damaged)
            recording = open_recording(tmp_path)
            (segment,) = recording.segments.listed()
            found = [recording.segments.sums(segment, level) for level in (0, 1)]
            # The header of the sums is of use only if there are no ticks any more.
            assert found == expected or (
                found == [None, None] and recording.damage == [DamagedPart(path, 0, len(damaged))]
            )
            assert recording.latest == SNAPSHOTS[-1]


def test_sums_of_several_segments_that_are_damaged_at_any_byte(tmp_path: Path) -> None:
    write_recording(tmp_path, busy_ticks(70), finish=True)
    file = SegmentFile(8, "sums8", "00000008.sums8")
    path = tmp_path / file.name
    data = path.read_bytes()
    expected = open_recording(tmp_path).segments.wider_sums(file, DIMENSIONS)
    assert expected
    assert expected[0].machine.ticks == 64
    for offset in range(len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << offset % 8
        for damaged in (bytes(flipped), data[:offset]):
            path.write_bytes(damaged)
            segments = open_recording(tmp_path).segments
            found = segments.wider_sums(file, DIMENSIONS)
            # Their header is only for deleting them.
            assert found == expected or (found is None and segments.damage == [DamagedPart(path, 0, len(damaged))])


def test_sums_without_ticks_and_with_a_damaged_header_are_reported(tmp_path: Path) -> None:
    write_recording(tmp_path, TICKS, finish=True)
    (tmp_path / "00000001.block").unlink()
    path = tmp_path / "00000001.sums"
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    recording = open_recording(tmp_path)
    assert recording.segments.listed() == []
    assert recording.damage == [DamagedPart(path, 0, path.stat().st_size)]


def test_a_writer_keeps_what_is_intact_of_a_damaged_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    example = Example(tmp_path / "recording", "log")
    for offset in range(len(example.data)):
        flipped = bytearray(example.data)
        flipped[offset] ^= 1 << offset % 8
        for damaged in (bytes(flipped), example.data[:offset]):
            expected = list(example.damaged(damaged))
            RecordingWriter(example.directory).close()
            assert list(open_recording(example.directory)) == expected
            for path in example.directory.glob("00000*"):
                path.unlink()


def test_a_writer_does_not_make_a_block_again_whose_log_is_left(tmp_path: Path) -> None:
    write_recording(tmp_path, TICKS, finish=False)
    log = (tmp_path / "00000001.log").read_bytes()
    RecordingWriter(tmp_path).close()
    (tmp_path / "00000001.log").write_bytes(log[: len(log) // 2])
    RecordingWriter(tmp_path).close()
    check(open_recording(tmp_path), SNAPSHOTS)
    assert not (tmp_path / "00000001.log").exists()


def test_foreign_files_are_ignored_and_kept(tmp_path: Path) -> None:
    write_recording(tmp_path, TICKS, finish=True)
    foreign = ["00000001.block.bak", "notes.tmp", "1.log", "00000002.txt", "letter"]
    for name in foreign:
        (tmp_path / name).write_bytes(b"dear" * 1000)
    (tmp_path / "folder").mkdir()
    check(open_recording(tmp_path), SNAPSHOTS)
    with RecordingWriter(tmp_path) as writer:
        own = [path for path in tmp_path.iterdir() if path.name not in {*foreign, "folder"}]
        assert writer.used_bytes == sum(path.stat().st_size for path in own)
    assert all((tmp_path / name).exists() for name in foreign)


def test_files_that_a_writer_did_not_finish_are_removed(tmp_path: Path) -> None:
    write_recording(tmp_path, TICKS, finish=True)
    unfinished = [tmp_path / name for name in ("00000007.block.tmp", "00000007.sums.tmp", "recording.json.tmp")]
    for path in unfinished:
        path.write_bytes(b"beginning")
    check(open_recording(tmp_path), SNAPSHOTS)
    RecordingWriter(tmp_path).close()
    assert not any(path.exists() for path in unfinished)


def test_a_damaged_marker_is_reported_and_the_segments_are_read(tmp_path: Path) -> None:
    write_recording(tmp_path, TICKS, finish=True)
    marker = tmp_path / "recording.json"
    content = marker.read_bytes()
    for offset in range(len(content)):
        flipped = bytearray(content)
        flipped[offset] ^= 1
        for damaged in (bytes(flipped), content[:offset]):
            marker.write_bytes(damaged)
            try:
                recording = open_recording(tmp_path)
            except NotARecordingError as error:
                assert "its format has version" in str(error)  # noqa: PT017  a digit of it is flipped
                continue
            assert recording.latest == SNAPSHOTS[-1]
            assert recording.damage in ([], [DamagedPart(marker, 0, len(damaged))])
    marker.write_bytes(b"")
    RecordingWriter(tmp_path).close()
    assert marker.read_bytes() == content


def test_a_directory_of_another_program_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "recording.json").write_text('{"format": "tape", "version": 1}')
    (tmp_path / "00000001.log").write_bytes(b"its own log")
    for use in (open_recording, RecordingWriter):
        with pytest.raises(NotARecordingError, match=r"recording\.json is not that of a recording"):
            use(tmp_path)


def test_a_directory_whose_creation_was_interrupted_can_be_recorded_to(tmp_path: Path) -> None:
    (tmp_path / "recording.json.tmp").write_bytes(b'{"form')
    write_recording(tmp_path, TICKS, finish=True)
    check(open_recording(tmp_path), SNAPSHOTS)


def test_a_column_with_a_huge_count_takes_no_memory() -> None:
    with memory_limit(2**28):
        for count in (2**60, 2**63 - 1, 2**21, -1):
            for scale in (0, 1):
                with pytest.raises(ValueError, match="a column of"):
                    unpacked(Column(count, 5, scale, b""))
    assert unpacked(Column(0, 5, 3, b"")) == []
    with pytest.raises(OverflowError, match="a column of 1048577 values"):
        packed([0] * (2**20 + 1))


def test_a_compressed_frame_that_declares_a_huge_size_takes_no_memory() -> None:
    large = zstandard.ZstdCompressor().compress(bytes(2**27))
    assert len(large) < 2**16
    with memory_limit(2**26), pytest.raises(RecordingDamagedError, match="a frame of 134217728 bytes"):
        decode_ticks(large)


numbers = st.sampled_from([-(2**63), -1, 0, 1, 2, 2**20, 2**31, 2**62, 2**64 - 1]) | st.integers(-(2**63), 2**64 - 1)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=3) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2) | numbers, inner, max_size=2),
    max_leaves=4,
)


def _places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def _with(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = content.copy()
    changed[path[0]] = _with(changed[path[0]], path[1:], value)
    return changed


def _nonsense(draw: st.DrawFn, payload: bytes) -> bytes:
    content = msgpack.unpackb(payload, strict_map_key=False)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(_places(content))))
        content = _with(content, place, draw(anything))
    return bytes(msgpack.packb(content))


def _decompressed(payload: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(payload)


@st.composite
def nonsense_files(draw: st.DrawFn, data: bytes) -> bytes:
    """The file with another payload in one of its frames, with a valid checksum."""
    found = [one for one in frames(data) if isinstance(one, Frame)]
    chosen = draw(st.integers(0, len(found) - 1))
    pieces = []
    for index, one in enumerate(found):
        payload = one.payload
        if index == chosen:
            match one.kind:
                case FrameKind.TICKS | FrameKind.SUMS:
                    payload = zstandard.ZstdCompressor().compress(_nonsense(draw, _decompressed(payload)))
                case FrameKind.KEY_TICK:
                    run, ticks = msgpack.unpackb(payload)
                    inner = zstandard.ZstdCompressor().compress(_nonsense(draw, _decompressed(ticks)))
                    payload = bytes(msgpack.packb([run, inner]))
                case _:
                    payload = _nonsense(draw, payload)
        pieces.append(frame(FrameKind(one.kind), payload))
    return b"".join(pieces)


@pytest.mark.parametrize("place", [(14, 2), (2, 2)], ids=["start of a process", "wall clock"])
def test_a_time_beyond_the_calendar_in_a_key_is_damage(tmp_path: Path, place: tuple[int, int]) -> None:
    example = Example(tmp_path / "recording", "block")
    key, where = example.frames[1]
    run, ticks = msgpack.unpackb(key.payload)
    content = msgpack.unpackb(_decompressed(ticks), strict_map_key=False)
    content[place[0]][place[1]][1] = 2**62
    payload = msgpack.packb([run, zstandard.ZstdCompressor().compress(msgpack.packb(content))])
    data = example.data[: where.start] + frame(FrameKind.KEY_TICK, payload) + example.data[where.stop :]
    recording = example.damaged(data)
    check(recording, example.snapshots_without([where]))
    assert {part.path for part in recording.damage} == {example.path}


@pytest.fixture(scope="module")
def nonsense_directories(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directories = []
    for suffix in ("log", "block"):
        directory = tmp_path_factory.mktemp(suffix) / "recording"
        write_recording(directory, TICKS, finish=suffix == "block")
        directories.append(directory)
    return directories


def read_all(directory: Path) -> None:
    recording = open_recording(directory)
    snapshots = list(recording)
    assert len(list(recording.between())) == len(snapshots)
    assert recording.latest == next(reversed(snapshots), None)
    for tick in TICKS:
        recording.at(tick.reading.time)
    for segment in recording.segments.listed():
        for level in (0, 1):
            recording.segments.sums(segment, level)


@pytest.mark.parametrize("suffix", ["log", "block", "sums"])
@settings(max_examples=150)
@given(st.data())
def test_a_valid_checksum_with_nonsense_inside(
    suffix: str, nonsense_directories: list[Path], data: st.DataObject
) -> None:
    directory = nonsense_directories[suffix != "log"]
    path = directory / f"00000001.{suffix}"
    content = path.read_bytes()
    try:
        path.write_bytes(data.draw(nonsense_files(content)))
        try:
            read_all(directory)
        except CpuwatchError as error:
            assert isinstance(error, NotARecordingError)  # noqa: PT017  a header with a newer version
    finally:
        path.write_bytes(content)
