"""How many CPUs the kernel can have, whatever a container is shown of them."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["possible_cpus"]

_POSSIBLE = Path("/sys/devices/system/cpu/possible")


def possible_cpus() -> int | None:
    """The number of CPUs in ``/sys/devices/system/cpu/possible`` (a list like ``0-3,8``); None if it cannot be read.

    lxcfs shows a container ``/proc/stat`` and ``online`` with the CPUs of its quota, and leaves this as it is.
    """
    try:
        text = _POSSIBLE.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return os.cpu_count()
    ranges = re.findall(r"(\d+)(?:-(\d+))?", text)
    return sum(int(last or first) - int(first) + 1 for first, last in ranges) or None
