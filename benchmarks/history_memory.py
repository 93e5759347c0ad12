"""The memory of the history: snapshots as they are, and packed into blocks of readings.

``python -m benchmarks.history_memory`` keeps ticks of a crowd as the monitor does, and prints what an hour takes,
beside the estimate that limits the history.
"""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from dataclasses import dataclass
from itertools import islice

from benchmarks.crowd_readings import Crowd, crowd_readings, live_ticks
from benchmarks.loadgen.plan import count
from benchmarks.tables import markdown_table
from cpuwatch.history import SnapshotHistory
from cpuwatch.recording.memory import HistoryPacker
from cpuwatch.sampled_tick import SampledTick

__all__ = ["HOUR", "HistoryMemory", "history_memory"]

HOUR = 3600
_MAX_BYTES = 2**40
_PACKED_TICKS = 60
"""The longest block."""


@dataclass(frozen=True, slots=True)
class HistoryMemory:
    """What the history took after ``ticks`` ticks, what it estimated, and what each further tick adds to it."""

    ticks: int
    taken_bytes: int
    estimated_bytes: int
    bytes_a_tick: float

    def after(self, ticks: int) -> float:
        """The bytes after this number of ticks. Blocks are independent of each other, so memory grows evenly."""
        return self.taken_bytes + (ticks - self.ticks) * self.bytes_a_tick


def history_memory(crowd: Crowd, ticks: int, *, packed: bool) -> HistoryMemory:
    """The memory of the history after these ticks, at least two of the longest blocks."""
    source = live_ticks(crowd_readings(crowd))
    next(source)
    gc.collect()
    tracemalloc.start()
    try:
        history = SnapshotHistory(ticks, _MAX_BYTES)
        packer = HistoryPacker(history) if packed else None
        sizes = [_add(history, packer, tick) for tick in islice(source, ticks)]
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
        estimated_bytes = history.estimated_bytes
        # What the crowd and its newest reading need is not the history's.
        del history, packer
        gc.collect()
        rest, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return HistoryMemory(ticks, taken - rest, estimated_bytes, _growth(sizes))


def _add(history: SnapshotHistory, packer: HistoryPacker | None, tick: SampledTick) -> int:
    if tick.snapshot is not None:
        history.append(tick.snapshot)
    if packer is not None:
        packer.add(tick)
    return tracemalloc.get_traced_memory()[0]


def _growth(sizes: list[int]) -> float:
    """Bytes a tick between the lowest points of two stretches, each as long as the longest block.

    Memory falls when a block is packed. Between other points, the snapshots that wait would count as growth.
    """
    middle, end = len(sizes) - _PACKED_TICKS, len(sizes)
    first = min(range(middle - _PACKED_TICKS, middle), key=sizes.__getitem__)
    second = min(range(middle, end), key=sizes.__getitem__)
    return (sizes[second] - sizes[first]) / (second - first)


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=count(1), default=1000)
    parser.add_argument("--running", type=count(1), default=50, help="of the processes, in an average second")
    parser.add_argument("--ticks", type=count(2 * _PACKED_TICKS), default=600, help="measured; an hour follows from it")
    options = parser.parse_args()

    crowd = Crowd(options.processes, options.running, forks=options.processes / 500)
    rows = []
    for name, packed in (("snapshots", False), ("packed", True)):
        taken = history_memory(crowd, options.ticks, packed=packed)
        sizes = (taken.taken_bytes, taken.estimated_bytes, taken.after(HOUR))
        rows.append([name, *(f"{size / 1e6:.2f}" for size in sizes), f"{taken.bytes_a_tick / crowd.running:.0f}"])
    print(f"{crowd.processes:,} processes, {crowd.running:,} of which run each second.\n")
    headings = ["history", f"{options.ticks} ticks, MB", "its estimate, MB", "an hour, MB", "bytes a process and tick"]
    print(markdown_table(headings, rows))


if __name__ == "__main__":
    main()
