"""``cpuwatch`` on a system that does not allow the kernel's task clock (perf_event_open)."""

from __future__ import annotations

import sys

from cpuwatch.commands.cli import main
from cpuwatch.measuring import task_clock


def refuse(_: str) -> None:
    raise PermissionError(13, "not allowed")


task_clock.ctypes.create_string_buffer = refuse  # type: ignore[attr-defined]
sys.exit(main(sys.argv[1:]))
