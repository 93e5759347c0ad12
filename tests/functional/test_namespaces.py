"""Containers: the kernel shows a namespace only part of the machine, and cpuwatch reports that."""

from __future__ import annotations

import json
import os

import pytest
from live_processes import puppet
from namespaces import run_script, unshared

from cpuwatch import Snapshot, decode

pytestmark = pytest.mark.timeout(60)

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def test_with_the_proc_of_another_namespace_stat_is_read_of_the_right_process() -> None:
    # Process 1 of the new namespace is the sampler, and process 1 of this /proc is init. The clocks of these PIDs
    # would belong to other processes.
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


def seen_in(*namespaces: str) -> Snapshot:
    return decode(run_script(unshared(*namespaces), "short_lives_seen.py").encode())


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="unshare without root makes a user namespace too")


@needs_root
def test_a_container_in_the_pid_and_network_namespaces_of_the_host_sees_everything() -> None:
    with puppet() as child:
        seen = seen_in("--mount", "--uts", "--ipc", "--cgroup")
    assert seen.host.backend == "procfs/clock"
    assert child.pid in {row.pid for row in seen.processes}
    if seen.exited_names != "taskstats":
        pytest.skip(seen.exited_names)
    assert sum(row.count or 0 for row in seen.exited if row.name == "true") >= 50


@needs_root
def test_in_a_separate_network_namespace_exits_are_reported_as_unavailable() -> None:
    seen = seen_in("--net")
    assert seen.host.backend == "procfs/clock"
    if seen.exited_names != "unavailable: this kernel has no taskstats":
        assert seen.exited_names == "unavailable: it needs the initial network namespace"
    assert all(row.name is None for row in seen.exited)


@needs_root
@pytest.mark.any_python
@pytest.mark.skipif(os.cpu_count() == 1, reason="one CPU cannot be used twice")
def test_with_fewer_cpus_visible_than_used_the_busiest_process_keeps_its_value() -> None:
    seen = json.loads(run_script(unshared("--mount"), "fewer_cpus.py"))
    assert seen["logical_cpus"] == 1
    for interval in seen["intervals"]:
        assert interval["is_exact"]
        # Usage slightly above all CPUs, since reading takes time, is shown as all CPUs.
        max_percent = 100 * (os.cpu_count() or 1)
        assert interval["cpu_percent"] == pytest.approx(min(interval["used_percent"], max_percent))
    assert seen["intervals"][-1]["used_percent"] > 120
