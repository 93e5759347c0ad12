"""After twenty minutes of clients and processes that come and go, the server is in the same state as before.

``tox -e soak``, or ``pytest -s tests/soak --minutes 3``; -s shows the figures.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import httpx
import psutil
import pytest
from live_server import CPUWATCH_SERVE, Server, running_server

from cpuwatch import Snapshot, decode
from tests.soak.crowd import Crowd

INTERVAL_SECONDS = 1.0
HISTORY = 20
"""Full soon, so that what is kept on purpose does not grow during the measurement."""

PARTS = 5
"""The first is for warming up; the second is compared with the last."""

MAX_GROWTH_PERCENT = 5
MAX_LINES = 20
TIMEOUT_SECONDS = 30
STOP_SECONDS = 3
MIB = 1 << 20


def newest(server: Server) -> Snapshot:
    return decode(httpx.get(f"{server.url}/cpu_usage", timeout=TIMEOUT_SECONDS).content)


def descriptors(pid: int) -> list[str]:
    """Return the open files of the server, except those of processes, which come and go."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue
        # Socket numbers are arbitrary.
        kind = target.partition(":[")[0]
        if not kind.endswith("/stat") or kind == "/proc/stat":
            found.append(kind)
    return sorted(found)


def descriptors_at_rest(pid: int, wanted: list[str] | None = None) -> list[str]:
    """Return the open files without clients. Closed connections take a moment to disappear."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (found := descriptors(pid)) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
        wanted = found if wanted is None else wanted
    return found


@pytest.mark.timeout(0)
def test_the_crowd_leaves_no_memory_or_descriptors_behind(seconds: float, tmp_path: Path) -> None:
    settings = {"CPUWATCH_INTERVAL": str(INTERVAL_SECONDS), "CPUWATCH_HISTORY": str(HISTORY)}
    with running_server(CPUWATCH_SERVE, **settings) as server:
        process = psutil.Process(server.pid)
        first = newest(server)
        before = descriptors_at_rest(server.pid)
        memory: list[int] = []
        open_files: list[int] = []
        lateness: list[float] = []
        watched: list[int] = []
        end = time.monotonic() + seconds
        with Crowd(server, tmp_path) as crowd:
            while time.monotonic() < end:
                time.sleep(1)
                memory.append(process.memory_info().rss)
                open_files.append(process.num_fds())
                snapshot = newest(server)
                lateness.append(snapshot.sampling.lateness_seconds or 0.0)
                watched.append(len(snapshot.processes))
        last = newest(server)
        after = descriptors_at_rest(server.pid, before)
        ready = httpx.get(f"{server.url}/readyz")
        log = server.output
        assert server.stop(within=STOP_SECONDS) == 0

    part = len(memory) // PARTS
    early, late = statistics.median(memory[part : 2 * part]), statistics.median(memory[-part:])
    watched_early, watched_late = statistics.median(watched[part : 2 * part]), statistics.median(watched[-part:])
    tenths = memory[:: max(1, len(memory) // 10)]
    growth_percent = (late / early - 1) * 100
    due = round((last.time - first.time).total_seconds() / INTERVAL_SECONDS)
    missed = last.sampling.missed_ticks - first.sampling.missed_ticks
    failed = last.sampling.failed_ticks - first.sampling.failed_ticks
    taken = last.sequence - first.sequence
    print(  # noqa: T201
        f"\n{seconds / 60:g} minutes: {', '.join(f'{number} {kind}' for kind, number in sorted(crowd.done.items()))}"
        f"\nmemory: {early / MIB:.1f} MiB early, {late / MIB:.1f} late ({growth_percent:+.2f} %),"
        f" {max(memory) / MIB:.1f} at most; once a tenth: {', '.join(f'{size / MIB:.1f}' for size in tenths)}"
        f"\nfile descriptors: {len(before)} before, {max(open_files)} at most, {len(after)} after"
        f"\nticks: {due} due, {taken} taken, {missed} missed, {failed} failed;"
        f" late by {statistics.median(lateness) * 1e3:.2f} ms in the median, {max(lateness) * 1e3:.1f} at most"
        f"\nprocesses: {watched_early:g} early, {watched_late:g} late, {max(watched)} at most"
        f"\nlog: {len(log.splitlines())} lines"
    )
    assert crowd.failures == []
    assert ready.status_code == 200
    assert "Traceback" not in log
    assert len(log.splitlines()) < MAX_LINES
    # More processes need more memory. If their number has grown, run the test again.
    assert max(watched[part:]) < 1.5 * min(watched[part:]), "others have started or ended too many processes"
    assert growth_percent < MAX_GROWTH_PERCENT
    assert after == before
    assert failed == 0
    # A tick may fall between the two clock readings.
    assert abs(due - taken - missed) <= 1
