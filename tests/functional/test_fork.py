"""A fork takes the monitor along but not its thread: in the child it says so instead of standing still."""

from __future__ import annotations

import json
from typing import Any

import pytest
from namespaces import run_script

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def forked() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(run_script([], "fork.py"))
    return result


@pytest.mark.parametrize("use", ["latest", "history", "health", "wait", "iterate", "start"])
def test_a_monitor_in_a_forked_child_says_that_it_does_not_work(use: str, forked: dict[str, Any]) -> None:
    told = forked["found"][use]
    assert str(forked["parent"]) in told
    assert str(forked["child"]) in told
    assert "make and start a monitor here" in told


def test_closing_it_in_the_child_does_no_harm(forked: dict[str, Any]) -> None:
    assert forked["status"] == 0


def test_the_child_can_have_a_monitor_of_its_own(forked: dict[str, Any]) -> None:
    assert forked["found"]["another monitor"] == "samples"


def test_the_parent_goes_on(forked: dict[str, Any]) -> None:
    assert forked["after"] > forked["before"]
