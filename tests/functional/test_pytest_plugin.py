"""``pytest --cpu``, in a session of its own, with and without pytest-xdist."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytestmark = [pytest.mark.any_python, pytest.mark.timeout(120)]

TESTS = """
import subprocess, sys, time

def test_own():
    until = time.thread_time() + 0.1
    while time.thread_time() < until: pass

def test_children():
    subprocess.run([sys.executable, "-I", "-S", "-c", "import time\\nwhile time.process_time() < 0.4: pass"])

def test_idle():
    pass

def test_fails():
    assert not time
"""


def run_pytest(folder: Path, *flags: str) -> str:
    (folder / "test_example.py").write_text(TESTS)
    # Loading all plugins that are installed here takes longer than the tests.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    plugins = ["-p", "no:cacheprovider", "-p", "xdist", "-p", "pytest_cpuwatch"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, *flags]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    return done.stdout


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_tests_are_listed_by_cpu_and_written_as_json(tmp_path: Path, workers: list[str]) -> None:
    output = run_pytest(tmp_path, "--cpu-json", "cpu.json", "--cpu-tests", "2", *workers)
    tests = {row["test"].partition("::")[2]: row for row in json.loads((tmp_path / "cpu.json").read_text())["tests"]}
    assert set(tests) == {"test_own", "test_children", "test_idle", "test_fails"}
    assert tests["test_children"]["children_seconds"] == pytest.approx(0.4, rel=0.1)
    assert tests["test_own"]["own_seconds"] >= 0.1
    assert tests["test_idle"]["cpu_seconds"] < 0.05
    assert "s of CPU in 4 tests" in output
    assert "test_example.py::test_children" in output
    assert "test_example.py::test_idle\n" not in output


def test_amounts_are_in_junit_xml(tmp_path: Path) -> None:
    run_pytest(tmp_path, "--cpu", "--junit-xml", "junit.xml")
    root = ET.parse(tmp_path / "junit.xml").getroot()  # noqa: S314  pytest wrote it
    case = next(case for case in root.iter("testcase") if case.get("name") == "test_children")
    properties = {item.get("name"): float(item.get("value", "")) for item in case.iter("property")}
    assert properties["cpu_children_seconds"] == pytest.approx(0.4, rel=0.1)


def test_without_the_option_it_is_inert(tmp_path: Path) -> None:
    output = run_pytest(tmp_path)
    assert "of CPU in" not in output
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, pytest_cpuwatch; print('cpuwatch' in sys.modules, 'msgspec' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert loaded.stdout == "False False\n"


def test_pytest_loads_it() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"cpuwatch": "pytest_cpuwatch"}
