"""How many CPUs the machine has, whatever a container is shown of them."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["present_cpus"]

_PRESENT = Path("/sys/devices/system/cpu/present")


def present_cpus() -> int | None:
    """The number of CPUs in ``/sys/devices/system/cpu/present`` (a list like ``0-3,8``); None if it cannot be read.

    lxcfs shows a container ``/proc/stat`` and ``online`` with the CPUs of its quota, and leaves this as it is.
    """
    try:
        text = _PRESENT.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return os.cpu_count()
    ranges = re.findall(r"(\d+)(?:-(\d+))?", text)
    return sum(int(last or first) - int(first) + 1 for first, last in ranges) or None
