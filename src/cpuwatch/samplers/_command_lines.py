"""Reads ``/proc/PID/cmdline``, for those who asked for command lines (proc_pid_cmdline(5))."""

from __future__ import annotations

import os

from cpuwatch.command_line import masked_command_line
from cpuwatch.samplers import _kernel_text

__all__ = ["read_command_line"]

_MOST_BYTES = 4097
"""More than is shown, of whatever characters: so what is cut off here is never the end of what is shown."""


def read_command_line(directory: str) -> str | None:
    """That of the process with this directory, secrets masked; None for a kernel thread, a zombie, and if refused.

    Raises ``FileNotFoundError`` or ``ProcessLookupError`` if the process vanished.
    """
    try:
        fd = os.open(f"{directory}/cmdline", os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return None
    try:
        raw = os.pread(fd, _MOST_BYTES, 0)
    finally:
        os.close(fd)
    # A process may write over its arguments what it likes (setproctitle), also without any end.
    arguments = raw.removesuffix(b"\0").split(b"\0")
    return masked_command_line(list(map(_kernel_text.from_bytes, arguments))) if raw else None
