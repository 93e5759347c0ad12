"""Cgroups with a quota, of version 1 or 2, and the counters of the kernel about them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

__all__ = ["Counters", "counters", "path_of", "quota_group"]

_V1 = Path("/sys/fs/cgroup/cpu")
_ROOT = _V1 if _V1.is_dir() else _V1.parent
_numbers = count(1)


class Counters(NamedTuple):
    """``cpu.stat``."""

    periods: int
    throttled_periods: int
    throttled_ns: int


@contextmanager
def quota_group(quota_us: int | None, period_us: int, *, inside: Path | None = None) -> Iterator[Path]:
    """A cgroup whose processes get this much CPU time in each period; skips the test if it cannot be made.

    Without ``quota_us`` it has no quota of its own. In version 1, a quota cannot exceed that of the parent.
    The processes must end within ten seconds after the block.
    """
    group = (inside or _ROOT) / f"cpuwatch-test-{os.getpid()}-{next(_numbers)}"
    try:
        if inside is not None and not _V1.is_dir():
            (inside / "cgroup.subtree_control").write_text("+cpu")
        group.mkdir()
        if _V1.is_dir():
            (group / "cpu.cfs_period_us").write_text(str(period_us))
            (group / "cpu.cfs_quota_us").write_text(str(-1 if quota_us is None else quota_us))
        else:
            (group / "cpu.max").write_text(f"{'max' if quota_us is None else quota_us} {period_us}")
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"needs a cgroup with a quota: {error}")
    try:
        yield group
    finally:
        until = time.monotonic() + 10
        while (group / "cgroup.procs").read_text() and time.monotonic() < until:
            time.sleep(0.05)
        group.rmdir()


def path_of(group: Path) -> str:
    """The path of the cgroup in its hierarchy."""
    return f"/{group.relative_to(_ROOT)}"


def counters(group: Path) -> Counters:
    """What the kernel counted up to now."""
    words = (group / "cpu.stat").read_text().split()
    values = {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}
    throttled_ns = 1000 * values["throttled_usec"] if "throttled_usec" in values else values["throttled_time"]
    return Counters(values["nr_periods"], values["nr_throttled"], throttled_ns)
