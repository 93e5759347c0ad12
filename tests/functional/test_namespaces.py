"""CPU clocks know PIDs of the caller's namespace only: cpuwatch notices where /proc is of another one."""

from __future__ import annotations

import json
import os

import pytest
from live_processes import puppet
from namespaces import run_script, unshared

pytestmark = pytest.mark.timeout(60)

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def test_with_the_proc_of_another_namespace_the_ticks_are_read_and_are_those_of_the_right_process() -> None:
    # Process 1 of the new namespace is the sampler itself, process 1 of this /proc is init: clocks taken by these
    # numbers would be those of others.
    with puppet() as child:
        before = child.spend(200)
        seen = json.loads(run_script(unshared("--pid", "--fork", "--kill-child"), "own_namespace.py"))
        after = child.clock()
    assert seen["own_pid"] == 1
    assert seen["backend"] == "procfs/stat"
    assert seen["resolution"] == TICK_NS / 1e9
    assert before.cpu_ns - 3 * TICK_NS <= seen["cpu_ns"][str(child.pid)] <= after.cpu_ns
    assert child.pid in seen["kept"]
    assert str(os.getpid()) in seen["cpu_ns"]
