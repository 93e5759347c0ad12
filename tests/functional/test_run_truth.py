"""The totals of ``cpuwatch run`` and ``measure()`` match the kernel's counter of a cgroup, for an ordinary user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from live_processes import CHILDREN
from watched_group import NOBODY

from benchmarks.accounting_group import AccountingGroup, NoGroupError, accounting_group, used_ns

pytestmark = [
    pytest.mark.any_python,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a cgroup and then run as somebody else"),
]

BURN = "i=0; while [ $i -lt 150000 ]; do i=$((i + 1)); done"
LONG = BURN.replace("150000", "600000")
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
JOB = [PYTHON, str(CHILDREN / "job.py")]
BUILD = (
    "all: a b c d e f\n"
    "a b c d e f:\n"
    "\tfor n in 1 2 3; do sh -c 'i=0; while [ $$i -lt 40000 ]; do i=$$((i + 1)); done'; done\n"
)
LOADS = {
    "a build": ["sh", "-c", 'printf %s "$0" | make -s -j4 -f -', BUILD],
    "pipelines": ["sh", "-c", "n=0; while [ $n -lt 150 ]; do n=$((n + 1)); echo x | cat | tr x y; done"],
    "double forks": ["sh", "-c", f"for n in 1 2 3 4; do ( ({BURN}) & ); done; sleep 2"],
    # Long enough for the children's time of a living process, which has steps of 10 ms.
    "a daemon left behind": ["sh", "-c", f"setsid sh -c '{LONG}; sh -c \"$0\"; sleep 60' '{LONG}' & {LONG}; sleep 5"],
    "threads": [*JOB, "threads", "1"],
    "xargs": ["sh", "-c", f"seq 8 | xargs -P 4 -I @ sh -c '{BURN}'"],
    "a shell with traps": ["sh", "-c", f"trap 'true' CHLD EXIT; trap '' INT HUP; {BURN} & {BURN}; wait; {BURN}"],
    "a job of 0.2 s": [*JOB, "burn", "0.2"],
    "a job of 5 s": [*JOB, "burn", "5"],
}
IGNORED = [*JOB, "ignored-children", "4"]


# An ordinary user who may read the environment of the tests, which tox makes private. It allows nothing else.
MAY_READ = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *MAY_READ]


@pytest.fixture(scope="module")
def group() -> Iterator[AccountingGroup]:
    try:
        with accounting_group("-run") as made:
            os.chown(made.folder / "cgroup.procs", NOBODY, NOBODY)
            yield made
            made.end_all()
    except NoGroupError as error:
        pytest.skip(str(error))


def run(group: AccountingGroup, load: list[str], program: list[str]) -> dict[str, Any]:
    """The report about this load, which runs in the group; cpuwatch itself stays outside."""
    enter = f'echo 0 > "{group.folder}/cgroup.procs" && exec "$@" 2> /dev/null'
    command = [*AS_NOBODY, *program, "run", "--json", "--", "sh", "-c", enter, "sh", *load]
    done = subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=100)
    used: dict[str, Any] = msgspec.json.decode(done.stderr)
    return used


PROGRAMS = {
    "with the task clock": [sys.executable, "-m", "cpuwatch"],
    "without": [sys.executable, str(CHILDREN / "run_without_task_clock.py")],
}


@pytest.fixture(scope="module")
def outside_seconds(group: AccountingGroup) -> float:
    """What the shell that enters the group uses outside: milliseconds, but one percent of a short load."""

    def once() -> float:
        before_ns = used_ns(group.counter)
        used = run(group, ["true"], PROGRAMS["without"])
        return float(used["cpu_seconds"]) - (used_ns(group.counter) - before_ns) / 1e9

    return min(once() for _ in range(3))


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_the_total_is_that_of_the_kernel(
    group: AccountingGroup, outside_seconds: float, load: list[str], program: list[str]
) -> None:
    before_ns = used_ns(group.counter)
    used = run(group, load, program)
    true_seconds = (used_ns(group.counter) - before_ns) / 1e9 + outside_seconds
    assert used["cpu_seconds"] == pytest.approx(true_seconds, rel=0.01)
    assert sum(row["cpu_seconds"] for row in used["groups"]) == pytest.approx(used["cpu_seconds"], rel=0.001)


def test_processes_that_nobody_waits_for_count_with_the_task_clock(group: AccountingGroup) -> None:
    before_ns = used_ns(group.counter)
    used = run(group, IGNORED, PROGRAMS["with the task clock"])
    if used["estimated"]:
        pytest.skip("this kernel refuses the task clock")
    assert used["cpu_seconds"] == pytest.approx((used_ns(group.counter) - before_ns) / 1e9, rel=0.01)
    assert used["unwaited_seconds"] == pytest.approx(4, rel=0.05)


def test_processes_that_nobody_waits_for_are_estimated_without_it(group: AccountingGroup) -> None:
    before_ns = used_ns(group.counter)
    used = run(group, IGNORED, PROGRAMS["without"])
    true_seconds = (used_ns(group.counter) - before_ns) / 1e9
    assert used["estimated"]
    assert 0.5 * true_seconds < used["cpu_seconds"] <= 1.01 * true_seconds


def test_a_measured_block_is_that_of_the_kernel(group: AccountingGroup) -> None:
    command = [sys.executable, str(CHILDREN / "measured_block.py"), str(group.folder), str(group.counter)]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [*AS_NOBODY, *command],
        env={**os.environ, "PYTHONPATH": root},
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    measured = json.loads(done.stdout)
    assert measured["used"] == pytest.approx(measured["true"], rel=0.01)
