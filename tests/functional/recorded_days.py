"""A recording of several days, made from synthetic readings through the real writer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from msgspec.structs import replace
from readings import SECOND, process, reading
from recorded_runs import live_ticks

from cpuwatch import CpuTimes, Reading
from cpuwatch.recording.writer import LogSize, RecordingWriter

DAYS = 3
STEP_SECONDS = 60
FINE_SECONDS = 300
GAP_SECONDS = 30 * 3600, 36 * 3600
"""After the beginning. In it, nothing is recorded."""
BACKUP_HOURS = 10.0, 10.5
"""After the beginning of each day. In it, a process called ``backup`` uses one and a half CPUs."""
HOSTILE_NAME = "<img src=x onerror=alert(1)>"
_CPUS = 4


def record_days(directory: Path, end: datetime) -> datetime:
    """Record the days before ``end``, with a tick a minute, in the last five minutes every second.

    Returns the beginning.
    """
    begin = end - timedelta(days=DAYS)
    # The writer syncs every five recorded seconds, which is every tick here.
    with patch("os.fsync"), patch("os.fdatasync"):
        writer = RecordingWriter(directory, log_size=LogSize(ticks=180))
        for run, seconds in _runs().items():
            for tick in live_ticks(_readings(begin, seconds), run):
                writer.write(tick)
        writer.close()
    return begin


def _runs() -> dict[str, list[int]]:
    """The seconds since the beginning, before and after the gap."""
    whole = DAYS * 86400
    return {
        "100000001": list(range(0, GAP_SECONDS[0], STEP_SECONDS)),
        "100000002": [
            *range(GAP_SECONDS[1], whole - FINE_SECONDS, STEP_SECONDS),
            *range(whole - FINE_SECONDS, whole + 1),
        ],
    }


def _readings(begin: datetime, seconds: list[int]) -> Iterator[Reading]:
    used_ns = dict.fromkeys(("web", "backup", "make", "exited", HOSTILE_NAME), 0)
    before = seconds[0]
    for second in seconds:
        passed = second - before
        before = second
        hour = second % 86400 / 3600
        shares = {
            "web": 0.8 + 0.7 * math.sin(hour / 24 * 2 * math.pi) + 0.1 * math.sin(second),
            "backup": 1.5 if BACKUP_HOURS[0] <= hour < BACKUP_HOURS[1] else 0.0,
            "make": 0.1 if hour % 6 < 2 else 0.0,
            "exited": 0.9 if hour % 6 < 2 else 0.0,
            HOSTILE_NAME: 0.05,
        }
        for name, share in shares.items():
            used_ns[name] += int(share * passed * SECOND)
        at_ns = (1000 + second) * SECOND
        busy_ns = sum(used_ns.values())
        processes = [
            replace(
                process(pid, cpu_ns=used_ns[name], name=name, user=user, children_ns=0),
                cgroup=f"/system.slice/{unit}.service",
                children_ns=used_ns["exited"] if name == "make" else 0,
            )
            for pid, name, user, unit in [
                (10, "web", "www-data", "web"),
                (20, "backup", "root", "backup"),
                (30, "make", "anna", "ci"),
                (40, HOSTILE_NAME, "mallory", "other"),
            ]
        ]
        taken = reading(
            *processes,
            at_ns=at_ns,
            cpus=_CPUS,
            total=CpuTimes(busy_ns, 0, _CPUS * at_ns - busy_ns, 0, 0, 0),
            per_cpu={
                number: CpuTimes(busy_ns // _CPUS, 0, at_ns - busy_ns // _CPUS, 0, 0, 0) for number in range(_CPUS)
            },
        )
        yield replace(taken, time=begin + timedelta(seconds=second))
