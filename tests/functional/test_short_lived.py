"""Processes that live for less than a tick: all of their CPU time is shown, compared with the counter of the kernel.

Each load runs for ten seconds in a separate cgroup. An ordinary user watches it; names need CAP_NET_ADMIN.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import pytest
from live_processes import CHILDREN
from watched_group import NOBODY, watched

from benchmarks.accounting_group import AccountingGroup, NoGroupError, accounting_group
from benchmarks.loads import BUILD, PIPELINE_LOOP, TRUE_LOOP
from cpuwatch import ProcessTimes, open_sampler
from cpuwatch.errors import SamplerUnavailableError
from cpuwatch.samplers import OpenSampler
from cpuwatch.samplers.procfs.exit_listener import ExitListener
from cpuwatch.samplers.users import UserNames

pytestmark = [
    pytest.mark.any_python,
    pytest.mark.timeout(90),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a cgroup and then watch as somebody else"),
]

LOADS = {
    "loop over /bin/true": TRUE_LOOP,
    "loop of pipelines": PIPELINE_LOOP,
    "tree of builds": BUILD,
    "supervisor that forks twice": [sys.executable, str(CHILDREN / "short_lives.py"), "double-fork"],
    "Python children of 50 ms": [sys.executable, str(CHILDREN / "short_lives.py"), "burners"],
    "storm of threads": [sys.executable, str(CHILDREN / "short_lives.py"), "threads"],
}


@pytest.fixture
def group() -> Iterator[AccountingGroup]:
    try:
        with accounting_group() as made:
            yield made
    except NoGroupError as error:
        pytest.skip(str(error))


def test_a_listener_can_be_reopened_while_processes_exit(group: AccountingGroup) -> None:
    try:
        ExitListener(UserNames()).close()
    except SamplerUnavailableError as error:
        pytest.skip(str(error))
    # The port of the closed listener is free at once, and messages for it still arrive there.
    with group.running(TRUE_LOOP):
        for _ in range(2_000):
            ExitListener(UserNames()).close()


def test_a_process_first_seen_as_a_zombie_is_in_the_cgroup_that_it_was_in(group: AccountingGroup) -> None:
    # The kernel shows it in the root of every hierarchy of cgroup v1.
    with open_sampler("procfs") as sampler:
        sampler.read()
        with group.running([sys.executable, str(CHILDREN / "short_lives.py"), "unreaped"]):
            for _ in range(100):
                states = {record.state for record in _members(sampler, group)}
                if "Z" in states:
                    return
                time.sleep(0.1)
    raise AssertionError(f"no zombie in {group.path}, only {states}")


def _members(sampler: OpenSampler, group: AccountingGroup) -> list[ProcessTimes]:
    return [record for record in sampler.read().processes.values() if record.cgroup == group.path]


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_all_usage_of_a_group_is_shown_without_privilege(group: AccountingGroup, load: list[str]) -> None:
    seen = watched(group, load, watcher=NOBODY)
    seen.assert_all_is_shown()
    assert seen.ticks[0]["exited_names"] == "unavailable: it needs CAP_NET_ADMIN"
    assert all(row["name"] is None for tick in seen.ticks for row in tick["exited"])


@pytest.mark.parametrize(
    ("load", "names"),
    [(TRUE_LOOP, {"true"}), (PIPELINE_LOOP, {"true", "cat", "sh"}), (BUILD, {"sh", "true"})],
    ids=["loop over /bin/true", "loop of pipelines", "tree of builds"],
)
def test_with_the_capability_exited_processes_have_the_right_name_and_user(
    group: AccountingGroup, load: list[str], names: set[str]
) -> None:
    seen = watched(group, load, watcher=0, user=NOBODY)
    if seen.ticks[0]["exited_names"] != "taskstats":
        pytest.skip(seen.ticks[0]["exited_names"])
    exited = [row for tick in seen.ticks for row in tick["exited"]]
    right = sum(row["used_ns"] for row in exited if row["name"] in names and row["user"] == "nobody")
    assert right >= 0.95 * seen.total("children_ns")
    seen.assert_all_is_shown()


def test_children_that_are_never_reaped_are_unattributed_without_a_spike(group: AccountingGroup) -> None:
    load = [sys.executable, str(CHILDREN / "short_lives.py"), "ignored"]
    seen = watched(group, load, watcher=NOBODY)
    hidden_ns = seen.total("used_ns") - seen.shown_ns
    assert hidden_ns > 0.5 * seen.total("used_ns"), "the kernel counted them after all"
    assert seen.total("unattributed_ns") >= 0.9 * hidden_ns
    for tick in seen.ticks:
        assert tick["highest_percent"] <= 100 * tick["logical_cpus"]
