"""Where a run took place, as rows for its report."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

__all__ = ["git_revision", "machine_rows"]

_PACKAGES = ("cpuwatch", "hypercorn", "uvicorn", "granian", "h11", "httptools", "uvloop", "starlette", "msgspec")


def machine_rows() -> Mapping[str, str]:
    """The machine and what is installed; how busy it is already."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    packages = [f"{name} {found}" for name in _PACKAGES if (found := _version(name)) is not None]
    return {
        "machine": platform.node(),
        "CPU": f"{_cpu_model()}, {psutil.cpu_count(logical=False) or '?'} cores, {psutil.cpu_count()} logical CPUs",
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages beside the suite": ", ".join(packages),
        "load average before the run": f"{load} (of 1, 5 and 15 minutes)",
    }


def git_revision(directory: Path) -> str | None:
    """Of the checkout there, and whether it has changes; None if it is none."""
    try:
        revision = _git(directory, "rev-parse", "HEAD")
        changes = _git(directory, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{revision} with changes" if changes else revision


def _git(directory: Path, *arguments: str) -> str:
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
