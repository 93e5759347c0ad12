"""The memory of the history: bytes per active process and tick.

``python -m benchmarks.history_memory`` starts processes, samples them like the monitor, and prints the memory of the
kept snapshots beside the estimate that limits the history.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import cpuwatch
from benchmarks.processes import forked
from cpuwatch.history import SnapshotHistory

_WARM_UP_TICKS = 3
_MAX_BYTES = 2**40


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=200, help="active processes; the same number is idle")
    parser.add_argument("--ticks", type=int, default=30)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two readings")
    options = parser.parse_args()

    history = SnapshotHistory(options.ticks, _MAX_BYTES)
    with forked(2 * options.processes, 0.5), cpuwatch.open_sampler() as sampler:
        earlier = sampler.read()
        active = processes = 0
        for tick in range(_WARM_UP_TICKS + options.ticks):
            if tick == _WARM_UP_TICKS:
                tracemalloc.start()
                history, active = SnapshotHistory(options.ticks, _MAX_BYTES), 0
            time.sleep(options.interval)
            later = sampler.read()
            snapshot = cpuwatch.usage(earlier, later, sequence=tick + 1)
            history.append(snapshot)
            processes = len(snapshot.processes)
            active += sum(bool(row.cpu_percent) for row in snapshot.processes)
            earlier = later
        taken_bytes, _ = tracemalloc.get_traced_memory()
    print(f"{options.ticks} ticks of {processes} processes, {active / options.ticks:.0f} of them active:")
    idle_bytes = 8 * (processes * options.ticks - active)
    print(f"{taken_bytes / 1e6:.2f} MB, estimated as {history.estimated_bytes / 1e6:.2f} MB;")
    print(f"{(taken_bytes - idle_bytes) / active:.0f} bytes for each active process and tick, 8 for each other one")


if __name__ == "__main__":
    main()
