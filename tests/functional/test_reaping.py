"""Which process is charged for an exited one if an unexpected process reaps it, or none does."""

from __future__ import annotations

import os
import sys

import pytest
from live_processes import CHILDREN
from namespaces import unshared
from watched_group import NOBODY, watched

from benchmarks.accounting_group import NoGroupError, accounting_group

pytestmark = [
    pytest.mark.any_python,
    pytest.mark.timeout(90),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a cgroup and enter namespaces"),
]

CONTAINERS = [sys.executable, str(CHILDREN / "containers.py")]


@pytest.fixture(autouse=True)
def namespaces() -> None:
    unshared("--pid", "--fork")


@pytest.mark.parametrize("watcher", [0, NOBODY], ids=["with exit messages", "without privilege"])
def test_an_orphan_reaped_by_the_init_of_its_namespace_is_counted_once(watcher: int) -> None:
    try:
        with accounting_group() as group:
            watched(group, [*CONTAINERS, "entered"], watcher=watcher).assert_all_is_shown()
    except NoGroupError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("watcher", "cpu_seconds"),
    [
        # The exits of the build account for all growth, so not even a small container fits.
        pytest.param(0, ("2.4", "0.9", "2.4", "0.9"), id="with exit messages"),
        # Without exits, only the amount shows it: more than the build uses in a second.
        pytest.param(NOBODY, ("2.8", "2.8"), id="without privilege"),
    ],
)
def test_killed_containers_hide_nothing_of_a_build_under_the_same_ancestor(
    watcher: int, cpu_seconds: tuple[str, ...]
) -> None:
    try:
        with accounting_group() as group, accounting_group("-killed") as other, other.running(["sleep", "60"]):
            load = [*CONTAINERS, "killed", str(other.folder / "cgroup.procs"), *cpu_seconds]
            seen = watched(group, load, watcher=watcher)
    except NoGroupError as error:
        pytest.skip(str(error))
    seen.assert_all_is_shown()
