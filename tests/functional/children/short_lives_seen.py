"""Samples while it runs short-lived children, and writes the snapshot as JSON."""

from __future__ import annotations

import subprocess
import sys

from cpuwatch import encode, open_sampler, usage

with open_sampler("procfs") as sampler:
    earlier = sampler.read()
    for _ in range(50):
        subprocess.run(["true"], check=True)
    later = sampler.read()

sys.stdout.write(encode(usage(earlier, later)).decode())
