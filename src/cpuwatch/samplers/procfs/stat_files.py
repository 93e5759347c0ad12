"""The ``stat`` files of processes, kept open while they are read in every sweep.

Opening and closing one costs as much as reading it, and what runs in one second mostly runs in the next. An open file
under /proc/PID is bound to the process, not to the number: once that has ended, reading fails with ESRCH (proc(5)),
whoever has the PID then.
"""

from __future__ import annotations

import os
import resource

__all__ = ["STAT_BYTES", "StatFiles", "most_open_files"]

STAT_BYTES = 2048
"""A stat line is some 300 bytes; the kernel bounds the name and every number in it."""

_SHARE_OF_LIMIT = 4


def most_open_files() -> int:
    """A quarter of what this program may have open: the rest is for what it is there for."""
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 4096 if soft_limit == resource.RLIM_INFINITY else soft_limit // _SHARE_OF_LIMIT


class StatFiles:
    """Reads files, and has those open that were read in this sweep or the last one, ``most`` at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of_last_sweep: dict[int, int] = {}
        self._of_this_sweep: dict[int, int] = {}

    def read(self, pid: int, path: str) -> bytes:
        """What the file says of the process that has this PID now. Raises ``OSError``."""
        fd = self._of_last_sweep.pop(pid, None)
        if fd is None:
            fd = self._of_this_sweep.pop(pid, None)
        if fd is not None:
            try:
                data = os.pread(fd, STAT_BYTES, 0)
            except OSError:
                os.close(fd)
            else:
                self._of_this_sweep[pid] = fd
                return data
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(fd, STAT_BYTES, 0)
        except OSError:
            os.close(fd)
            raise
        if len(self._of_last_sweep) + len(self._of_this_sweep) < self._most:
            self._of_this_sweep[pid] = fd
        else:
            os.close(fd)
        return data

    def end_sweep(self) -> None:
        """Close those that were not read since the last call."""
        unread, self._of_last_sweep, self._of_this_sweep = self._of_last_sweep, self._of_this_sweep, {}
        for fd in unread.values():
            os.close(fd)

    def close(self) -> None:
        """Close all."""
        self.end_sweep()
        self.end_sweep()
