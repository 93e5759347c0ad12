"""The history in memory returns the same snapshots after they are packed, in less memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given, settings
from msgspec.structs import replace
from readings import SECOND, process, reading
from recorded_runs import live_ticks, runs

from cpuwatch import Reading
from cpuwatch.history import SnapshotHistory
from cpuwatch.recording import memory
from cpuwatch.recording.memory import HistoryPacker
from cpuwatch.sampled_tick import SampledTick

UNLIMITED = 2**40
PIDS = range(10, 110)
TICKS = 600


def packed(ticks: list[SampledTick]) -> SnapshotHistory:
    history = SnapshotHistory(10**6, UNLIMITED)
    packer = HistoryPacker(history)
    for tick in ticks:
        if tick.snapshot is not None:
            history.append(tick.snapshot)
        packer.add(tick)
    return history


def steady(count: int) -> Iterator[Reading]:
    """Every process runs in each second, a different amount each time."""
    processes = {pid: process(pid, name=f"work {pid}", children_ns=0) for pid in PIDS}
    for number in range(count):
        for pid, known in processes.items():
            used_ns = 1_000_000 * (pid % 7) + 1_003 * ((number * pid) % 997)
            processes[pid] = replace(known, cpu_ns=known.cpu_ns + used_ns)
        yield reading(*processes.values(), at_ns=(100 + number) * SECOND)


@settings(max_examples=40)
@given(runs(min_ticks=6, max_ticks=12))
def test_packed_snapshots_equal_the_live_ones(ticks: list[SampledTick]) -> None:
    live = [tick.snapshot for tick in ticks if tick.snapshot is not None]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(memory, "MAX_TICKS", 3)
        history = packed(ticks)
    assert list(history) == live
    assert list(history.between()) == live
    for one in reversed(live):
        assert next(history.after(one.sequence - 1)) == one


def test_every_order_of_reading_gives_the_right_snapshots() -> None:
    ticks = list(live_ticks(steady(TICKS)))
    history = packed(ticks)
    forward, backward = iter(history), [history.at(tick.reading.time) for tick in reversed(ticks[1:])]
    for tick, other in zip(ticks[1:], reversed(backward), strict=True):
        assert next(forward) == tick.snapshot == other
    assert next(history.between(ticks[100].reading.time)).time == ticks[100].reading.time + timedelta(seconds=1)


def test_a_packed_history_takes_less_than_a_quarter_of_the_memory() -> None:
    def used_bytes(pack: bool) -> int:
        history = SnapshotHistory(10**6, UNLIMITED)
        packer = HistoryPacker(history)
        gc.collect()
        tracemalloc.start()
        try:
            for tick in live_ticks(steady(TICKS)):
                if tick.snapshot is not None:
                    history.append(tick.snapshot)
                if pack:
                    packer.add(tick)
            gc.collect()
            taken_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(history) == TICKS - 1
        return taken_bytes

    assert used_bytes(pack=True) < used_bytes(pack=False) / 4


def test_the_estimate_of_a_packed_history_is_not_below_its_memory() -> None:
    gc.collect()
    tracemalloc.start()
    try:
        history = packed(list(live_ticks(steady(TICKS))))
        gc.collect()
        taken_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # What the packer holds of the block that is not full, and the entries of the history.
    assert taken_bytes <= 1.1 * history.estimated_bytes + 1000 * len(PIDS) + 500 * TICKS


def test_ticks_that_cannot_be_packed_stay_as_they_are() -> None:
    readings = list(steady(10))
    nonsense = replace(readings[4].processes[10], name="\udcff")
    readings[4] = replace(readings[4], processes={**readings[4].processes, 10: nonsense})
    ticks = list(live_ticks(readings))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(memory, "MAX_TICKS", 2)
        history = packed(ticks)
    assert list(history) == [tick.snapshot for tick in ticks[1:]]
