"""Starts processes with chosen PIDs, and writes the reading in which each was found, as JSON.

Run it as the first process of a PID namespace, where no other process gets a PID.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from cpuwatch import OpenSampler, open_sampler

_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
_MAX_READINGS = 20
_DISTANCE = 1000


def start() -> int:
    pid = os.fork()
    if pid == 0:
        time.sleep(3600)
        os._exit(0)
    return pid


def readings_until_found(sampler: OpenSampler, skipped: int | None) -> int | None:
    """The number of readings until a process is found whose PID is far ahead of the last PID.

    Allocation then continues ``skipped`` PIDs after that last PID; None: after the chosen one.
    """
    sampler.read()
    last_pid = int(_LAST_PID.read_text())
    _LAST_PID.write_text(str(last_pid + _DISTANCE))
    chosen = start()
    assert chosen == last_pid + _DISTANCE + 1
    if skipped is not None:
        _LAST_PID.write_text(str(last_pid + skipped))
    try:
        for reading in range(1, _MAX_READINGS + 1):
            if chosen in sampler.read().processes:
                return reading
        return None
    finally:
        os.kill(chosen, signal.SIGKILL)
        os.waitpid(chosen, 0)


def main() -> None:
    with open_sampler("procfs") as sampler:
        backend = sampler.read().host.backend
        found = {
            "jumped": [readings_until_found(sampler, None) for _ in range(5)],
            "set_tid": [readings_until_found(sampler, 0) for _ in range(5)],
            "hidden": [readings_until_found(sampler, 1) for _ in range(5)],
        }
    sys.stdout.write(json.dumps({"backend": backend, "found": found}))


if __name__ == "__main__":
    main()
