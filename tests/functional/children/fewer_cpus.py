"""Watches a process that uses more CPUs than /proc/stat shows, as in a container with a quota (lxcfs); writes JSON.

Run it as root in a separate mount namespace.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cpuwatch import open_sampler, usage

_MAX_INTERVALS = 150
_SECONDS = 0.2


def show_one_cpu() -> None:
    lines = Path("/proc/stat").read_text().splitlines(keepends=True)
    with tempfile.NamedTemporaryFile("w", delete=False) as shown:
        shown.writelines(line for line in lines if not line.startswith("cpu") or line.startswith(("cpu ", "cpu0 ")))
    subprocess.run(["mount", "--bind", shown.name, "/proc/stat"], check=True)


def main() -> None:
    show_one_cpu()
    burner = os.fork()
    if burner == 0:
        # With priority, so that it gets two CPUs even on a busy machine.
        os.nice(-20)
        program = (
            "import hashlib, threading\nblock = bytes(1 << 20)\ndef burn():\n    while True: hashlib.sha256(block)\n"
        )
        os.execv(sys.executable, [sys.executable, "-c", program + "threading.Thread(target=burn).start()\nburn()"])  # noqa: S606
    clock_id = (~burner << 3) | 2
    intervals = []
    with open_sampler("procfs") as sampler:
        reading = sampler.read()
        for _ in range(_MAX_INTERVALS):
            time.sleep(_SECONDS)
            before_ns = time.clock_gettime_ns(clock_id)
            earlier, reading = reading, sampler.read()
            snapshot = usage(earlier, reading)
            (row,) = (row for row in snapshot.processes if row.pid == burner)
            used_ns = reading.processes[burner].cpu_ns - earlier.processes[burner].cpu_ns
            used_percent = used_ns / (reading.monotonic_ns - earlier.monotonic_ns) * 100
            is_exact = reading.processes[burner].cpu_ns >= before_ns
            intervals.append({"cpu_percent": row.cpu_percent, "used_percent": used_percent, "is_exact": is_exact})
            if used_percent > 120:
                break
    os.kill(burner, 9)
    os.waitpid(burner, 0)
    sys.stdout.write(json.dumps({"logical_cpus": reading.host.logical_cpus, "intervals": intervals}))


if __name__ == "__main__":
    main()
