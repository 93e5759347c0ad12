"""A /proc with hidepid (proc(5)), which hides the processes of other users, read by an ordinary user."""

from __future__ import annotations

import json
import os

import pytest
from namespaces import run_script, unshared

pytestmark = [
    pytest.mark.any_python,
    pytest.mark.timeout(60),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a /proc and start processes of two users"),
]

NOBODY = "65534"


@pytest.mark.parametrize("option", ["hidepid=1", "hidepid=2"])
@pytest.mark.parametrize("backend", ["procfs", "psutil"])
@pytest.mark.parametrize("ending", ["both", "child"], ids=["its parent ends too", "its parent lives on"])
def test_usage_of_a_process_with_a_hidden_parent_is_not_counted_again(option: str, backend: str, ending: str) -> None:
    prefix = unshared("--mount", "--pid", "--fork", "--kill-child")
    seen = json.loads(run_script(prefix, "hidden_parent.py", option, backend, NOBODY, ending))
    assert seen["seen"] == [True, True]
    assert seen["gone"]
    assert seen["shown_ns"] < 100_000_000


@pytest.mark.parametrize("option", ["hidepid=1", "hidepid=2"])
@pytest.mark.parametrize("backend", ["procfs", "psutil"])
def test_a_process_that_becomes_visible_is_in_the_next_reading(option: str, backend: str) -> None:
    prefix = unshared("--mount", "--pid", "--fork", "--kill-child")
    assert json.loads(run_script(prefix, "becomes_visible.py", option, backend, NOBODY)) == [1] * 6


@pytest.mark.parametrize(
    ("option", "backend", "error"),
    [
        ("hidepid=1", "procfs", "NotPermittedError: the threads of process OTHER cannot be read: permission denied; "),
        ("hidepid=2", "procfs", "NotFoundError: no process with PID OTHER; "),
        ("hidepid=1", "psutil", "NotPermittedError: the threads of process OTHER cannot be read: permission denied"),
    ],
)
def test_the_threads_of_a_hidden_process_are_refused_with_the_reason(option: str, backend: str, error: str) -> None:
    prefix = unshared("--mount", "--pid", "--fork", "--kill-child")
    message = run_script(prefix, "hidden_threads.py", option, backend, NOBODY)
    assert message.startswith(error)
    assert f"/proc is mounted with {option}" in message or backend == "psutil"
