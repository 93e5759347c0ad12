"""The page's modules that need no browser, run by the Node.js that Playwright contains."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from playwright._impl._driver import compute_driver_executable
from unit_trees import unit_trees

from cpuwatch import Sampling
from cpuwatch.encoding.table import missing_processes
from cpuwatch.text import printable
from cpuwatch.web.endpoints.page import fields_module

pytestmark = pytest.mark.timeout(60)

TESTS = sorted((Path(__file__).parent / "page_modules").glob("*.test.mjs"))
# The library is tested with the same tables in tests/unit/test_cgroup_name.py, test_kernel_threads.py and
# test_verdicts.py.
CGROUP_NAMES = Path(__file__).parents[1] / "cgroup_names.json"
VERDICTS = Path(__file__).parents[1] / "verdicts.json"
SUMMED_NAMES = Path(__file__).parents[1] / "summed_names.json"
SAMPLINGS = [
    Sampling(),
    Sampling(unreadable={"EPERM": 1}),
    Sampling(unreadable={"EPERM": 3, "EMFILE": 1}, hidden=["/proc is mounted with hidepid=2", "a\nb\x1b[31m"]),
]


def test_the_page_modules_pass_their_own_tests(tmp_path: Path) -> None:
    modules = tmp_path / "static"
    shutil.copytree(str(files("cpuwatch.web") / "static"), modules)
    (modules / "model" / "fields.js").write_bytes(fields_module())
    node = compute_driver_executable()[0]
    trees = tmp_path / "unit_trees.json"
    trees.write_bytes(msgspec.json.encode(unit_trees()))
    environment = os.environ | {
        "PAGE_MODULES": str(modules),
        "UNIT_TREES": str(trees),
        "CGROUP_NAMES": str(CGROUP_NAMES),
        "MISSING_PROCESSES": json.dumps(
            [(msgspec.to_builtins(of), [printable(line) for line in missing_processes(of)]) for of in SAMPLINGS]
        ),
        "VERDICTS": VERDICTS.read_text(encoding="utf-8"),
        "SUMMED_NAMES": SUMMED_NAMES.read_text(encoding="utf-8"),
    }
    done = subprocess.run(
        [node, "--no-warnings", "--test", *TESTS], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
