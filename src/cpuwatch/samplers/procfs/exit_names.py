"""Combines the messages about exited threads into named exits of processes. Pure.

The kernel sends a message about each thread that exits (taskstats). The message about the last thread says that the
process has exited, and how much CPU all of it used. The message about the main thread has the name of the program.
They come in either order.
"""

from __future__ import annotations

from collections.abc import Iterator

from cpuwatch.samplers.procfs.taskstats import ExitedTask

__all__ = ["ExitNames", "NamedExit"]

_MAX_MAIN_THREADS = 10_000
"""Names kept of main threads that exited before their process; the oldest goes first."""

NamedExit = tuple[ExitedTask, str | None]
"""An exited process and its name, which is None if the message with the name was lost."""


class ExitNames:
    """Keeps names whose process has not exited yet, and exits whose name has not come yet."""

    def __init__(self) -> None:
        self._main_names: dict[int, str] = {}
        self._unnamed: dict[int, ExitedTask] = {}
        self._unnamed_at_last_expiry: dict[int, ExitedTask] = {}

    def add(self, task: ExitedTask) -> Iterator[NamedExit]:
        """Yield the exits that this message completes."""
        pid = task.process_id
        if task.pid != pid:
            if task.process_exited:
                name = self._main_names.pop(pid, None)
                if name is not None:
                    yield task, name
                    return
                if pid in self._unnamed:
                    yield self._unnamed.pop(pid), None
                self._unnamed[pid] = task
            return
        if pid in self._unnamed:
            # This is the main thread of that process. But if it is a whole process, it has reused the PID.
            yield self._unnamed.pop(pid), None if task.process_exited else task.name
            if not task.process_exited:
                return
        # A main thread that exited earlier was replaced by another thread (execve(2)): the newer name counts.
        self._main_names.pop(pid, None)
        if task.process_exited:
            yield task, task.name
        else:
            self._main_names[pid] = task.name
            if len(self._main_names) > _MAX_MAIN_THREADS:
                del self._main_names[next(iter(self._main_names))]

    def expire(self) -> Iterator[NamedExit]:
        """Yield the exits that were already unnamed at the last call: the message with their name was lost."""
        for pid, task in self._unnamed_at_last_expiry.items():
            if self._unnamed.get(pid) is task:
                yield self._unnamed.pop(pid), None
        self._unnamed_at_last_expiry = dict(self._unnamed)
