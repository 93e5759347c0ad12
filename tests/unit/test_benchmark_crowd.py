"""The crowd of the recording's benchmarks, its recording, and the memory of its history."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import pytest

from benchmarks.activity import activity
from benchmarks.crowd_readings import START, Crowd, crowd_readings, live_ticks
from benchmarks.crowd_recording import bytes_of, crowd_recording, record, repeat_day
from benchmarks.history_memory import history_memory
from cpuwatch import open_recording
from cpuwatch.model import MachineTimes, Reading
from cpuwatch.recording.difference import tick_record

CROWD = Crowd(60, 12, forks=2.0, cpus=4)
TICKS = 300


@pytest.fixture(scope="module")
def readings() -> list[Reading]:
    return list(islice(crowd_readings(CROWD), TICKS))


def test_the_same_crowd_gives_the_same_readings(readings: list[Reading]) -> None:
    assert list(islice(crowd_readings(CROWD), 20)) == readings[:20]
    assert list(islice(crowd_readings(Crowd(60, 12, forks=2.0, cpus=4, seed=2)), 20)) != readings[:20]


def test_no_counter_of_a_living_process_decreases(readings: list[Reading]) -> None:
    for earlier, later in pairwise(readings):
        for pid, now in later.processes.items():
            before = earlier.processes.get(pid)
            if before is not None:
                assert now.key == before.key
                assert (now.cpu_ns, now.user_ns, now.system_ns) >= (before.cpu_ns, 0, 0)
                assert now.user_ns >= before.user_ns
                assert now.system_ns >= before.system_ns
                assert (now.children_ns or 0) >= (before.children_ns or 0)


def test_the_ticks_of_a_process_follow_its_clock(readings: list[Reading]) -> None:
    for process in readings[-1].processes.values():
        assert process.user_ns % 10_000_000 == process.system_ns % 10_000_000 == 0
        assert 0 <= process.cpu_ns - process.user_ns - process.system_ns < 30_000_000 + process.cpu_ns // 100


def test_idle_processes_are_the_same_records(readings: list[Reading]) -> None:
    for earlier, later in pairwise(readings):
        same = sum(
            later.processes[pid] is process for pid, process in earlier.processes.items() if pid in later.processes
        )
        assert same > len(earlier.processes) // 2


def test_as_many_run_as_asked(readings: list[Reading]) -> None:
    ran = [
        sum(later.processes[pid] is not process for pid, process in earlier.processes.items() if pid in later.processes)
        for earlier, later in pairwise(readings)
    ]
    assert 0.8 * CROWD.running < sum(ran) / len(ran) < 1.4 * CROWD.running


def test_processes_come_and_go_and_their_exits_are_reported(readings: list[Reading]) -> None:
    pids = [set(reading.processes) for reading in readings]
    gone = sum(len(earlier - later) for earlier, later in pairwise(pids))
    exits = [exit_ for reading in readings for exit_ in reading.exits]
    assert 0 < gone < len(exits)
    assert 1.5 * TICKS < len(exits) < 2.5 * TICKS


def test_the_machine_used_what_its_processes_used(readings: list[Reading]) -> None:
    def busy_ns(machine: MachineTimes) -> int:
        return machine.total.user_ns + machine.total.system_ns

    earlier, later = readings[0], readings[-1]
    used_ns = sum(
        process.cpu_ns - earlier.processes[pid].cpu_ns
        for pid, process in later.processes.items()
        if pid in earlier.processes
    )
    assert busy_ns(later.machine) - busy_ns(earlier.machine) == pytest.approx(used_ns, rel=0.1)


def test_snapshots_of_a_crowd_have_usage() -> None:
    ticks = list(islice(live_ticks(crowd_readings(CROWD)), 20))
    assert ticks[0].snapshot is None
    for number, tick in enumerate(ticks[1:], start=1):
        assert tick.snapshot is not None
        assert tick.snapshot.sequence == number
        assert tick.snapshot.machine.cpu_percent is not None
        assert any(row.cpu_percent for row in tick.snapshot.processes)


def test_activity_of_a_crowd() -> None:
    ticks = list(islice(live_ticks(crowd_readings(CROWD)), TICKS))
    figures = activity([tick_record(*pair) for pair in pairwise(ticks)])
    assert float(figures["processes that run in a tick"]) == pytest.approx(CROWD.running, rel=0.4)
    assert figures["ticks with a new load average"] == "20%"


def test_copies_of_a_day_are_a_day_later(tmp_path: Path) -> None:
    ticks = list(islice(live_ticks(crowd_readings(CROWD)), 100))
    once, twice = tmp_path / "once", tmp_path / "twice"
    for directory in (once, twice):
        record(directory, ticks)
    repeat_day(twice, 2)
    first, both = list(open_recording(once)), list(open_recording(twice))
    assert first == [tick.snapshot for tick in ticks if tick.snapshot is not None] == both[: len(first)]
    for earlier, later in zip(first, both[len(first) :], strict=True):
        assert (later.time - earlier.time).total_seconds() == 86_400
        assert later.attribution == earlier.attribution
        assert len(later.processes) == len(earlier.processes)
        assert any(row.first_seen > START for row in earlier.processes) == any(
            row.key not in {row.key for row in earlier.processes} for row in later.processes
        )


def test_a_recording_is_made_once(tmp_path: Path) -> None:
    made = crowd_recording(tmp_path, CROWD, 30)
    written = {path: path.stat().st_mtime_ns for path in made.iterdir()}
    assert crowd_recording(tmp_path, CROWD, 30) == made
    assert {path: path.stat().st_mtime_ns for path in made.iterdir()} == written
    assert len(list(open_recording(made))) == 30


def test_the_bytes_of_a_recording_are_those_of_its_segments(tmp_path: Path) -> None:
    made = crowd_recording(tmp_path, CROWD, 30)
    size = bytes_of(made)
    assert size.total == sum(path.stat().st_size for path in made.iterdir() if path.suffix in {".block", ".sums"})
    assert min(size.ticks, size.keys, size.sums) > 0


def test_packing_takes_a_fraction_of_the_memory() -> None:
    snapshots, packed = (history_memory(CROWD, 240, packed=packed) for packed in (False, True))
    assert packed.after(3600) < snapshots.after(3600) / 4
    assert snapshots.after(240) == snapshots.taken_bytes
