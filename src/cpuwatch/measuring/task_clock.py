"""The kernel's own sum of the CPU time of a process and all its future descendants (perf_event_open(2)).

An inherited task clock includes processes that nobody waits for, which children's time lacks. It starts at the time of
the call, so a command is held before its first instruction. The kernel stops counting at a set-user-ID program, and
many systems refuse the call to ordinary users (``kernel.perf_event_paranoid`` above 2, containers). So it is used next
to children's time, never instead of it: each is a lower bound of the truth.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from types import TracebackType
from typing import Self

__all__ = ["TaskClock"]

_SYSCALL_NUMBERS = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}
_ATTRIBUTES = struct.Struct("=IIQQQQQ")
_ATTRIBUTES_BYTES = 64
"""PERF_ATTR_SIZE_VER0, which every kernel accepts."""
_TYPE_SOFTWARE = 1
_TASK_CLOCK = 1
_INHERIT = 1 << 1
_EXCLUDE_KERNEL_AND_HYPERVISOR = 1 << 5 | 1 << 6
"""Ordinary users must not count the kernel. A task clock counts all the time of a task nevertheless."""
_FD_CLOEXEC = 1 << 3


class TaskClock:
    """The task clock of ``pid``. Raises ``OSError`` if the kernel refuses it."""

    def __init__(self, pid: int) -> None:
        number = _SYSCALL_NUMBERS.get(platform.machine())
        if number is None:
            raise OSError(f"the number of perf_event_open on {platform.machine()} is unknown")
        attributes = ctypes.create_string_buffer(_ATTRIBUTES_BYTES)
        flags = _INHERIT | _EXCLUDE_KERNEL_AND_HYPERVISOR
        _ATTRIBUTES.pack_into(attributes, 0, _TYPE_SOFTWARE, _ATTRIBUTES_BYTES, _TASK_CLOCK, 0, 0, 0, flags)
        libc = ctypes.CDLL(None, use_errno=True)
        any_cpu, no_group = ctypes.c_int(-1), ctypes.c_int(-1)
        self._fd: int = libc.syscall(
            ctypes.c_long(number), attributes, ctypes.c_int(pid), any_cpu, no_group, ctypes.c_ulong(_FD_CLOEXEC)
        )
        if self._fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def read_ns(self) -> int:
        """The CPU time of the process and its descendants so far, living and exited."""
        return int.from_bytes(os.read(self._fd, 8), sys.byteorder)

    def close(self) -> None:
        """End the counting."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
