"""Finds the PIDs that can belong to new processes without listing /proc, from two counters of the kernel.

Listing /proc costs more than reading all CPU clocks. The kernel allocates PIDs in ascending order and starts again at
the bottom (alloc_pid in kernel/pid.c). It publishes the last PID (/proc/loadavg) and the number of forks (``processes``
in /proc/stat). So a new process has a PID between the last PID of then and that of now, unless somebody chose its PID
(clone3(2) with set_tid, or a write to ns_last_pid). In that case there were more forks than PIDs, or the last PID went
back.
"""

from __future__ import annotations

import threading

from cpuwatch.samplers.procfs.machine_files import MachineFiles

__all__ = ["NewPids", "new_pids_if_countable", "run_empty_thread"]

_LIST_EVERY = 16
"""Every 16th call asks for a full listing, whatever the counters say."""


class NewPids:
    """Compares both counters with those of the last calls. Pure."""

    def __init__(self, forks: int | None, last_pid: int) -> None:
        self._forks = forks
        self._last_pid = self._last_pid_before = last_pid
        self._forks_move = False
        self._calls = 0

    def candidates(self, forks: int | None, last_pid: int) -> range | None:
        """The only PIDs that can be new; None if the counters do not tell, so that /proc has to be listed.

        A fork takes its PID first. It is counted last, in the critical section that makes the process visible
        (copy_process in kernel/fork.c). So nothing is new while the count stands still. A fork that was in progress at
        the last call took its PID before that call; hence the range starts at the call before the last.

        Emulated kernels print a constant count, so it is not trusted until it moves.
        """
        first, before = self._last_pid_before, self._last_pid
        self._last_pid_before, self._last_pid = before, last_pid
        forked = None if forks is None or self._forks is None else forks - self._forks
        self._forks = forks
        self._calls += 1
        self._forks_move |= bool(forked)
        if forked is None or not self._forks_move or self._calls % _LIST_EVERY == 0:
            return None
        if forked == 0:
            return range(0)
        if first <= before and forked == last_pid - before:
            return range(first + 1, last_pid + 1)
        return None


def new_pids_if_countable(files: MachineFiles) -> NewPids | None:
    """None if the last PID is unknown or not of this PID namespace: lxcfs shows a container its host's loadavg.

    The check starts a thread and looks for its ID. The kernel counts a thread as a fork, so this also moves the count
    where it is real.
    """
    load = files.load()
    if load is None:
        return None
    before = load.last_pid
    new_pids = NewPids(files.stat().forks, before)
    thread_id = run_empty_thread()
    load = files.load()
    if thread_id is None or load is None:
        return None
    after = load.last_pid
    # If PIDs wrapped around between the two, the PIDs in between are those that were not allocated.
    ours = before < thread_id <= after if before <= after else not after < thread_id <= before
    return new_pids if ours else None


def run_empty_thread() -> int | None:
    """Run a thread that does nothing, which is a fork and an exit to the kernel; its ID, or None if it cannot start."""
    thread = threading.Thread(target=int, name="cpuwatch-empty")
    try:
        thread.start()
    except RuntimeError:
        return None
    thread.join()
    return thread.native_id
