"""Reads the PID namespace of a process from ``/proc/PID/status`` and ``/proc/PID/ns/pid`` (pid_namespaces(7))."""

from __future__ import annotations

import os
import re

from cpuwatch.model import PidNamespace

__all__ = ["read_pid_namespace"]

_STATUS_BYTES = 4096
_NSPID = re.compile(rb"^NSpid:\t(.*)$", re.MULTILINE)
"""The PIDs of the process, from the namespace of the mounted /proc down to its innermost one (proc_pid_status(5))."""


def read_pid_namespace(directory: str) -> PidNamespace | None:
    """The namespace of the process with this directory; None if it is that of this /proc, or unknown.

    Every user can read ``status``. Reading ``ns/pid``, which identifies the namespace, needs the permission to trace
    the process; without it ``inode`` is None.
    """
    try:
        fd = os.open(f"{directory}/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.pread(fd, _STATUS_BYTES, 0)
    except OSError:
        return None
    finally:
        os.close(fd)
    match = _NSPID.search(status)
    pids = match[1].split() if match else []
    if len(pids) < 2:
        return None
    return PidNamespace(depth=len(pids) - 1, inode=_inode(directory), pid=int(pids[-1]))


def _inode(directory: str) -> int | None:
    try:
        link = os.readlink(f"{directory}/ns/pid")  # noqa: PTH115  creating a Path costs more than reading the link
    except OSError:
        return None
    return int(link.removeprefix("pid:[").removesuffix("]"))
