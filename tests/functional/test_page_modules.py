"""The page's modules that need no browser, in the JavaScript engine that Playwright brings along."""

from __future__ import annotations

import os
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

pytestmark = pytest.mark.timeout(60)

TESTS = Path(__file__).parent / "page_modules" / "modules.test.mjs"
# The library is held to the same table: tests/unit/test_cgroup_name.py.
CGROUP_NAMES = Path(__file__).parents[1] / "cgroup_names.json"


def test_the_pure_modules_do_what_their_own_tests_say() -> None:
    node = compute_driver_executable()[0]
    environment = os.environ | {
        "PAGE_MODULES": str(files("cpuwatch.web") / "static"),
        "CGROUP_NAMES": str(CGROUP_NAMES),
    }
    done = subprocess.run(
        [node, "--no-warnings", "--test", TESTS], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
