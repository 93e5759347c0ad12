"""What is shipped of a recording: everything at least once, nothing twice, whatever fails on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_recordings import busy_ticks, snapshots_of, write_recording

from cpuwatch import open_recording
from cpuwatch.errors import ShipError

pytest.importorskip("pyarrow", reason="needs the extra arrow")

from pyarrow import parquet

from cpuwatch.recording.retention import RecordingLimits, Retention
from cpuwatch.recording.ship import Progress, Shipment, progress_path, read_progress, ship_blocks
from cpuwatch.recording.ship_targets import open_target, parse_target

TARGET = "s3://bucket/prefix"


class Memory:
    """A target that keeps files, and refuses one of them once."""

    def __init__(self, refused: int | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.puts = 0
        self._refused = refused

    def put(self, name: str, content: bytes) -> None:
        self.puts += 1
        if self.puts == self._refused:
            raise ShipError("cannot ship: refused")
        self.files[name] = content


def ship(directory: Path, target: Memory) -> list[Shipment]:
    path = progress_path(directory, TARGET)
    progress = read_progress(path, TARGET)
    return list(ship_blocks(open_recording(directory), target, progress, path, lambda _: None))


def test_a_recording_that_grows_is_shipped_block_by_block(tmp_path: Path) -> None:
    ticks, target = busy_ticks(40), Memory()
    write_recording(tmp_path, ticks[:20], finish=False)
    first = ship(tmp_path, target)
    # What is not a block yet waits.
    assert [shipment.number for shipment in first] == [1, 2]
    assert ship(tmp_path, target) == []
    write_recording(tmp_path, ticks[20:], finish=True)
    second = ship(tmp_path, target)
    assert [shipment.number for shipment in first + second] == list(range(1, len(first + second) + 1))
    assert sum(shipment.files for shipment in first + second) == target.puts == len(target.files)
    assert sum(shipment.size_bytes for shipment in first + second) == sum(map(len, target.files.values()))


def test_names_are_those_of_the_first_tick(tmp_path: Path) -> None:
    write_recording(tmp_path, busy_ticks(12), finish=True)
    target = Memory()
    ship(tmp_path, target)
    names = [name for name in target.files if name.startswith("ticks/")]
    assert names == [
        "ticks/host=here/day=2026-01-01/block-boot-123456789-0000000001.parquet",
        "ticks/host=here/day=2026-01-01/block-boot-123456789-0000000009.parquet",
    ]


@pytest.mark.parametrize("refused", range(1, 13))
def test_a_failure_anywhere_loses_nothing_and_doubles_nothing(tmp_path: Path, refused: int) -> None:
    ticks = busy_ticks(30, names=("work", "other"))
    write_recording(tmp_path, ticks, finish=True)
    whole, target = Memory(), Memory(refused)
    ship(tmp_path, whole)
    progress_path(tmp_path, TARGET).unlink()
    with pytest.raises(ShipError) if refused <= whole.puts else pytest.MonkeyPatch.context():
        ship(tmp_path, target)
    ship(tmp_path, target)
    assert target.files == whole.files
    rows = [row for name, content in target.files.items() if name.startswith("ticks/") for row in rows_of(content)]
    assert sorted(row["sequence"] for row in rows) == [snapshot.sequence for snapshot in snapshots_of(ticks)]


def rows_of(content: bytes) -> list[dict[str, Any]]:
    import pyarrow as pa  # noqa: PLC0415  optional

    rows: list[dict[str, Any]] = parquet.read_table(pa.BufferReader(content)).to_pylist()
    return rows


def test_limits_win_and_what_they_deleted_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ticks, target = busy_ticks(60), Memory()
    write_recording(tmp_path, ticks[:20], finish=False)
    ship(tmp_path, target)
    write_recording(tmp_path, ticks[20:], finish=True)
    retention = Retention(tmp_path, RecordingLimits())
    for number in (3, 4):
        retention.remove(tmp_path / f"{number:08}.block")
    shipped = ship(tmp_path, target)
    assert shipped[0].number == 5
    assert read_progress(progress_path(tmp_path, TARGET), TARGET).lost_blocks == 2
    assert "2 blocks were deleted before they were shipped" in caplog.text
    assert ship(tmp_path, target) == []


def test_another_recording_in_the_same_directory_is_shipped_from_its_beginning(tmp_path: Path) -> None:
    target = Memory()
    write_recording(tmp_path, busy_ticks(20), finish=True)
    progress = progress_path(tmp_path, TARGET)
    ship(tmp_path, target)
    kept = progress.read_bytes()
    for file in tmp_path.iterdir():
        file.unlink()
    write_recording(tmp_path, busy_ticks(20, "222222222"), finish=True)
    progress.write_bytes(kept)
    assert [shipment.number for shipment in ship(tmp_path, target)] == [1, 2, 3]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"target": 1}', b'{"target": "elsewhere", "number": 9}'])
def test_damaged_or_foreign_progress_ships_all_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "progress").write_bytes(content)
    assert read_progress(tmp_path / "progress", TARGET) == Progress(TARGET)


def test_a_directory_as_target_has_whole_files(tmp_path: Path) -> None:
    write_recording(tmp_path / "recording", busy_ticks(20), finish=True)
    target, memory = open_target(str(tmp_path / "lake"), {}), Memory()
    path = tmp_path / "progress"
    list(ship_blocks(open_recording(tmp_path / "recording"), target, Progress(TARGET), path, lambda _: None))
    ship(tmp_path / "recording", memory)
    found = {str(file.relative_to(tmp_path / "lake")): file.read_bytes() for file in (tmp_path / "lake").rglob("*.*")}
    assert found == memory.files


def test_the_pace_is_told_each_size(tmp_path: Path) -> None:
    write_recording(tmp_path, busy_ticks(20), finish=True)
    target, sizes = Memory(), list[int]()
    path = tmp_path / "progress"
    list(ship_blocks(open_recording(tmp_path), target, Progress(TARGET), path, sizes.append))
    assert sizes == [len(content) for content in target.files.values()]


@pytest.mark.parametrize(
    "text", ["", "s3://", "s3:///x", "s3://b", "s3://Bucket/x", "gs://bucket/x", "s3://bucket/a?b=c"]
)
def test_an_invalid_target_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"invalid target .*: must be a directory, or a bucket such as s3://bucket/prefix"
    ):
        parse_target(text)


@pytest.mark.parametrize("text", ["lake", "/srv/lake", "s3://bucket", "s3://bucket/", "s3://my.bucket-1/a/b=c/"])
def test_targets_are_directories_and_buckets(text: str) -> None:
    assert parse_target(text) == text
