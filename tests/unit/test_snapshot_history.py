from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace
from readings import BOOT, SECOND, process, reading, snapshot

from cpuwatch import ExitedUsage, ProcessTimes, Snapshot, usage
from cpuwatch.history import SnapshotHistory

UNLIMITED = 2**40
TICKS = 30
PIDS = range(10, 210)
MAX_BYTES_PER_ACTIVE_PROCESS_AND_TICK = 200

Processes = list[ProcessTimes]


def used(pid: int, tick: int) -> ProcessTimes:
    """Return the record of a process that used a unique amount of CPU in this tick. All texts are new objects."""
    used_ns = tick * SECOND + 1_000_003 * pid * tick
    name = f"work {pid}"
    return process(pid, cpu_ns=used_ns, user_ns=used_ns // 3, system_ns=used_ns // 2, children_ns=0, name=name)


def all_run() -> Iterator[Processes]:
    """Every process runs in every tick. As with procfs, unchanged values are the same objects."""
    first = {pid: replace(used(pid, 0), first_seen=BOOT) for pid in PIDS}
    for tick in range(TICKS + 1):
        yield [
            replace(known, cpu_ns=new.cpu_ns, user_ns=new.user_ns, system_ns=new.system_ns)
            for known, new in ((known, used(known.pid, tick)) for known in first.values())
        ]


def every_other_runs() -> Iterator[Processes]:
    """Every other process runs, so each tick has new rows of running processes and of idle ones."""
    known = {pid: used(pid, 0) for pid in PIDS}
    for tick in range(TICKS + 1):
        known |= {pid: used(pid, tick) for pid in PIDS if (tick + pid) % 2}
        yield list(known.values())


def all_are_new() -> Iterator[Processes]:
    """All processes are new, as with a shell loop, with command lines and cgroups."""
    for tick in range(TICKS + 1):
        yield [
            replace(
                process(pid, cpu_ns=1_000_003 * pid, start_ns=(99 + tick) * SECOND + pid, name=f"job {pid}"),
                command_line=f"job {pid} " + "x" * 400,
                cgroup=f"/a/{pid}.scope",
            )
            for pid in range(10 + tick * len(PIDS), 10 + (tick + 1) * len(PIDS))
        ]


def all_retitle() -> Iterator[Processes]:
    """All processes change their titles, as in PostgreSQL. As with psutil, all texts are new objects."""
    for tick in range(TICKS + 1):
        yield [replace(used(pid, tick), command_line=f"postgres: {tick} {pid} " + "x" * 300) for pid in PIDS]


def snapshots_of(ticks: Iterator[Processes]) -> Iterator[Snapshot]:
    """Make a snapshot a second. A record that is the same object in two ticks has not run."""
    earlier = reading(*next(ticks))
    for tick, processes in enumerate(ticks, 1):
        later = reading(*processes, at_ns=(100 + tick) * SECOND)
        yield usage(earlier, later, sequence=tick)
        earlier = later


def filled(ticks: Iterator[Processes], max_bytes: int = UNLIMITED) -> tuple[SnapshotHistory, int]:
    """Return a history of these snapshots, and the bytes of memory it actually uses."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        history = SnapshotHistory(TICKS, max_bytes)
        for taken in snapshots_of(ticks):
            history.append(taken)
        # The newest reading of the sampler is freed by now, except for objects that rows share with it.
        # Free what other tests left for the garbage collector.
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return history, after - before


@pytest.mark.parametrize("ticks", [all_run, every_other_runs, all_are_new, all_retitle])
def test_the_estimate_is_slightly_above_the_memory_used(ticks: Callable[[], Iterator[Processes]]) -> None:
    history, taken_bytes = filled(ticks())
    assert len(history) == TICKS
    # Objects that the first snapshot shares with all others, and the history itself.
    assert taken_bytes <= 1.1 * history.estimated_bytes + 1000 * len(PIDS)
    assert history.estimated_bytes <= 1.6 * taken_bytes


def test_an_active_process_takes_little_memory_in_each_tick() -> None:
    _, taken_bytes = filled(all_run())
    assert taken_bytes / TICKS / len(PIDS) <= MAX_BYTES_PER_ACTIVE_PROCESS_AND_TICK


@pytest.mark.parametrize("ticks", [all_run, every_other_runs, all_are_new, all_retitle])
def test_the_oldest_snapshots_are_dropped_at_the_byte_limit(ticks: Callable[[], Iterator[Processes]]) -> None:
    everything, _ = filled(ticks())
    half_bytes = everything.estimated_bytes // 2
    history, taken_bytes = filled(ticks(), half_bytes)
    assert history.estimated_bytes <= half_bytes
    assert taken_bytes <= 1.1 * half_bytes + 1000 * len(PIDS)
    sequences = [taken.sequence for taken in history]
    assert sequences == list(range(TICKS - len(history) + 1, TICKS + 1))
    assert TICKS // 3 < len(history) < TICKS


def test_the_number_of_snapshots_is_limited() -> None:
    history = SnapshotHistory(3, UNLIMITED)
    for sequence in range(1, 6):
        history.append(snapshot(sequence=sequence))
    assert [taken.sequence for taken in history] == [3, 4, 5]
    assert history.latest is not None
    assert history.latest.sequence == 5


def test_the_newest_snapshot_is_kept_even_if_it_is_too_large() -> None:
    history = SnapshotHistory(600, 1)
    for sequence in (1, 2):
        history.append(snapshot((10, SECOND), sequence=sequence))
    assert [taken.sequence for taken in history] == [2]


def test_exited_rows_and_rows_in_a_plain_list_are_counted() -> None:
    plain, with_rows, with_exits = (SnapshotHistory(1, UNLIMITED) for _ in range(3))
    exited = ExitedUsage("sh", "nobody", 10, "work", 1, 0.5, 0.25)
    plain.append(snapshot())
    with_rows.append(replace(snapshot(), processes=list(snapshot((10, SECOND), (11, SECOND)).processes)))
    with_exits.append(replace(snapshot(), exited=[exited] * 100))
    assert with_rows.estimated_bytes >= plain.estimated_bytes + 2 * 300
    assert with_exits.estimated_bytes >= plain.estimated_bytes + 100 * 200
