"""Keeps the ``stat`` files of busy processes open, and their ``schedstat``.

Opening and closing a file costs as much as reading it, and a process that runs in one second mostly runs in the next.
An open file under /proc/PID is bound to the process, not to the PID: once the process has exited, reading fails with
ESRCH (proc(5)), even if another process has the PID.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Hashable

__all__ = ["STAT_BYTES", "StatFiles", "max_open_files", "read_once"]

STAT_BYTES = 2048
"""A stat line has about 300 bytes. The kernel limits the length of the name and of every number in it."""

_SHARE_OF_LIMIT = 4


def max_open_files() -> int:
    """A quarter of the descriptors that this program may have; the rest is left for its other work."""
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 4096 if soft_limit == resource.RLIM_INFINITY else soft_limit // _SHARE_OF_LIMIT


def read_once(path: str, directory_fd: int | None = None) -> bytes:
    """The content of such a file, which is not kept open; ``path`` may be relative to an open directory.

    Raises ``OSError``.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory_fd)
    try:
        return os.pread(fd, STAT_BYTES, 0)
    finally:
        os.close(fd)


class StatFiles:
    """Reads stat files, and keeps at most ``limit`` of those open that were read in this sweep or the last one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._of_last_sweep: dict[Hashable, int] = {}
        self._of_this_sweep: dict[Hashable, int] = {}

    def read(self, key: Hashable, path: str) -> bytes:
        """The content of ``path``, the file of the process that has this PID now. Raises ``OSError``.

        ``key`` is the PID; files of another kind have other keys.
        """
        fd = self._of_last_sweep.pop(key, None)
        if fd is None:
            fd = self._of_this_sweep.pop(key, None)
        if fd is not None:
            try:
                data = os.pread(fd, STAT_BYTES, 0)
            except OSError:
                os.close(fd)
            else:
                self._of_this_sweep[key] = fd
                return data
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(fd, STAT_BYTES, 0)
        except OSError:
            os.close(fd)
            raise
        if len(self._of_last_sweep) + len(self._of_this_sweep) < self._limit:
            self._of_this_sweep[key] = fd
        else:
            os.close(fd)
        return data

    def end_sweep(self) -> None:
        """Close the files that were not read since the last call."""
        unread, self._of_last_sweep, self._of_this_sweep = self._of_last_sweep, self._of_this_sweep, {}
        for fd in unread.values():
            os.close(fd)

    def close(self) -> None:
        """Close all files."""
        self.end_sweep()
        self.end_sweep()
