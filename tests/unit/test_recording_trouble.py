"""What goes wrong while a recording is written: the disk, its limits, and what a sampler returns."""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from readings import HOSTILE_NAMES, SECOND, process, reading
from recorded_runs import live_ticks
from small_recordings import SMALL, busy_ticks, size_of, snapshots_of, write_recording

from cpuwatch import open_recording
from cpuwatch.errors import RecordingError
from cpuwatch.recording import recorder as recorder_module
from cpuwatch.recording.directory import WIDTHS
from cpuwatch.recording.frames import Frame, FrameKind, frames
from cpuwatch.recording.recorder import Recorder
from cpuwatch.recording.retention import RecordingLimits
from cpuwatch.recording.writer import LogSize, RecordingWriter
from cpuwatch.sampled_tick import SampledTick
from cpuwatch.text import text_from_bytes, text_without_surrogates


def noisy_ticks(count: int) -> list[SampledTick]:
    """Ticks that cannot be compressed well."""
    chance = random.Random(1)  # noqa: S311  the same figures in every run
    used = [0] * 20
    readings = []
    for number in range(count):
        used = [value + chance.randrange(SECOND // 10) for value in used]
        readings.append(
            reading(
                *(process(10 + place, cpu_ns=value, name=f"work {place}") for place, value in enumerate(used)),
                at_ns=(100 + number) * SECOND,
            )
        )
    return list(live_ticks(readings))


@pytest.fixture
def watched_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes in the directory after every write, before every sync and after every renaming."""
    sizes: list[int] = []

    def watch(name: str) -> None:
        call: Callable[..., object] = getattr(os, name)

        def watched(*arguments: object) -> object:
            result = call(*arguments)
            sizes.append(size_of(tmp_path))
            return result

        monkeypatch.setattr(os, name, watched)

    for name in ("write", "fsync", "fdatasync", "rename", "replace"):
        watch(name)
    return sizes


def test_the_limit_holds_after_every_write_and_sums_stay_longer_than_ticks(
    tmp_path: Path, watched_sizes: list[int]
) -> None:
    limit = 150_000
    ticks = noisy_ticks(1200)
    with RecordingWriter(tmp_path, RecordingLimits(limit), LogSize(ticks=100)) as writer:
        for tick in ticks:
            writer.write(tick)
            assert writer.used_bytes == size_of(tmp_path)
    assert len(watched_sizes) > 1200
    assert max(watched_sizes) <= limit
    blocks, sums = (sorted(path.stem for path in tmp_path.glob(f"*.{kind}")) for kind in ("block", "sums"))
    assert blocks
    assert sums[0] < blocks[0]
    assert sums[-1] == blocks[-1]
    kept = list(open_recording(tmp_path))
    assert kept == snapshots_of(ticks)[-len(kept) :]


def test_a_lower_limit_holds_as_soon_as_the_recording_is_opened(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path, log_size=LogSize(ticks=50)) as writer:
        for tick in noisy_ticks(400):
            writer.write(tick)
    limit = size_of(tmp_path) // 2
    with RecordingWriter(tmp_path, RecordingLimits(limit)):
        assert size_of(tmp_path) <= limit


def test_a_log_is_no_larger_than_a_part_of_the_limit(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path, RecordingLimits(300_000)) as writer:
        for tick in noisy_ticks(200):
            writer.write(tick)
            assert all(path.stat().st_size < 30_000 for path in tmp_path.glob("*.log"))


def test_a_limit_that_is_too_small_is_one_error_and_deletes_nothing(tmp_path: Path) -> None:
    write_recording(tmp_path, busy_ticks(8), finish=True)
    many = reading(*(process(pid, cpu_ns=pid) for pid in range(1, 100_001)))
    (tick,) = live_ticks([many], "another run")
    with (
        RecordingWriter(tmp_path, RecordingLimits(2**20)) as writer,
        pytest.raises(RecordingError, match="a limit of 1048576 bytes is too small for this machine"),
    ):
        writer.write(tick)
    assert list(open_recording(tmp_path)) == snapshots_of(busy_ticks(8))


def test_a_large_key_does_not_end_the_log(tmp_path: Path) -> None:
    ticks = busy_ticks(6, names=[f"work {place}" for place in range(300)])
    with RecordingWriter(tmp_path, log_size=LogSize(max_bytes=20_000, key_ticks=2)) as writer:
        for tick in ticks[:2]:
            writer.write(tick)
        assert [path.name for path in tmp_path.glob("0*")] == ["00000001.log"]


def test_what_is_older_than_the_limit_is_deleted(tmp_path: Path) -> None:
    ticks = busy_ticks(200)
    size = LogSize(ticks=20)
    with RecordingWriter(tmp_path, RecordingLimits(max_age_seconds=60), size) as writer:
        for tick in ticks:
            writer.write(tick)
    kept = list(open_recording(tmp_path))
    assert kept[-1].time - timedelta(seconds=60 + 2 * 20) <= kept[0].time
    assert kept[0].time <= kept[-1].time - timedelta(seconds=60)


@pytest.mark.parametrize("limits", [RecordingLimits(max_age_seconds=60), RecordingLimits(130_000)])
def test_sums_of_many_segments_are_deleted_with_the_first_of_them(tmp_path: Path, limits: RecordingLimits) -> None:
    with RecordingWriter(tmp_path, limits, LogSize(ticks=4)) as writer:
        for tick in noisy_ticks(400):
            writer.write(tick)
            assert writer.used_bytes == size_of(tmp_path)
    numbers = {int(path.stem) for path in tmp_path.glob("*.sums")}
    assert 1 not in numbers
    wide = [path for kind in WIDTHS for path in tmp_path.glob(f"*.{kind}")]
    assert wide
    assert all(int(path.stem) - int(path.suffix.removeprefix(".sums")) + 1 in numbers for path in wide)


def test_a_damaged_header_does_not_keep_other_segments_from_being_deleted(tmp_path: Path) -> None:
    ticks, size = busy_ticks(100), LogSize(ticks=10)
    with RecordingWriter(tmp_path, log_size=size) as writer:
        for tick in ticks[:40]:
            writer.write(tick)
    (tmp_path / "00000001.block").write_bytes(b"")
    with RecordingWriter(tmp_path, RecordingLimits(max_age_seconds=20), size) as writer:
        for tick in ticks[40:]:
            writer.write(tick)
    assert not (tmp_path / "00000002.block").exists()
    assert open_recording(tmp_path).latest == ticks[-1].snapshot


def test_a_segment_with_a_time_in_the_future_does_not_keep_the_others(tmp_path: Path) -> None:
    ticks = busy_ticks(100)
    future = replace(ticks[5].reading, time=ticks[5].reading.time + timedelta(days=9999))
    ticks[5] = replace(ticks[5], reading=future)
    with RecordingWriter(tmp_path, RecordingLimits(max_age_seconds=20), LogSize(ticks=10)) as writer:
        for tick in ticks:
            writer.write(tick)
    assert sorted(path.name for path in tmp_path.glob("*.block"))[1] > "00000006"


def test_hostile_names_are_recorded(tmp_path: Path) -> None:
    ticks = busy_ticks(6, names=[text_from_bytes(name) for name in HOSTILE_NAMES])
    write_recording(tmp_path / "log", ticks, finish=False)
    write_recording(tmp_path / "block", ticks, finish=True)
    for name in ("log", "block"):
        assert list(open_recording(tmp_path / name)) == snapshots_of(ticks)


@pytest.mark.parametrize("finish", [False, True])
def test_lone_surrogates_of_a_third_party_sampler_are_escaped(tmp_path: Path, finish: bool) -> None:
    names = ["caf\udce9", "\ud800", "work"]
    write_recording(tmp_path, busy_ticks(12, names=names), finish=finish)
    recording = open_recording(tmp_path)
    assert list(recording) == snapshots_of(busy_ticks(12, names=[text_without_surrogates(name) for name in names]))
    assert not recording.damage
    segment = recording.segments.listed()[0]
    (total,) = recording.segments.sums(segment, 0) or []
    assert set(total.amounts["name"]) == {"caf\\xe9", "\\ud800", "work"}


def test_values_that_do_not_fit_into_columns_are_kept_as_in_a_log(tmp_path: Path) -> None:
    values = [0, 2**63, 0, 5]
    ticks = list(
        live_ticks(
            reading(process(10, cpu_ns=value), process(11, cpu_ns=2**63 - value), at_ns=(100 + number) * SECOND)
            for number, value in enumerate(values)
        )
    )
    write_recording(tmp_path, ticks, finish=True)
    assert list(open_recording(tmp_path)) == snapshots_of(ticks)
    kinds = [one.kind for one in frames((tmp_path / "00000001.block").read_bytes()) if isinstance(one, Frame)]
    assert kinds == [FrameKind.HEADER, FrameKind.KEY, *[FrameKind.TICK] * 3]


def test_a_clock_that_is_set_back_changes_neither_the_order_nor_the_other_clock(tmp_path: Path) -> None:
    ticks = busy_ticks(12)
    readings = [
        replace(tick.reading, time=tick.reading.time - timedelta(hours=3 * (tick.number > 6))) for tick in ticks
    ]
    ticks = list(live_ticks(readings))
    write_recording(tmp_path, ticks, finish=True)
    recording = open_recording(tmp_path)
    assert list(recording) == snapshots_of(ticks)
    assert [one.sequence for one in recording] == list(range(1, 12))
    records = [
        record for segment in recording.segments.listed() for part in recording.segments.parts(segment)
        for record in part.ticks
    ]  # fmt: skip
    assert [record.monotonic_ns for record in records] == [one.monotonic_ns for one in readings[1:]]
    assert recording.at(readings[-1].time) == ticks[-1].snapshot


def test_power_loss_takes_at_most_the_ticks_since_the_last_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, after_loss = tmp_path / "recording", tmp_path / "after loss"
    synced: dict[int, int] = {}
    fdatasync = os.fdatasync

    def watched(descriptor: int) -> None:
        fdatasync(descriptor)
        status = os.fstat(descriptor)
        synced[status.st_ino] = status.st_size

    monkeypatch.setattr(os, "fdatasync", watched)
    ticks = busy_ticks(40)
    with RecordingWriter(directory, log_size=LogSize(ticks=15)) as writer:
        for tick in ticks:
            writer.write(tick)
            shutil.rmtree(after_loss, ignore_errors=True)
            shutil.copytree(directory, after_loss)
            for log in directory.glob("*.log"):
                os.truncate(after_loss / log.name, synced[log.stat().st_ino])
            kept = list(open_recording(after_loss))
            assert kept == snapshots_of(ticks)[: len(kept)]
            assert len(kept) >= tick.number - 1 - 4


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "_RETRY_SECONDS", 0)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def failures(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_recording_resumes_with_a_gap_when_the_disk_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: Callable[[], list[str]], number: int
) -> None:
    ticks = busy_ticks(12)
    with Recorder(tmp_path, log_size=SMALL) as recorder:
        for tick in ticks[:4]:
            recorder.record(tick)
        wait_until(lambda: recorder.health.recorded_ticks == 4)
        with monkeypatch.context() as broken:

            def fail(*_: object) -> None:
                raise OSError(number, os.strerror(number))

            broken.setattr(os, "write", fail)
            broken.setattr(os, "fsync", fail)
            for tick in ticks[4:8]:
                recorder.record(tick)
            wait_until(lambda: recorder.health.lost_ticks == 4)
            assert os.strerror(number) in (recorder.health.failure or "")
        assert len(failures()) == 1
        for tick in ticks[8:]:
            recorder.record(tick)
        wait_until(lambda: recorder.health.recorded_ticks == 8)
        assert recorder.health.failure is None
    # The tick behind the gap is a key: there is nothing to which it is a difference.
    assert list(open_recording(tmp_path)) == snapshots_of(ticks[:4]) + snapshots_of(ticks[9:])


@pytest.mark.usefixtures("soon")
def test_recording_resumes_after_the_directory_was_removed(tmp_path: Path, failures: Callable[[], list[str]]) -> None:
    directory = tmp_path / "recording"
    ticks = busy_ticks(40)
    with Recorder(directory, log_size=SMALL) as recorder:
        for tick in ticks[:4]:
            recorder.record(tick)
        wait_until(lambda: recorder.health.recorded_ticks == 4)
        shutil.rmtree(directory)
        for tick in ticks[4:]:
            recorder.record(tick)
        wait_until(lambda: recorder.health.recorded_ticks + recorder.health.lost_ticks == 40)
        assert recorder.health.failure is None
    assert recorder.health.lost_ticks == 1
    assert len(failures()) == 1
    kept = list(open_recording(directory))
    assert kept == snapshots_of(ticks)[-len(kept) :]
    assert len(kept) > 20


def test_a_slow_disk_loses_ticks_but_never_blocks_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ticks = busy_ticks(200)
    released, write = threading.Event(), os.write

    def slow(descriptor: int, data: bytes) -> int:
        assert released.wait(30)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", slow)
    with Recorder(tmp_path) as recorder:
        for tick in ticks:
            recorder.record(tick)
        assert recorder.health.lost_ticks >= 200 - 61
        assert recorder.health.failure == "the disk of the recording is too slow"
        assert [record.getMessage() for record in caplog.records] == [
            "the disk of the recording is too slow; ticks are lost"
        ]
        released.set()
        wait_until(lambda: recorder.health.recorded_ticks == 200 - recorder.health.lost_ticks)
        recorder.record(busy_ticks(1, "another run")[0])
        wait_until(lambda: recorder.health.failure is None)
    assert list(open_recording(tmp_path))


def test_a_directory_that_cannot_be_written_to_is_an_error_of_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recording(tmp_path, busy_ticks(4), finish=False)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RecordingError, match=r"cannot record to '.*': No space left on device"):
        RecordingWriter(tmp_path)
    monkeypatch.undo()
    RecordingWriter(tmp_path).close()
    assert list(open_recording(tmp_path)) == snapshots_of(busy_ticks(4))
