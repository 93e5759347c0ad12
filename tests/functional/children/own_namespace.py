"""Reads all processes from a new PID namespace in which /proc still belongs to the parent namespace."""

from __future__ import annotations

import json
import os
import sys

from cpuwatch import open_sampler

with open_sampler("procfs") as sampler:
    reading = sampler.read()
    again = sampler.read()

sys.stdout.write(
    json.dumps(
        {
            "own_pid": os.getpid(),
            "backend": reading.host.backend,
            "resolution": reading.host.clock_resolution_seconds,
            "cpu_ns": {pid: record.cpu_ns for pid, record in reading.processes.items()},
            "kept": [pid for pid, record in reading.processes.items() if again.processes.get(pid) is record],
        }
    )
)
