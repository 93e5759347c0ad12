"""Where the snapshots come from: this machine, or a recording."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from cpuwatch.history import SnapshotStore
from cpuwatch.monitor import Monitor
from cpuwatch.recording.reader import Recording
from cpuwatch.samplers.threads import ThreadReader, open_thread_reader
from cpuwatch.terminal.model.header import Link
from cpuwatch.terminal.threads import LocalThreads, MeasureThreads

__all__ = ["LiveSource", "RecordedSource", "Source"]


_FIRST_READING_SECONDS = 2.0


class Source(Protocol):
    """A store of snapshots, and the state of what fills it."""

    @property
    def store(self) -> SnapshotStore:
        """The snapshots."""
        ...

    @property
    def link(self) -> Link:
        """Whether new snapshots still come."""
        ...

    @property
    def measure_threads(self) -> MeasureThreads | None:
        """Measures the threads of a process; None for the past, in which they are not known."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def since(age_seconds: float) -> str:
    """``stale since 12:03:04``, in local time."""
    return f"stale since {datetime.fromtimestamp(time.time() - age_seconds).astimezone():%H:%M:%S}"


class LiveSource:
    """The machine on which this runs. Entering it waits for the first reading, but not for ever.

    The first interval begins with that reading, and what remains to be done before the first snapshot fits into it.
    Done earlier, it would compete with the reading for the interpreter: a reading of thousands of processes is
    thousands of system calls, and after each it would wait for its turn.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._threads = LocalThreads(self._open_thread_reader)

    def __enter__(self) -> Self:
        has_read = threading.Event()
        self._monitor.follow_ticks(lambda _: has_read.set())
        self._monitor.start()
        has_read.wait(_FIRST_READING_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._monitor.close()

    @property
    def store(self) -> SnapshotStore:
        """The monitor's history."""
        return self._monitor.history

    @property
    def link(self) -> Link:
        """Stale after three intervals without a snapshot."""
        age = self._monitor.age_seconds
        if age is not None and age > self._monitor.max_age_seconds:
            failure = self._monitor.health.failure
            return Link("", "stale", since(age) if failure is None else f"{since(age)}: {failure}")
        return Link("", "live")

    @property
    def measure_threads(self) -> MeasureThreads:
        """Reads the threads itself: the monitor does not read them."""
        return self._threads

    def _open_thread_reader(self) -> ThreadReader:
        latest = self._monitor.history.latest
        return open_thread_reader("auto" if latest is None else latest.host.backend.partition("/")[0])


class RecordedSource:
    """A recording, which another process may be writing."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def store(self) -> SnapshotStore:
        """The recording."""
        return self._recording

    @property
    def link(self) -> Link:
        """The past does not become stale."""
        damaged = len(self._recording.damage)
        return Link("", "recorded", f"recorded, {damaged} damaged parts" if damaged else "recorded")

    @property
    def measure_threads(self) -> None:
        """Threads are not recorded."""
        return
