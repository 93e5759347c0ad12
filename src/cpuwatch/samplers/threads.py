"""Readers of the threads of one process. Nothing reads them unless somebody asks for them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol

from cpuwatch.errors import SamplerUnavailableError
from cpuwatch.thread_usage import ThreadReading

__all__ = ["MAX_THREADS", "ThreadReader", "open_thread_reader"]

MAX_THREADS = 4000
"""The number of threads in a reading. Each takes some 25 microseconds."""

_READERS = {
    "procfs": ("cpuwatch.samplers.procfs.threads", "ProcfsThreads"),
    "psutil": ("cpuwatch.samplers.psutil_threads", "PsutilThreads"),
}


class ThreadReader(Protocol):
    """Reads the threads of processes, at most :data:`MAX_THREADS` of each."""

    def read(self, pid: int) -> ThreadReading:
        """The threads of the process with this PID.

        Raises :class:`~cpuwatch.errors.NotFoundError` if there is none, or if it exits meanwhile, and
        :class:`~cpuwatch.errors.SamplerError` if it cannot be read.
        """
        ...


def open_thread_reader(backend: str = "auto") -> ThreadReader:
    """The reader that belongs to a sampler: that of procfs or psutil; ``"auto"`` is procfs where it works.

    Raises :class:`~cpuwatch.errors.SamplerUnavailableError` for other samplers, which do not read threads.
    """
    if backend == "auto":
        backend = "procfs" if Path("/proc/self/task").is_dir() else "psutil"
    if backend not in _READERS:
        raise SamplerUnavailableError(
            f"the sampler {backend!r} does not read threads: only {' and '.join(_READERS)} do"
        )
    module, reader = _READERS[backend]
    opened: ThreadReader = getattr(import_module(module), reader)()
    return opened
