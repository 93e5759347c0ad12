"""Reads all processes as another user; answers each line of its input with their run delay as JSON, by PID.

reads_waiting.py USER_ID
"""

from __future__ import annotations

import json
import os
import sys

from cpuwatch import open_sampler

user_id = int(sys.argv[1])
if user_id != os.getuid():
    # Import now what Python imports late (such as codecs), since that user may not be able to read it.
    with open_sampler("procfs") as sampler:
        sampler.read()
    os.setgroups([])
    os.setgid(user_id)
    os.setuid(user_id)

with open_sampler("procfs") as sampler:
    sampler.read()
    for _ in sys.stdin:
        reading = sampler.read()
        waits = {pid: record.wait_ns for pid, record in reading.processes.items()}
        sys.stdout.write(json.dumps(waits) + "\n")
        sys.stdout.flush()
