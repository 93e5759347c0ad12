"""Failures while reading are tolerated and counted by reason, and end with their cause."""

from __future__ import annotations

import errno
import json
import os
import pwd
from collections.abc import Sequence
from typing import Any

import pytest
from namespaces import run_script, unshared

pytestmark = pytest.mark.timeout(60)

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
NOBODY = 65_534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of two users")


def out_of_descriptors(*arguments: str, prefix: Sequence[str] = ()) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(run_script([*prefix], "out_of_descriptors.py", *arguments))
    # Keys of JSON objects are text, so PIDs are too.
    return result | {who: str(result[who]) for who in ("idle", "active", "newcomer")}


def test_procfs_continues_without_file_descriptors_and_counts_unread_processes() -> None:
    # In a new PID namespace: the exit of another process whose file is open would free a descriptor.
    seen = out_of_descriptors("procfs", prefix=unshared("--pid", "--fork", "--mount-proc", "--kill-child"))
    for reading in seen["during"]:
        # Processes that did not run are known without opening a file.
        assert seen["idle"] in reading["processes"]
        # Two that ran; or one, and the listing, which would contain the new process; or all three.
        assert reading["unreadable"].keys() == {"EMFILE"}
        assert reading["unreadable"]["EMFILE"] >= 2
        # Unknown values are left out, not guessed.
        assert seen["newcomer"] not in reading["processes"]
    # The clock of a known process needs no descriptor, so its values are complete.
    for percent in seen["in_turn"]:
        assert percent[seen["active"]] is not None
    assert seen["in_turn"][0][seen["active"]] > 0


@pytest.mark.parametrize("backend", ["procfs", "procfs/stat", "psutil"])
def test_missing_descriptors_are_reported_until_there_are_some_again(backend: str) -> None:
    seen = out_of_descriptors(backend)
    for reading in seen["during"]:
        # A sampler that can read nothing at all may raise.
        assert reading.get("error") == errno.EMFILE or reading["unreadable"]["EMFILE"] > 0
    after = seen["after"]
    assert after["unreadable"] == {}
    assert {seen["idle"], seen["active"], seen["newcomer"]} <= after["processes"].keys()
    for who in ("idle", "active"):
        assert after["keys"][seen[who]] == seen["before"]["keys"][seen[who]]
    for who in ("idle", "active", "newcomer"):
        assert seen["percent"][seen[who]] is not None


@pytest.mark.parametrize("backend", ["procfs/clock", "procfs/stat"])
def test_at_most_a_quarter_of_the_descriptors_is_used_and_all_processes_are_read(backend: str) -> None:
    seen = json.loads(run_script([], "few_descriptors.py", backend, "64"))
    assert seen["backend"] == backend
    tick_ns = 0 if backend == "procfs/clock" else 2 * TICK_NS
    for reading in seen["readings"]:
        assert len(reading["held"]) == len(set(reading["held"])) <= 16
        assert reading["missing"] == []
        assert reading["unreadable"] == {}
        clocks = zip(reading["before_ns"], reading["cpu_ns"], reading["after_ns"], strict=True)
        for before_ns, shown_ns, after_ns in clocks:
            assert before_ns - tick_ns <= shown_ns <= after_ns
    # Forty run each time. How many of the sixteen files stay open depends on what else ran in the reading before.
    assert any(reading["held"] for reading in seen["readings"])
    assert seen["held_after_closing"] == []


@needs_root
@pytest.mark.parametrize("backend", ["procfs", "procfs/stat", "psutil"])
def test_a_failed_lookup_of_a_user_name_is_repeated(backend: str) -> None:
    # One descriptor is left. The file of the process takes it while the user is looked up in /etc/passwd.
    seen = out_of_descriptors(backend, "--reserve", "1", "--user-id", str(NOBODY))
    assert seen["after"]["processes"][seen["newcomer"]] == pwd.getpwuid(NOBODY).pw_name


def with_hidden_processes(option: str, backend: str) -> dict[str, Any]:
    prefix = unshared("--mount", "--pid", "--fork", "--kill-child")
    result: dict[str, Any] = json.loads(run_script(prefix, "hidden_processes.py", option, backend, str(NOBODY)))
    return result


@needs_root
@pytest.mark.parametrize(("backend", "reason"), [("procfs", "EPERM"), ("psutil", "AccessDenied")])
def test_processes_of_which_only_the_pid_is_visible_are_counted(backend: str, reason: str) -> None:
    seen = with_hidden_processes("hidepid=1", backend)
    assert seen["listed"] == [seen["own_pid"], seen["other_pid"]]
    assert seen["readings"] == [[[seen["own_pid"]], {reason: 1}]] * 3
    assert "hidepid=1, so processes of other users cannot be read" in seen["hidden"][0]


@needs_root
@pytest.mark.parametrize("option", ["hidepid=2", "hidepid=2,gid=23", "hidepid=4"])
@pytest.mark.parametrize("backend", ["procfs", "psutil"])
def test_own_processes_are_read_if_those_of_other_users_are_hidden(backend: str, option: str) -> None:
    seen = with_hidden_processes(option, backend)
    assert seen["listed"] == [seen["own_pid"]]
    assert seen["readings"] == [[[seen["own_pid"]], {}]] * 3
    mode, _, group = option.partition(",gid=")
    assert f"mounted with {mode}, so processes of other users are not shown" in seen["hidden"][0]
    assert ("in group 23" in seen["hidden"][0]) == bool(group)
    # Root sees its whole namespace, and a note that there are others.
    (elsewhere,) = seen["seen_by_root"]
    assert "outside this PID namespace" in elsewhere
    assert seen["hidden"][1:] == [elsewhere]


@needs_root
@pytest.mark.parametrize("backend", ["procfs", "psutil"])
def test_no_note_is_shown_if_nothing_is_hidden(backend: str) -> None:
    seen = with_hidden_processes("hidepid=0", backend)
    assert seen["listed"] == [seen["own_pid"], seen["other_pid"]]
    assert seen["hidden"] == seen["seen_by_root"]
    assert not any("hidepid" in reason for reason in seen["hidden"])
