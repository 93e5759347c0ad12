"""The machine and software of a run, as rows for its report."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

__all__ = ["git_revision", "machine_rows", "package_version"]

_PACKAGES = ("cpuwatch", "hypercorn", "uvicorn", "granian", "h11", "httptools", "uvloop", "starlette", "msgspec")


def machine_rows() -> Mapping[str, str]:
    """The machine, its load, and the installed packages."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    packages = [f"{name} {found}" for name in _PACKAGES if (found := package_version(name)) is not None]
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
    """The revision of the checkout, and whether it has changes; None outside a checkout."""
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


def package_version(package: str) -> str | None:
    """The installed version, if any."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
