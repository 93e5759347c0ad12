"""Takes a single snapshot, or one after the other, for scripts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

from cpuwatch.accounting.reaped import NO_CARRY
from cpuwatch.accounting.usage import account, usage
from cpuwatch.interval import LIBRARY_INTERVAL_SECONDS, checked_interval
from cpuwatch.model import Snapshot
from cpuwatch.samplers import open_sampler

__all__ = ["sample", "samples"]


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
