"""Processes that live for less than a tick: all of their CPU is shown, against the kernel's own count of it.

Each load runs for ten seconds in a cgroup of its own, watched by an ordinary user; with CAP_NET_ADMIN the names too.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from accounting_group import AccountingGroup, NoGroupError, accounting_group
from live_processes import CHILDREN
from loads import BUILD, PIPELINE_LOOP, TRUE_LOOP
from namespaces import run_script

from cpuwatch.errors import SamplerUnavailableError
from cpuwatch.samplers._exit_listener import ExitListener

pytestmark = [
    pytest.mark.any_python,
    pytest.mark.timeout(90),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a cgroup and then watch as somebody else"),
]

NOBODY = 65_534
SECONDS = "10"

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


def watched(
    group: AccountingGroup, load: Sequence[str], *, watcher: int, user: int | None = None
) -> list[dict[str, Any]]:
    """What cpuwatch saw in each second of this load."""
    with group.running(load, user=user):
        written = run_script([], "watch_group.py", group.path, str(group.counter), SECONDS, str(watcher))
    ticks: list[dict[str, Any]] = json.loads(written)
    return ticks


def total(ticks: list[dict[str, Any]], field: str) -> float:
    return sum(float(tick[field]) for tick in ticks)


def test_a_listener_can_be_opened_anew_while_processes_end(group: AccountingGroup) -> None:
    try:
        ExitListener().close()
    except SamplerUnavailableError as error:
        pytest.skip(str(error))
    # The port of the one that was closed is free at once, and messages for that one still come there.
    with group.running(TRUE_LOOP):
        for _ in range(2_000):
            ExitListener().close()


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_all_that_a_group_burns_is_shown_on_it_without_privilege(group: AccountingGroup, load: list[str]) -> None:
    ticks = watched(group, load, watcher=NOBODY)
    share = (total(ticks, "live_ns") + total(ticks, "children_ns")) / total(ticks, "used_ns")
    assert total(ticks, "used_ns") > 2e9, "the load is too light to say anything"
    assert 0.99 <= share <= 1.01
    assert ticks[0]["exited_names"] == "unavailable: it needs CAP_NET_ADMIN"
    assert all(ended["name"] is None for tick in ticks for ended in tick["exited"])


@pytest.mark.parametrize(
    ("load", "names"),
    [(TRUE_LOOP, {"true"}), (PIPELINE_LOOP, {"true", "cat", "sh"}), (BUILD, {"sh", "true"})],
    ids=["loop over /bin/true", "loop of pipelines", "tree of builds"],
)
def test_with_the_capability_what_has_ended_has_the_right_name_and_user(
    group: AccountingGroup, load: list[str], names: set[str]
) -> None:
    ticks = watched(group, load, watcher=0, user=NOBODY)
    if ticks[0]["exited_names"] != "taskstats":
        pytest.skip(ticks[0]["exited_names"])
    ended = [row for tick in ticks for row in tick["exited"]]
    right = sum(row["used_ns"] for row in ended if row["name"] in names and row["user"] == "nobody")
    assert right >= 0.95 * total(ticks, "children_ns")
    share = (total(ticks, "live_ns") + total(ticks, "children_ns")) / total(ticks, "used_ns")
    assert 0.99 <= share <= 1.01


def test_children_that_nobody_waits_for_are_unattributed_and_no_spike(group: AccountingGroup) -> None:
    load = [sys.executable, str(CHILDREN / "short_lives.py"), "ignored"]
    ticks = watched(group, load, watcher=NOBODY)
    shown = total(ticks, "live_ns") + total(ticks, "children_ns")
    hidden = total(ticks, "used_ns") - shown
    assert hidden > 0.5 * total(ticks, "used_ns"), "the kernel counted them after all"
    assert total(ticks, "unattributed_ns") >= 0.9 * hidden
    for tick in ticks:
        assert tick["highest_percent"] <= 100 * tick["logical_cpus"]
