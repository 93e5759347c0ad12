"""Makes new processes reuse the PID of old ones, and writes what each sampler shows, as JSON.

Run it as the first process of a PID namespace. No other process forks there, so the PID after the one in
/proc/sys/kernel/ns_last_pid is the next one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from cpuwatch import OpenSampler, Reading, open_sampler, usage

_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
_OLD_CPU_NS = 30_000_000
"""Several ticks: every sampler sees it, and the next process starts in another tick.

Within one tick both have the same PID and start time, and nothing in /proc distinguishes them."""


class Done:
    """A pipe on which a child reports that it is done."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def report(self) -> None:
        os.write(self._write, b"x")

    def wait(self) -> None:
        os.read(self._read, 1)


def start(name: str, cpu_ns: int, done: Done) -> int:
    """Start a process with this name that uses this much CPU and then sleeps; return its PID."""
    pid = os.fork()
    if pid == 0:
        Path("/proc/self/comm").write_text(name)
        while time.process_time_ns() < cpu_ns:
            pass
        done.report()
        time.sleep(3600)
        os._exit(0)
    done.wait()
    return pid


def end(pid: int) -> int:
    """End and reap a process; return its total CPU time, as the kernel reports it to the parent."""
    os.kill(pid, signal.SIGKILL)
    rusage = os.wait4(pid, 0)[2]
    return round((rusage.ru_utime + rusage.ru_stime) * 1e9)


def reuse(samplers: dict[str, OpenSampler], done: Done) -> dict[str, Any]:
    """Run two processes with one PID; return what each sampler shows of both."""
    old = start("old", _OLD_CPU_NS, done)
    earlier = {name: sampler.read() for name, sampler in samplers.items()}
    end(old)
    _LAST_PID.write_text(str(old - 1))
    new = start("new", 0, done)
    later = {name: sampler.read() for name, sampler in samplers.items()}
    return {
        "reused": new == old,
        "true_ns": end(new),
        "backends": {name: shown(earlier[name], later[name], old) for name in samplers},
    }


def shown(earlier: Reading, later: Reading, pid: int) -> dict[str, Any]:
    row = next((row for row in usage(earlier, later).processes if row.pid == pid), None)
    if row is None:
        return {"missing": True}
    before, after = earlier.processes[pid], later.processes[pid]
    interval_ns = later.monotonic_ns - earlier.monotonic_ns
    return {
        "missing": False,
        "names": [before.name, after.name],
        "keys": [before.key, after.key],
        "old_ns": before.cpu_ns,
        "new_ns": after.cpu_ns,
        "new_since_ns": None if row.cpu_percent is None else row.cpu_percent / 100 * interval_ns,
        "seen_first_now": after.first_seen == later.time,
        "started_later": after.start_time > before.start_time,
    }


def main() -> None:
    samplers = {name: open_sampler(name) for name in ("procfs", "psutil")}
    done = Done()
    rounds = [reuse(samplers, done) for _ in range(int(sys.argv[1]))]
    backends = {name: sampler.read().host.backend for name, sampler in samplers.items()}
    sys.stdout.write(json.dumps({"backends": backends, "rounds": rounds}))


if __name__ == "__main__":
    main()
