"""The page's modules that need no browser, in the JavaScript engine that Playwright brings along."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

from cpuwatch.cgroup_name import cgroup_name

pytestmark = pytest.mark.timeout(60)

TESTS = Path(__file__).parent / "page_modules" / "modules.test.mjs"
SUMMED_NAMES = Path(__file__).parents[1] / "summed_names.json"
CGROUPS = [
    "/",
    "/system.slice/nginx.service",
    "/system.slice/docker-" + "0123456789abcdef" * 4 + ".scope",
    "/docker/" + "0123456789abcdef" * 4,
    "/kubepods/burstable/pod12/" + "0123456789abcdef" * 4,
    "/user.slice/user-0.slice/user@0.service/app.slice/libpod-" + "ab" * 32 + ".scope",
    r"/system.slice/dev-disk-by\x2duuid.swap",
    "/plain/folder",
]


def test_the_pure_modules_do_what_their_own_tests_say() -> None:
    node = compute_driver_executable()[0]
    environment = os.environ | {
        "PAGE_MODULES": str(files("cpuwatch.web") / "static"),
        "SUMMED_NAMES": SUMMED_NAMES.read_text(encoding="utf-8"),
        "UNIT_NAMES": json.dumps([(path, cgroup_name(path)) for path in CGROUPS]),
    }
    done = subprocess.run(
        [node, "--no-warnings", "--test", TESTS], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
