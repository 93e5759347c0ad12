"""Which PIDs may stand for a process that is new: what the kernel's own two counters say. Pure.

Listing /proc costs more than the clocks of all processes together. The kernel gives PIDs out in a circle, one after the
other (alloc_pid in kernel/pid.c), and tells the last one (/proc/loadavg) and how many forks there were (``processes``
in /proc/stat). A new process has a PID between the last one of then and that of now, or somebody chose it (clone3(2)
with set_tid, or a write to ns_last_pid); then there were more forks than PIDs went by, or the last PID went back.
"""

from __future__ import annotations

__all__ = ["GivenPids"]

_LIST_EVERY = 16
"""The net below: so often all are listed whatever the counters say."""


class GivenPids:
    """What was given out since the look before; to be told both counters at each look."""

    def __init__(self, forks: int | None, last_pid: int) -> None:
        self._forks = forks
        self._last_pid = self._last_pid_before = last_pid
        self._forks_move = False
        self._looks = 0

    def look(self, forks: int | None, last_pid: int) -> range | None:
        """The only PIDs that can be new; None if that is not certain, so that all have to be listed.

        A fork takes its PID first and is counted last, in the critical section that makes the process visible
        (copy_process in kernel/fork.c). So while the count stands still nothing is new, and one that was under way at
        the look before has its PID from before that: hence what is given reaches back two looks.

        Emulated kernels print a constant as the count: it is trusted once it was seen to move.
        """
        first, before = self._last_pid_before, self._last_pid
        self._last_pid_before, self._last_pid = before, last_pid
        born = None if forks is None or self._forks is None else forks - self._forks
        self._forks = forks
        self._looks += 1
        self._forks_move |= bool(born)
        if born is None or not self._forks_move or self._looks % _LIST_EVERY == 0:
            return None
        if born == 0:
            return range(0)
        if first <= before and born == last_pid - before:
            return range(first + 1, last_pid + 1)
        return None
