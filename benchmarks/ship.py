"""The size and cost of shipping: ``python -m benchmarks.ship`` records synthetic machines, and ships half an hour.

Prints the bytes of each table for a tick, as Parquet in a directory, the files for a block, and the CPU of shipping in
percent of the recorded time.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.crowd_readings import Crowd
from benchmarks.crowd_recording import bytes_of, crowd_recording
from benchmarks.servers import find_program
from benchmarks.tables import markdown_table
from cpuwatch.encoding.flat_tables import FLAT_TABLES

_CROWDS = (Crowd(100, 10, forks=0.2), Crowd(1000, 50, forks=2.0))


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=1800)
    options = parser.parse_args()
    program = find_program("cpuwatch")
    if program is None:
        parser.error("cpuwatch: command not found")
    rows = []
    for crowd in _CROWDS:
        with tempfile.TemporaryDirectory() as folder:
            recording = crowd_recording(Path(folder), crowd, options.seconds)
            lake = Path(folder) / "lake"
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([program, "ship", recording, lake], check=True, stderr=sys.stderr)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            sizes = {name: _bytes(lake / name) / options.seconds for name in FLAT_TABLES}
            blocks = len(list(recording.glob("*.block")))
            rows.append(
                [
                    f"{crowd.processes}, {crowd.running}",
                    f"{bytes_of(recording).total / options.seconds:.0f}",
                    *(f"{size:.0f}" for size in sizes.values()),
                    f"{sum(sizes.values()) * 86_400 / 1e6:.1f}",
                    f"{len(list(lake.rglob('*.parquet'))) / blocks:.1f}",
                    f"{100 * cpu_seconds / options.seconds:.2f}",
                ]
            )
    tables = [f"{name}, bytes a tick" for name in FLAT_TABLES]
    headings = [
        "processes, running",
        "recording, bytes a tick",
        *tables,
        "MB a day",
        "files a block",
        "CPU, % of a core",
    ]
    print(markdown_table(headings, rows))


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


if __name__ == "__main__":
    main()
