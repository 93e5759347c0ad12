"""Measures the threads of the process whose panel is open, on this machine or on another one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from cpuwatch.accounting.threads import thread_usage
from cpuwatch.errors import CpuwatchError, NotFoundError
from cpuwatch.samplers.threads import ThreadReader
from cpuwatch.thread_usage import ThreadReading, ThreadsSnapshot

__all__ = ["LocalThreads", "MeasureThreads", "ThreadFollower"]

_PAUSE_SECONDS = 1.0
_FIRST_INTERVAL_SECONDS = 0.5

MeasureThreads = Callable[[int], ThreadsSnapshot]
"""Measures the threads of a process since the last call. Takes some time; raises ``CpuwatchError``."""


class LocalThreads:
    """The threads of one process of this machine after the other."""

    def __init__(self, open_reader: Callable[[], ThreadReader]) -> None:
        self._open_reader = open_reader
        self._reader: ThreadReader | None = None
        self._earlier: ThreadReading | None = None

    def __call__(self, pid: int) -> ThreadsSnapshot:
        """The threads since the last call for the same process; the first call for one takes half a second."""
        if self._reader is None:
            self._reader = self._open_reader()
        earlier, self._earlier = self._earlier, None
        later = self._reader.read(pid)
        if earlier is None or earlier.key != later.key:
            earlier = later
            time.sleep(_FIRST_INTERVAL_SECONDS)
            later = self._reader.read(pid)
        if later.key != earlier.key:
            raise NotFoundError(f"process {pid} has exited; another process has its PID now")
        self._earlier = later
        return thread_usage(earlier, later)


class ThreadFollower:
    """Measures one process again and again in a thread, so that the view never waits. Nothing is read without one.

    ``wake`` is called in that thread when :attr:`shown` has changed.
    """

    def __init__(self, measure: MeasureThreads, wake: Callable[[], None]) -> None:
        self.shown: ThreadsSnapshot | str | None = None
        """The newest result, or why there is none; None before the first."""
        self._measure = measure
        self._wake = wake
        self._followed: tuple[int, str] | None = None
        self._changed = threading.Condition()
        self._is_started = False

    def follow(self, pid: int, key: str) -> None:
        """Measure this process from now on."""
        self._switch((pid, key))

    def stop(self) -> None:
        """Measure nothing more."""
        self._switch(None)

    def _switch(self, wanted: tuple[int, str] | None) -> None:
        if wanted == self._followed:
            return
        with self._changed:
            self._followed, self.shown = wanted, None
            self._changed.notify()
        if not self._is_started:
            self._is_started = True
            threading.Thread(target=self._run, name="cpuwatch-threads", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._followed is not None)
                followed = self._followed
            if followed is None:
                continue
            result = self._measured(*followed)
            with self._changed:
                if self._followed != followed:
                    continue
                self.shown = result
                self._wake()
                self._changed.wait_for(lambda: self._followed != followed, timeout=_PAUSE_SECONDS)  # noqa: B023

    def _measured(self, pid: int, key: str) -> ThreadsSnapshot | str:
        try:
            result = self._measure(pid)
        except CpuwatchError as error:
            return str(error)
        return result if result.key == key else "the process has exited; another process has its PID now"
