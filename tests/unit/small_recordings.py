"""Small recordings for tests: ticks with simple arithmetic, and the directories into which a writer puts them."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from readings import SECOND, process, reading
from recorded_runs import RUN, live_ticks

from cpuwatch import Snapshot
from cpuwatch.recording.writer import LogSize, RecordingWriter
from cpuwatch.sampled_tick import SampledTick

SMALL = LogSize(ticks=8, key_ticks=2)


def busy_ticks(count: int, run: str = RUN, *, names: Sequence[str] = ("work",)) -> list[SampledTick]:
    """Ticks of a machine with a process of each name, all of which run in every second."""
    return list(
        live_ticks(
            (
                reading(
                    *(
                        process(10 + place, cpu_ns=number * (SECOND // 10 + place), name=name, user=name)
                        for place, name in enumerate(names)
                    ),
                    at_ns=(100 + number) * SECOND,
                )
                for number in range(count)
            ),
            run,
        )
    )


def write_recording(directory: Path, ticks: Sequence[SampledTick], *, finish: bool) -> None:
    """Record the ticks. The last log becomes a block if the writer may finish."""
    writer = RecordingWriter(directory, log_size=SMALL)
    for tick in ticks:
        writer.write(tick)
    (writer.close if finish else writer.abandon)()


def snapshots_of(ticks: Sequence[SampledTick]) -> list[Snapshot]:
    """The snapshots that were live."""
    return [tick.snapshot for tick in ticks if tick.snapshot is not None]


def size_of(directory: Path) -> int:
    """The bytes that the files of a directory take, finished or not."""
    return sum(path.stat().st_size for path in directory.iterdir())


@contextmanager
def memory_limit(further_bytes: int) -> Iterator[None]:
    """Make allocations of more than this fail with ``MemoryError``."""
    used_pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used_pages * resource.getpagesize() + further_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
