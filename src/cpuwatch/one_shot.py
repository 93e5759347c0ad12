"""A single snapshot, for scripts."""

from __future__ import annotations

import time

from cpuwatch.accounting.usage import usage
from cpuwatch.model import Snapshot
from cpuwatch.samplers import open_sampler

__all__ = ["sample"]


def sample(interval: float = 1.0, sampler: str = "auto", *, command_lines: bool = False) -> Snapshot:
    """What the machine and each process do in the ``interval`` seconds from now.

    Blocks for that long. Raises what :func:`~cpuwatch.open_sampler` raises.
    """
    with open_sampler(sampler, command_lines=command_lines) as opened:
        earlier = opened.read()
        time.sleep(interval)
        return usage(earlier, opened.read())
