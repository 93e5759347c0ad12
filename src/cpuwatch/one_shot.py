"""Takes a single snapshot, or one after the other, for scripts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

from cpuwatch.accounting.reaped import NO_CARRY
from cpuwatch.accounting.threads import thread_usage
from cpuwatch.accounting.usage import account, usage
from cpuwatch.errors import NotFoundError
from cpuwatch.interval import LIBRARY_INTERVAL_SECONDS, checked_interval
from cpuwatch.model import Snapshot
from cpuwatch.samplers import open_sampler
from cpuwatch.samplers.threads import open_thread_reader
from cpuwatch.thread_usage import ThreadsSnapshot

__all__ = ["sample", "samples", "threads"]


def sample(interval: float = 1.0, sampler: str = "auto", *, command_lines: bool = False) -> Snapshot:
    """The CPU usage of the machine and of each process in the next ``interval`` seconds. Blocks that long.

    Raises :class:`~cpuwatch.errors.SettingsError` for an invalid interval, and what :func:`~cpuwatch.open_sampler`
    raises.
    """
    interval_seconds = checked_interval(interval, LIBRARY_INTERVAL_SECONDS)
    with open_sampler(sampler, command_lines=command_lines) as opened:
        earlier = opened.read()
        time.sleep(interval_seconds)
        return usage(earlier, opened.read())


def samples(interval: float = 1.0, sampler: str = "auto", *, command_lines: bool = False) -> Iterator[Snapshot]:
    """Snapshots of one interval after the other, without an end. None of the CPU time in between is left out.

    The deadlines are absolute; if a caller takes longer than an interval, the next snapshot covers that time too.
    Raises the same errors as :func:`sample`.
    """
    interval_seconds = checked_interval(interval, LIBRARY_INTERVAL_SECONDS)
    with open_sampler(sampler, command_lines=command_lines) as opened:
        earlier, carry = opened.read(), NO_CARRY
        deadline = time.monotonic()
        for sequence in itertools.count(1):
            deadline = max(deadline + interval_seconds, time.monotonic())
            time.sleep(max(0.0, deadline - time.monotonic()))
            later = opened.read()
            snapshot, carry = account(earlier, later, carry, sequence=sequence)
            yield snapshot
            earlier = later


def threads(pid: int, interval: float = 1.0, sampler: str = "auto") -> ThreadsSnapshot:
    """What each thread of a process uses in the next ``interval`` seconds, the busiest first. Blocks that long.

    Raises :class:`~cpuwatch.errors.NotFoundError` if there is no such process or it exits meanwhile,
    :class:`~cpuwatch.errors.SettingsError` for an invalid interval, and :class:`~cpuwatch.errors.SamplerError` if its
    threads cannot be read.
    """
    interval_seconds = checked_interval(interval, LIBRARY_INTERVAL_SECONDS)
    reader = open_thread_reader(sampler)
    deadline = time.monotonic() + interval_seconds
    earlier = reader.read(pid)
    time.sleep(max(0.0, deadline - time.monotonic()))
    later = reader.read(pid)
    if later.key != earlier.key:
        raise NotFoundError(f"process {pid} has exited; another process has its PID now")
    return thread_usage(earlier, later)
