"""The cost of recording: space, CPU, memory, and the time to find and to replay ticks, beside what is asked for.

``python -m benchmarks.recording`` prints a Markdown table. The ticks are those of :mod:`benchmarks.crowd_readings`,
through the real writer and reader, except for the comparison with atop and pcp (Debian: ``atop``, ``pcp``), which watch
the same real processes as cpuwatch, in the same seconds. The recording of seven days takes some minutes to make
(:mod:`benchmarks.crowd_recording`); ``--keep DIR`` keeps it for the next run.

Times are CPU times of this process, from its CPU clock. Cold means that a recording is opened anew for each question;
its files are in the page cache.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from benchmarks import say
from benchmarks.crowd_readings import START, Crowd, crowd_readings, live_ticks
from benchmarks.crowd_recording import DAY, bytes_of, crowd_recording, record
from benchmarks.history_memory import HOUR, history_memory
from benchmarks.loadgen.plan import count
from benchmarks.recording_peers import PeerRun, compare_peers
from benchmarks.tables import Spread, markdown_table
from cpuwatch import open_recording
from cpuwatch.history import SnapshotHistory
from cpuwatch.query.summary import SummaryGroup
from cpuwatch.recording.memory import HistoryPacker
from cpuwatch.recording.summary import summarize
from cpuwatch.sampled_tick import SampledTick

__all__ = ["Result", "peer_results", "result_table"]

_LARGE = Crowd(1000, 50, forks=2.0)
_SMALL = Crowd(100, 10, forks=0.2)
_BUSY = Crowd(2000, 1500, forks=4.0)
_DAYS = 7
_SMALL_SECONDS = 6 * HOUR
_CPU_TICKS = 1200
"""Two blocks."""
_BUSY_TICKS = 480
_PEER_ACTIVE_SHARE = 0.05
_RANKINGS: dict[str, SummaryGroup | None] = {"process": None, "name": "name"}
_RANKED = 20


@dataclass(frozen=True, slots=True)
class Result:
    """A row of the table. ``asked`` is empty for a figure that stands beside another."""

    what: str
    asked: str
    measured: str


def space(name: str, crowd: Crowd, recording: Path, seconds: int, asked: str) -> Result:
    """Megabytes a day, and of what they consist."""
    size = bytes_of(recording)
    parts = ", ".join(
        f"{part} {part_bytes / seconds:.0f}"
        for part, part_bytes in (("ticks", size.ticks), ("whole readings", size.keys), ("sums", size.sums))
    )
    return Result(
        f"{name}: {crowd.processes:,} processes, {crowd.running} of which run each second",
        asked,
        f"{size.total / seconds * DAY / 1e6:.1f} MB a day (bytes a tick: {parts})",
    )


def cpu_results(rounds: int, directory: Path) -> list[Result]:
    """The CPU time of a tick in the writer, blocks and sums included, and in the packer of the history in memory."""
    ticks = list(islice(live_ticks(crowd_readings(_LARGE)), _CPU_TICKS + 1))
    written: list[float] = []
    packed: list[float] = []
    # A recorder does not keep its ticks, so the garbage collector has no work with them.
    gc.collect()
    gc.freeze()
    for number in range(rounds):
        # Copies: a tick remembers its record, so that it is made once where both are on.
        written.append(_cpu_seconds(lambda: record(directory / f"cpu-{number}", map(replace, ticks))))  # noqa: B023  called now
        packed.append(_cpu_seconds(lambda: _pack(map(replace, ticks))))
    gc.unfreeze()
    return [
        Result(what, asked, Spread.of(1000 * seconds / _CPU_TICKS for seconds in each).text("{:.2f}") + " ms")
        for what, asked, each in (
            ("CPU of recording a tick, 1,000 processes", "≤ 0.5 ms", written),
            ("CPU of packing a tick in memory, 1,000 processes", "", packed),
        )
    ]


def peer_results(run: PeerRun) -> list[Result]:
    """The size and the CPU time beside the peers."""
    ours = run.peers["cpuwatch"]
    others = {name: peer for name, peer in run.peers.items() if name != "cpuwatch"}
    beside = f"beside {{}}, {run.processes:,} real processes, {run.seconds:.0f} s"
    results = [
        Result(
            f"bytes a tick {beside.format(name)}",
            "≤ 1/20 of the smaller",
            f"{ours.bytes_a_tick:,.0f} and {peer.bytes_a_tick:,.0f}: 1/{peer.bytes_a_tick / ours.bytes_a_tick:.0f}",
        )
        for name, peer in others.items()
    ]
    results += [
        Result(
            f"CPU of a tick, sampling included, {beside.format(name)}",
            "",
            f"{ours.cpu_ms_a_tick:.1f} and {peer.cpu_ms_a_tick:.1f} ms",
        )
        for name, peer in others.items()
    ]
    return results + [Result(f"beside {name}", "", "not installed: left out") for name in run.missing]


def finding(recording: Path, days: int, tries: int) -> Result:
    """From opening a recording to the snapshot of a random second."""
    random = Random(1)  # noqa: S311  no secret
    each = []
    for _ in range(tries):
        time_of_tick = START + timedelta(seconds=random.randrange(2, days * DAY))
        each.append(1000 * _cpu_seconds(lambda: _find(recording, time_of_tick)))  # noqa: B023  called now
    return Result(
        f"snapshot at a random second of {days} days, cold", "≤ 50 ms", f"{Spread.of(each).text('{:.0f}')} ms"
    )


def ranking(recording: Path, days: int, tries: int) -> list[Result]:
    """From opening a recording to the ranking of a random range, which begins and ends anywhere within a minute."""
    random = Random(2)  # noqa: S311  no secret
    ranges = [sorted(random.uniform(2, days * DAY) for _ in range(2)) for _ in range(tries)]
    results = []
    for name, group_by in _RANKINGS.items():
        each = []
        for bounds in ranges:
            start, end = (START + timedelta(seconds=seconds) for seconds in bounds)
            each.append(
                1000 * _cpu_seconds(lambda: summarize(open_recording(recording), start, end, group_by, _RANKED))  # noqa: B023  called now
            )
        results.append(
            Result(
                f"ranking of a random range within {days} days by {name}, cold",
                "≤ 200 ms",
                f"{Spread.of(each).text('{:.0f}')} ms",
            )
        )
    return results


def replaying(recording: Path, rounds: int, seconds: int) -> Result:
    """All snapshots of some stretches of a day, each with all of its rows."""
    rates = []
    for number in range(rounds):
        start = START + timedelta(seconds=DAY * number // rounds)
        found = open_recording(recording).between(start, start + timedelta(seconds=seconds))
        used = _cpu_seconds(lambda: sum(1 for _ in found))  # noqa: B023  called now
        rates.append(seconds / used)
    return Result("replay, ticks a second of CPU", "≥ 2,000", Spread.of(rates).text("{:,.0f}"))


def memory_results() -> list[Result]:
    """An hour of history."""
    results = []
    for crowd, ticks, asked in ((_LARGE, HOUR, "≤ 15 MB"), (_BUSY, _BUSY_TICKS, "≤ 150 MB")):
        say(f"history of {ticks} ticks, {crowd.processes} processes")
        taken = history_memory(crowd, ticks, packed=True)
        source = "" if ticks == HOUR else f" (from {ticks} ticks)"
        results.append(
            Result(
                f"memory of an hour of history, {crowd.processes:,} processes, {crowd.running:,} of which run",
                asked,
                f"{taken.after(HOUR) / 1e6:.1f} MB{source}",
            )
        )
    return results


def result_table(results: list[Result]) -> str:
    """The results in Markdown."""
    return markdown_table(
        ["figure", "asked", "measured"], ([result.what, result.asked, result.measured] for result in results)
    )


def _pack(ticks: Iterable[SampledTick]) -> None:
    history = SnapshotHistory(_CPU_TICKS + 1, 2**40)
    packer = HistoryPacker(history)
    for tick in ticks:
        if tick.snapshot is not None:
            history.append(tick.snapshot)
        packer.add(tick)


def _find(recording: Path, wanted: datetime) -> None:
    found = open_recording(recording).at(wanted)
    assert found is not None
    assert wanted - found.time < timedelta(seconds=1.5)


def _cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="directory of the generated recordings")
    parser.add_argument("--days", type=count(1), default=_DAYS)
    parser.add_argument("--tries", type=count(1), default=40, help="random seconds and ranges")
    parser.add_argument("--rounds", type=count(1), default=5)
    parser.add_argument("--replay-seconds", type=count(1), default=2 * HOUR, help="of a recorded day, in each round")
    parser.add_argument("--peer-seconds", type=count(1), default=150)
    options = parser.parse_args()

    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        kept = options.keep or scratch
        large = crowd_recording(kept, _LARGE, DAY, options.days)
        small = crowd_recording(kept, _SMALL, _SMALL_SECONDS)
        results = [
            space("space", _LARGE, large, DAY * options.days, "≤ 30 MB"),
            space("space", _SMALL, small, _SMALL_SECONDS, "≤ 6 MB"),
            *peer_results(compare_peers(_LARGE.processes, _PEER_ACTIVE_SHARE, options.peer_seconds)),
            *cpu_results(options.rounds, scratch),
            finding(large, options.days, options.tries),
            *ranking(large, options.days, options.tries),
            *memory_results(),
            replaying(large, options.rounds, options.replay_seconds),
        ]

    print(f"{os.cpu_count()} CPUs, Linux {os.uname().release}, Python {sys.version.split()[0]}, ", end="")
    print(f"load average {os.getloadavg()[0]:.1f}; median (lowest to highest).\n")
    print(result_table(results))


if __name__ == "__main__":
    main()
