"""The totals of ``cpuwatch run`` and ``measure()`` match the kernel's counter of a cgroup, for an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
import pytest
from live_processes import CHILDREN
from watched_group import NOBODY

from benchmarks.accounting_group import AccountingGroup, NoGroupError, accounting_group, used_ns

pytestmark = [
    pytest.mark.any_python,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a cgroup and then run as somebody else"),
]

# All loads but one use about a second or more: in less, a few milliseconds in which the kernel was interrupted are 1 %.
BURN = "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done"
# Children's time of a living process counts user and system time in whole ticks of 10 ms: 20 ms are below 1 % of three.
LONG = BURN.replace("300000", "1200000")
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
JOB = [PYTHON, str(CHILDREN / "job.py")]
BUILD = (
    "all: a b c d e f\n"
    "a b c d e f:\n"
    "\tfor n in 1 2 3; do sh -c 'i=0; while [ $$i -lt 120000 ]; do i=$$((i + 1)); done'; done\n"
)
LOADS = {
    "a build": ["sh", "-c", 'printf %s "$0" | make -s -j4 -f -', BUILD],
    "pipelines": ["sh", "-c", "n=0; while [ $n -lt 150 ]; do n=$((n + 1)); echo x | cat | tr x y; done"],
    # The pipe is closed when the last of them ends.
    "double forks": ["sh", "-c", f"for n in 1 2 3 4; do ( ({BURN}) & ); done | cat"],
    "a daemon left behind": [
        *("sh", "-c"),
        f"{{ setsid sh -c '{LONG}; sh -c \"$0\"; echo; sleep 60' '{LONG}' & }} | {{ {LONG}; read line; }}",
    ],
    "threads": [*JOB, "threads", "1"],
    "xargs": ["sh", "-c", f"seq 8 | xargs -P 4 -I @ sh -c '{BURN}'"],
    "a shell with traps": ["sh", "-c", f"trap 'true' CHLD EXIT; trap '' INT HUP; {BURN} & {BURN}; wait; {BURN}"],
    "a job of 0.2 s": [*JOB, "burn", "0.2"],
    "a job of 20 s": [*JOB, "burn", "20"],
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


class Run(NamedTuple):
    """The report about a load, and the CPU time in seconds that the kernel counted for it."""

    report: dict[str, Any]
    true_seconds: float


def run(group: AccountingGroup, load: list[str], program: list[str]) -> Run:
    """Run this load in the group; cpuwatch itself stays outside.

    So does the shell until it enters the group. The move brings its own clock up to date, which ``schedstat`` shows.
    """
    with tempfile.TemporaryDirectory() as folder:
        outside = Path(folder, "outside")
        outside.touch()
        shutil.chown(folder, NOBODY)
        os.chown(outside, NOBODY, NOBODY)
        enter = (
            f'echo 0 > "{group.folder}/cgroup.procs" && read ns rest < /proc/$$/schedstat && echo $ns > "{outside}"'
            ' && exec "$@" 2> /dev/null'
        )
        command = [*AS_NOBODY, *program, "run", "--json", "--", "sh", "-c", enter, "sh", *load]
        before_ns = used_ns(group.counter)
        done = subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=100)
        true_ns = used_ns(group.counter) - before_ns + int(outside.read_text())
    return Run(msgspec.json.decode(done.stderr), true_ns / 1e9)


PROGRAMS = {
    "with the task clock": [sys.executable, "-m", "cpuwatch"],
    "without": [sys.executable, str(CHILDREN / "run_without_task_clock.py")],
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_the_total_is_that_of_the_kernel(group: AccountingGroup, load: list[str], program: list[str]) -> None:
    used, true_seconds = run(group, load, program)
    assert used["cpu_seconds"] == pytest.approx(true_seconds, rel=0.01)
    assert sum(row["cpu_seconds"] for row in used["groups"]) == pytest.approx(used["cpu_seconds"], rel=0.001)


def test_processes_that_nobody_waits_for_count_with_the_task_clock(group: AccountingGroup) -> None:
    machine_before = psutil.cpu_times()
    used, true_seconds = run(group, IGNORED, PROGRAMS["with the task clock"])
    if used["estimated"]:
        pytest.skip("this kernel refuses the task clock")
    # The task clock runs on in stolen time. How much of it fell on the command is unknown.
    stolen = psutil.cpu_times().steal - machine_before.steal
    tolerance = 0.01 + stolen / (sum(psutil.cpu_times()[:3]) - sum(machine_before[:3]))
    assert used["cpu_seconds"] == pytest.approx(true_seconds, rel=tolerance)
    assert used["unwaited_seconds"] == pytest.approx(4, rel=0.05)


def test_processes_that_nobody_waits_for_are_estimated_without_it(group: AccountingGroup) -> None:
    used, true_seconds = run(group, IGNORED, PROGRAMS["without"])
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
