"""Puts the name of its program on each process that ended. Pure.

The kernel sends a message about each thread that ends (taskstats). That about the last one says that the process has
ended, and what all of it used; that about the main thread has the name of the program. They come in either order.
"""

from __future__ import annotations

from collections.abc import Iterator

from cpuwatch.samplers.procfs.taskstats import EndedTask

__all__ = ["ExitNames"]

_MAX_MAIN_THREADS = 10_000
"""Names of main threads that ended before their process did; the oldest is forgotten first."""

Named = tuple[EndedTask, str | None]
"""A process that ended, and its name; None if the message with that was lost."""


class ExitNames:
    """What has been heard of processes that have not ended as a whole, or are still without a name."""

    def __init__(self) -> None:
        self._main_names: dict[int, str] = {}
        self._unnamed: dict[int, EndedTask] = {}
        self._overdue: dict[int, EndedTask] = {}

    def hear(self, task: EndedTask) -> Iterator[Named]:
        """The processes that are complete with this message."""
        pid = task.process_id
        if task.pid != pid:
            if task.process_ended:
                name = self._main_names.pop(pid, None)
                if name is not None:
                    yield task, name
                    return
                if pid in self._unnamed:
                    yield self._unnamed.pop(pid), None
                self._unnamed[pid] = task
            return
        if pid in self._unnamed:
            # It is the main thread of that one, unless it is a whole process: then the PID was used again.
            yield self._unnamed.pop(pid), None if task.process_ended else task.name
            if not task.process_ended:
                return
        # An earlier main thread is one that another thread took the place of (execve(2)): the newer name counts.
        self._main_names.pop(pid, None)
        if task.process_ended:
            yield task, task.name
        else:
            self._main_names[pid] = task.name
            if len(self._main_names) > _MAX_MAIN_THREADS:
                del self._main_names[next(iter(self._main_names))]

    def overdue(self) -> Iterator[Named]:
        """Those that were without a name at the last call already: the message with it was lost."""
        for pid, task in self._overdue.items():
            if self._unnamed.get(pid) is task:
                yield self._unnamed.pop(pid), None
        self._overdue = dict(self._unnamed)
