"""A recording and real trouble: writers that are killed, and a disk that is full or read-only."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_recordings import SMALL, busy_ticks, snapshots_of, write_recording

from cpuwatch import TickId, open_recording
from cpuwatch.errors import RecordingError, RecordingLockedError
from cpuwatch.recording import recorder as recorder_module
from cpuwatch.recording.recorder import Recorder
from cpuwatch.recording.writer import LogSize, RecordingWriter

KILLS = 40
TICKS = 500


def _record_until_killed(directory: Path, run: str, reports: int) -> None:
    with RecordingWriter(directory, log_size=LogSize(ticks=20, key_ticks=5)) as writer:
        for tick in busy_ticks(TICKS, run):
            writer.write(tick)
            os.write(reports, b".")


def _fork_writer(directory: Path, run: str) -> tuple[int, int]:
    """Start a process that records as fast as it can, and writes a byte for each tick that is recorded."""
    reading_end, writing_end = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.close(reading_end)
            _record_until_killed(directory, run, writing_end)
            status = 0
        finally:
            os._exit(status)
    os.close(writing_end)
    return pid, reading_end


def test_a_writer_that_is_killed_loses_at_most_the_tick_that_it_was_writing(tmp_path: Path) -> None:
    chance = random.Random(1)  # noqa: S311  the same kills in every run
    expected = {}
    for number in range(KILLS):
        run = f"run {number}"
        pid, reports = _fork_writer(tmp_path, run)
        reported = len(os.read(reports, 1))
        time.sleep(chance.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while data := os.read(reports, 65536):
            reported += len(data)
        os.close(reports)
        recording = open_recording(tmp_path)
        kept = [one for one in recording.after(TickId(run, 0)) if one.sampling.run == run]
        assert kept == snapshots_of(busy_ticks(len(kept) + 1, run))
        # The last tick may have been written, but not reported.
        assert reported - 1 <= len(kept) <= reported
        assert not recording.damage
        expected[run] = len(kept)
    RecordingWriter(tmp_path).close()
    found = dict.fromkeys(expected, 0)
    for one in open_recording(tmp_path):
        found[one.sampling.run or ""] += 1
    assert found == expected
    assert sum(found.values()) > KILLS


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True, timeout=30)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", "size=1m", "cpuwatch-test", str(disk))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting a tmpfs needs root: {error}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True, timeout=30)


def _wait_for(recorder: Recorder, ticks: int) -> None:
    """Wait until this many ticks are recorded or lost."""
    deadline = time.monotonic() + 30
    while (health := recorder.health).recorded_ticks + health.lost_ticks < ticks:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


def test_recording_goes_on_after_the_disk_was_full(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder_module, "_RETRY_SECONDS", 0.05)
    directory = small_disk / "recording"
    ticks = busy_ticks(400)
    with Recorder(directory, log_size=LogSize(ticks=200)) as recorder:
        for tick in ticks[:5]:
            recorder.record(tick)
        _wait_for(recorder, 5)
        _fill(small_disk / "ballast")
        given = 5
        while recorder.health.failure is None:
            recorder.record(ticks[given])
            given += 1
            _wait_for(recorder, given)
        failed_at = given
        assert "No space left on device" in recorder.health.failure
        for tick in ticks[given : given + 50]:
            recorder.record(tick)
        given += 50
        _wait_for(recorder, given)
        assert sum(record.levelname == "ERROR" for record in caplog.records) == 1
        (small_disk / "ballast").unlink()
        while recorder.health.failure is not None:
            time.sleep(0.06)
            recorder.record(ticks[given])
            given += 1
            _wait_for(recorder, given)
        resumed_at = given
        for tick in ticks[given : given + 10]:
            recorder.record(tick)
        _wait_for(recorder, given + 10)
        assert recorder.health.failure is None
    kept = list(open_recording(directory))
    # The tick whose write failed is lost; the one with which recording resumes is a key.
    assert kept == snapshots_of(ticks)[: failed_at - 2] + snapshots_of(ticks)[resumed_at - 1 : resumed_at + 9]


def test_a_read_only_disk_can_be_read_and_is_one_error_for_a_writer(small_disk: Path) -> None:
    write_recording(small_disk / "recording", busy_ticks(12), finish=False)
    _mount("-o", "remount,ro", str(small_disk))
    assert list(open_recording(small_disk / "recording")) == snapshots_of(busy_ticks(12))
    with pytest.raises(RecordingError, match=r"cannot record to '.*': Read-only file system"):
        Recorder(small_disk / "recording")
    with pytest.raises(RecordingError, match=r"cannot record to '.*': Read-only file system"):
        Recorder(small_disk / "new")


def test_a_writer_in_another_process_is_named(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from cpuwatch.recording.writer import RecordingWriter\n"
        f"with RecordingWriter(Path({str(tmp_path)!r})):\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(RecordingLockedError, match=f"process {other.pid} on .* is recording to it"):
            RecordingWriter(tmp_path)
        other.communicate(timeout=30)
    with RecordingWriter(tmp_path, log_size=SMALL) as writer:
        for tick in busy_ticks(3):
            writer.write(tick)
    assert list(open_recording(tmp_path)) == snapshots_of(busy_ticks(3))
