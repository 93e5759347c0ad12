"""How the processes of a recorded machine behave, as far as it decides the size of its recording.

``python -m benchmarks.activity DIR`` prints a Markdown table for a recording, and beside it for a crowd of as many
processes (:mod:`benchmarks.crowd_readings`).
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice, pairwise
from math import log
from pathlib import Path

from benchmarks.crowd_readings import Crowd, crowd_readings, live_ticks
from benchmarks.tables import markdown_table
from cpuwatch import open_recording
from cpuwatch.recording.difference import tick_record
from cpuwatch.recording.records import TickRecord

__all__ = ["activity"]

_MIN_RUNS = 20
"""Of a process whose scatter is shown."""
_NS_PER_US = 1000


def activity(records: Sequence[TickRecord]) -> dict[str, str]:
    """The figures of some consecutive ticks."""
    amounts_ns: defaultdict[int, list[int]] = defaultdict(list)
    for record in records:
        for pid, cpu_ns in zip(record.pids, record.cpu_ns, strict=True):
            amounts_ns[pid].append(cpu_ns)
    count = len(records)
    rows = sum(map(len, amounts_ns.values()))
    shares = [len(each) / count for each in amounts_ns.values()]

    def in_share(low: float, high: float) -> str:
        return f"{sum(share * count for share in shares if low < share <= high) / rows:.0%}"

    logarithms = [[log(max(1, amount)) for amount in each] for each in amounts_ns.values() if len(each) >= _MIN_RUNS]
    amounts = [amount / _NS_PER_US for each in amounts_ns.values() for amount in each]
    whole_ticks = sum(
        bool(user_ns or system_ns)
        for record in records
        for user_ns, system_ns in zip(record.user_ns, record.system_ns, strict=True)
    )
    return {
        "processes that run in a tick": f"{rows / count:.1f}",
        "of these, that run in > 90 % of the ticks": in_share(0.9, 1),
        "in 50 to 90 %": in_share(0.5, 0.9),
        "in 10 to 50 %": in_share(0.1, 0.5),
        "in less": in_share(0, 0.1),
        "CPU of a run, deciles, µs": _deciles(amounts, "{:,.0f}"),
        "scatter within a process (of the logarithm), deciles": _deciles(
            list(map(statistics.pstdev, logarithms)), "{:.2f}"
        ),
        "scatter between processes (of the logarithm)": f"{statistics.pstdev(map(statistics.median, logarithms)):.2f}",
        "runs in which a hundredth of a second passed": f"{whole_ticks / rows:.0%}",
        "new or renamed processes a tick": f"{sum(len(record.identities) for record in records) / count:.2f}",
        "exits a tick": f"{sum(len(record.exits) for record in records) / count:.2f}",
        "ticks with a new load average": f"{sum(record.load_average is not None for record in records) / count:.0%}",
    }


def _deciles(values: Sequence[float], form: str) -> str:
    return " ".join(form.format(value) for value in statistics.quantiles(values, n=10))


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path, metavar="DIR")
    options = parser.parse_args()

    segments = open_recording(options.recording).segments
    parts = [part for segment in segments.listed() for part in segments.parts(segment)]
    records = [tick for part in parts for tick in part.ticks]
    real = activity(records)
    crowd = Crowd(len(parts[0].key.tick.pids), round(float(real["processes that run in a tick"])), forks=2.0)
    made = activity([tick_record(*pair) for pair in pairwise(islice(live_ticks(crowd_readings(crowd)), len(records)))])
    print(f"{len(records):,} ticks, {crowd.processes:,} processes in the first.\n")
    rows = ([name, text, made[name]] for name, text in real.items())
    print(markdown_table(["", "recorded", "crowd"], rows))


if __name__ == "__main__":
    main()
