"""A fork copies the monitor without its thread, so the child reports an error instead of hanging."""

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
def test_a_monitor_in_a_forked_child_raises(use: str, forked: dict[str, Any]) -> None:
    message = forked["found"][use]
    assert str(forked["parent"]) in message
    assert str(forked["child"]) in message
    assert "create and start a monitor here" in message


def test_closing_the_monitor_in_the_child_is_harmless(forked: dict[str, Any]) -> None:
    assert forked["status"] == 0


def test_the_child_can_start_another_monitor(forked: dict[str, Any]) -> None:
    assert forked["found"]["another monitor"] == "samples"


def test_the_monitor_of_the_parent_continues(forked: dict[str, Any]) -> None:
    assert forked["after"] > forked["before"]
