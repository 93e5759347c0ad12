"""docs/recording-format.md is complete: a reader written from it finds what was recorded."""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import independent_reader
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict
from recorded_runs import runs
from small_recordings import SMALL, busy_ticks, write_recording

from cpuwatch import ProcessTimes, open_recording
from cpuwatch.recording.writer import RecordingWriter
from cpuwatch.sampled_tick import SampledTick

DOCUMENT = Path(__file__).parents[2] / "docs" / "recording-format.md"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


def process_fields(times: ProcessTimes) -> dict[str, Any]:
    fields = asdict(times)
    namespace = fields["pid_namespace"]
    return {
        **fields,
        "start_time": us(times.start_time),
        "first_seen": us(times.first_seen),
        "pid_namespace": None if namespace is None else asdict(namespace),
    }


def found_fields(found: dict[str, Any]) -> dict[str, Any]:
    fields = {**found, "start_time": found["start_us"], "first_seen": found["first_seen_us"]}
    if not fields.pop("has_children_time"):
        fields["children_ns"] = None
    if fields["cpu_cgroup"] is True:
        fields["cpu_cgroup"] = fields["cgroup"]
    del fields["start_us"], fields["first_seen_us"]
    return fields


def check(state: independent_reader.State, tick: SampledTick) -> None:
    reading, found = tick.reading, state.tick
    assert (state.run, found["number"]) == (tick.run, tick.number)
    assert found["sequence"] == (0 if tick.snapshot is None else tick.snapshot.sequence)
    assert found["time_us"] == us(reading.time)
    for name in ("monotonic_ns", "uptime_ns", "sweep_ns"):
        assert found[name] == getattr(reading, name)
    for name in ("lateness_ns", "missed_ticks", "failed_ticks"):
        assert found[name] == getattr(tick, name)
    assert state.excess_ns == tick.carry.excess_ns
    assert {pid: found_fields(fields) for pid, fields in state.processes.items()} == {
        pid: process_fields(times) for pid, times in reading.processes.items()
    }
    assert (found["order"] or sorted(state.processes)) == list(reading.processes)
    assert found["exits"] == [asdict(one) for one in reading.exits]
    assert state.known_cgroups() == {path: asdict(times) for path, times in reading.cgroups.items()}
    load = reading.machine.load_average
    assert state.load_average == (None if load is None else list(load))
    assert state.pressure_ns == reading.machine.pressure_ns
    machine = {-1: reading.machine.total, **reading.machine.per_cpu}
    assert state.cpu_counters() == {
        number: {name.removesuffix("_ns"): value for name, value in asdict(times).items() if value is not None}
        for number, times in machine.items()
    }
    context = state.context
    assert context["host"] == asdict(reading.host)
    assert context["hidden_parents"] == sorted(reading.hidden_parents)
    for name in [
        "start_resolution_ns",
        "unreadable",
        "exited_names",
        "lost_exits",
        "unexpected_messages",
        "present_cpus",
        "hidden",
    ]:
        assert context[name] == getattr(reading, name)


@pytest.mark.parametrize("finish", [False, True])
@settings(max_examples=60)
@given(ticks=runs(max_ticks=7), missing=st.none() | st.integers(1, 6))
def test_an_independent_reader_finds_every_reading(finish: bool, ticks: list[SampledTick], missing: int | None) -> None:
    given_ticks = [tick for tick in ticks if tick.number != missing] or ticks
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_recording(directory, given_ticks, finish=finish)
        found = independent_reader.states(directory)
        # A segment of only a key holds no snapshot, and is not kept when it is finished.
        if finish and not list(directory.glob("*.block")):
            return
        wanted = iter(given_ticks)
        for state in found:
            check(state, next(wanted))
        assert next(wanted, None) is None


def test_an_independent_reader_passes_over_damage(tmp_path: Path) -> None:
    ticks = busy_ticks(8)
    write_recording(tmp_path, ticks, finish=False)
    path = tmp_path / "00000001.log"
    data = path.read_bytes()
    for offset in range(len(data)):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << offset % 8
        path.write_bytes(flipped)
        numbers = [state.tick["number"] for state in independent_reader.states(tmp_path) if state.tick["sequence"]]
        kept = [one.sequence + 1 for one in open_recording(tmp_path)]
        # A key behind damage is a reading too, although there is no snapshot from it.
        assert set(kept) <= set(numbers)


def test_an_independent_reader_finds_the_sums(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path, log_size=SMALL) as writer:
        for tick in busy_ticks(8, names=["work", "play"]):
            writer.write(tick)
    assert independent_reader.name_totals(tmp_path / "00000001.sums") == {"work": (7000, 0), "play": (7000, 0)}


def test_an_independent_reader_finds_the_sums_of_several_segments(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path, log_size=SMALL) as writer:
        for tick in busy_ticks(80, names=["work", "play"]):
            writer.write(tick)
    parts = [independent_reader.name_totals(tmp_path / f"{number:08}.sums") for number in range(1, 9)]
    own = sum(part["work"][0] for part in parts)
    assert independent_reader.name_totals(tmp_path / "00000008.sums8") == {"work": (own, 0), "play": (own, 0)}


def test_the_example_in_the_document_is_what_is_written(tmp_path: Path) -> None:
    lines = re.findall(r"^([0-9a-f]{4})  ((?:[0-9a-f]{2} ?)+)", DOCUMENT.read_text(), re.MULTILINE)
    write_recording(tmp_path, busy_ticks(2), finish=False)
    data = (tmp_path / "00000001.log").read_bytes()
    assert bytes.fromhex("".join(text for _, text in lines)) == data
    assert [int(offset, 16) for offset, _ in lines] == list(range(0, len(data), 16))
