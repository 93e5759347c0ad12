"""Installs the third-party sampler in plugin/ with pip, as a user would."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["install_plugin", "search_path"]


def install_plugin(folder: Path) -> str:
    """Install the package below this folder, and return a PYTHONPATH with it. Skips the test if pip fails."""
    source = shutil.copytree(Path(__file__).parent / "plugin", folder / "plugin")
    installed = folder / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(installed)]
    if importlib.util.find_spec("hatchling") is not None:
        # With the build backend installed, pip needs no network.
        command.append("--no-build-isolation")
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False, timeout=100)
    if done.returncode:
        pytest.skip(f"pip cannot build the package here, hatchling is missing or out of reach: {done.stderr[-500:]}")
    return os.pathsep.join([str(installed), *search_path()])


def search_path() -> list[str]:
    """Return the folders in PYTHONPATH."""
    return [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
