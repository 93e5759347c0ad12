"""Opens a sampler by name and writes its reading, or the reason why it cannot be opened."""

from __future__ import annotations

import sys

import cpuwatch

try:
    snapshot = cpuwatch.sample(interval=0.01, sampler=sys.argv[1])
except cpuwatch.CpuwatchError as error:
    sys.stdout.write(f"{type(error).__name__}: {error}")
else:
    sys.stdout.write(cpuwatch.encode(snapshot).decode())
