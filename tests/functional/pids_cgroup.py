"""A cgroup in which no threads can be started, like a container that has reached its ``pids.max``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

__all__ = ["PIDS_CGROUPS", "without_new_threads"]

_V1, _V2 = Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")


def _cgroups() -> Path | None:
    for folder, has_controller in (
        (_V1, _V1.is_dir()),
        (_V2, "pids" in _text(_V2 / "cgroup.subtree_control").split()),
    ):
        if has_controller and os.access(folder, os.W_OK):
            return folder
    return None


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""


PIDS_CGROUPS = _cgroups()
"""The directory in which such cgroups can be created, or None."""


@contextmanager
def without_new_threads(pid: int) -> Iterator[None]:
    """Prevent this process and its children from starting threads and processes, within the block."""
    assert PIDS_CGROUPS is not None
    processes = [process.pid for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]]
    limited = PIDS_CGROUPS / f"cpuwatch-test-{pid}"
    limited.mkdir()
    try:
        for process in processes:
            (limited / "cgroup.procs").write_text(str(process))
        # Existing threads may exceed the limit; new ones are refused.
        (limited / "pids.max").write_text("1")
        yield
        (limited / "pids.max").write_text("max")
    finally:
        for process in processes:
            if psutil.pid_exists(process):
                (PIDS_CGROUPS / "cgroup.procs").write_text(str(process))
        limited.rmdir()
