"""Takes a single snapshot, for scripts."""

from __future__ import annotations

import time

from cpuwatch.accounting.usage import usage
from cpuwatch.interval import LIBRARY_INTERVAL_SECONDS, checked_interval
from cpuwatch.model import Snapshot
from cpuwatch.samplers import open_sampler

__all__ = ["sample"]


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
