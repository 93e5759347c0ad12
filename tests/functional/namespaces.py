"""Runs commands in new namespaces, if the machine allows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "children"


def unshared(*flags: str) -> list[str]:
    """Return a command prefix that creates new namespaces. Skips the test if that is not allowed.

    Without root, a user namespace grants the permission, if the kernel allows that.
    """
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *as_root, *flags]
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        pytest.skip("needs unshare(1) of util-linux")
    if tried.returncode:
        pytest.skip(f"{' '.join(command)} is not allowed here: {tried.stderr.strip()}")
    return command


def run_script(prefix: list[str], script: str, *arguments: str) -> str:
    """Run this file of children/ with ``prefix``, and return its output."""
    command = [*prefix, sys.executable, str(SCRIPTS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout
