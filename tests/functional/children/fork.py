"""Forks while a monitor samples, and writes the results of both processes as JSON."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable

from cpuwatch import Monitor
from cpuwatch.errors import MonitorForkedError

# A program that forks although it has threads is what this tests.
warnings.filterwarnings("ignore", category=DeprecationWarning)


def refused(use: Callable[[], object]) -> str:
    try:
        use()
    except MonitorForkedError as error:
        return str(error)
    return "not refused"


def child_finds(monitor: Monitor) -> dict[str, str]:
    found = {
        "latest": refused(lambda: monitor.latest),
        "history": refused(lambda: monitor.history),
        "health": refused(lambda: monitor.health),
        "wait": refused(lambda: monitor.wait(timeout=60)),
        "iterate": refused(lambda: next(iter(monitor))),
        "start": refused(monitor.start),
    }
    monitor.close()
    with Monitor(interval=0.1) as another:
        fresh = another.wait(after=0, timeout=20)
        found["another monitor"] = "samples" if fresh and os.getpid() in {p.pid for p in fresh.processes} else "fails"
    return found


def main() -> None:
    with Monitor(interval=0.1) as monitor:
        before = monitor.wait(after=0, timeout=20)
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(write_end, json.dumps(child_finds(monitor)).encode())
            os._exit(0)
        os.close(write_end)
        found = json.loads(os.read(read_end, 65_536))
        status = os.waitpid(child, 0)[1]
        after = monitor.wait(timeout=20)
        sys.stdout.write(
            json.dumps(
                {
                    "parent": os.getpid(),
                    "child": child,
                    "status": status,
                    "found": found,
                    "before": before and before.sequence,
                    "after": after and after.sequence,
                }
            )
        )


if __name__ == "__main__":
    main()
