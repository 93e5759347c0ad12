"""``cpuwatch`` on a system that does not allow the kernel's task clock (perf_event_open)."""

from __future__ import annotations

import sys

from cpuwatch.commands.cli import main
from cpuwatch.measuring import command


def refuse(pid: int) -> None:
    raise PermissionError(13, f"not allowed for {pid}")


command.TaskClock = refuse  # type: ignore[assignment,misc]
sys.exit(main(sys.argv[1:]))
