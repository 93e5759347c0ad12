"""Enters a cgroup, and prints as JSON what ``measure()`` and the counter of the group say about a block."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import cpuwatch
from benchmarks.accounting_group import used_ns

BURN = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done"


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


folder, counter = Path(sys.argv[1]), Path(sys.argv[2])
(folder / "cgroup.procs").write_text(str(os.getpid()))
# Alive before, and in part of the block.
child = subprocess.Popen(["sh", "-c", f"{BURN}; sleep 1; {BURN}; sleep 30"])
time.sleep(0.5)
before_ns = used_ns(counter)
with cpuwatch.measure() as used:
    thread = threading.Thread(target=burn, args=(0.3,))
    thread.start()
    burn(0.3)
    thread.join()
    for _ in range(20):
        subprocess.run(["sh", "-c", "true | cat; true"], check=True)
    subprocess.run(["sh", "-c", f"{BURN} & {BURN}; wait"], check=True)
    # The time of the child's last slice is complete once it sleeps.
    time.sleep(1.5)
true_seconds = (used_ns(counter) - before_ns) / 1e9
child.kill()
child.wait()
sys.stdout.write(json.dumps({"used": used.cpu_seconds, "true": true_seconds}))
