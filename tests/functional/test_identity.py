"""A process is identified by PID and start time, and never mistaken for another."""

from __future__ import annotations

import json
import os
import pwd
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from live_processes import Child, open_paths, puppet, started
from namespaces import run_script, unshared

from cpuwatch import OpenSampler, open_sampler, usage
from cpuwatch.samplers.procfs import cpu_clock

pytestmark = [pytest.mark.timeout(120), pytest.mark.any_python]

REUSES = 200
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
NOBODY = 65_534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process that becomes another user")


@pytest.fixture(params=["procfs/clock", "procfs/stat", "psutil"])
def sampler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSampler]:
    if request.param == "procfs/stat":
        # As in test_sampler_contract.py: the mode for a /proc of another PID namespace, on this one.
        monkeypatch.setattr(cpu_clock, "is_usable", lambda *_: False)
    with open_sampler(request.param.partition("/")[0]) as opened:
        yield opened


@pytest.fixture(scope="module")
def reuses() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(
        run_script(unshared("--pid", "--fork", "--mount-proc", "--kill-child"), "pid_reuse.py", str(REUSES))
    )
    return result


@pytest.mark.parametrize("backend", ["procfs", "psutil"])
def test_a_reused_pid_inherits_no_values(backend: str, reuses: dict[str, Any]) -> None:
    assert len(reuses["rounds"]) == REUSES
    tick_ns = 0 if reuses["backends"][backend] == "procfs/clock" else TICK_NS
    for this in reuses["rounds"]:
        assert this["reused"], this
        seen = this["backends"][backend]
        assert not seen["missing"], "the process that got the PID is not in the reading at all"
        assert seen["keys"][0] != seen["keys"][1]
        assert seen["names"] == ["old", "new"]
        assert seen["seen_first_now"]
        assert seen["started_later"]
        assert seen["old_ns"] >= 30_000_000 - 3 * tick_ns
        # Times of the parent are in microseconds.
        assert seen["new_ns"] <= this["true_ns"] + 2_000
        assert seen["new_since_ns"] is not None, "it was born in the interval, so it started from zero"
        assert abs(seen["new_since_ns"] - seen["new_ns"]) < 1_000


def test_pid_reuse_was_tested_with_cpu_clocks(reuses: dict[str, Any]) -> None:
    # CPU clocks match the /proc of a container that has its own.
    assert reuses["backends"] == {"procfs": "procfs/clock", "psutil": "psutil"}


def test_an_orphan_shows_its_new_parent(sampler: OpenSampler) -> None:
    with started("subreaper.py") as process:
        subreaper = Child(process)
        parent, child = map(int, subreaper.answer().split())
        # Twice: after the first reading no process of the family has anything left to do.
        sampler.read()
        before = sampler.read().processes[child]
        assert before.ppid == parent

        assert subreaper.command("end the parent") == "zombie"
        reading = sampler.read().processes
        assert reading[parent].state == "Z"
        assert reading[child].ppid == process.pid
        assert reading[child].key == before.key
        assert reading[child].first_seen == before.first_seen
        # It slept all the time, so its clock did not show it.
        assert reading[child].cpu_ns == before.cpu_ns

        assert subreaper.command("reap it") == "reaped"
        reading = sampler.read().processes
        assert parent not in reading
        assert reading[child].ppid == process.pid


def test_an_orphan_whose_parent_was_reaped_between_two_readings_shows_its_new_parent(
    sampler: OpenSampler,
) -> None:
    with started("subreaper.py") as process:
        subreaper = Child(process)
        parent, child = map(int, subreaper.answer().split())
        assert sampler.read().processes[child].ppid == parent
        subreaper.command("end the parent")
        subreaper.command("reap it")
        assert sampler.read().processes[child].ppid == process.pid
        assert sampler.read().processes[child].ppid == process.pid


def test_a_zombie_is_shown_until_it_is_reaped(sampler: OpenSampler) -> None:
    with puppet() as child:
        child.spend(30)
        earlier = sampler.read()
        before = earlier.processes[child.pid]
        child.end()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        for _ in range(3):
            later = sampler.read()
            zombie = later.processes[child.pid]
            assert zombie.state == "Z"
            assert zombie.key == before.key
            assert zombie.cpu_ns >= before.cpu_ns
        row = next(row for row in usage(earlier, later).processes if row.pid == child.pid)
        assert row.cpu_percent is not None
        child.reap()
        assert child.pid not in sampler.read().processes


def test_a_process_that_executes_a_program_continues_under_its_new_name(sampler: OpenSampler, tmp_path: Path) -> None:
    program = tmp_path / "another-name"
    program.symlink_to(sys.executable)
    with puppet() as child:
        child.spend(30)
        before = sampler.read().processes[child.pid]
        child.execute(program)
        after = sampler.read().processes[child.pid]
    assert before.name != "another-name"
    assert after.name == "another-name"
    assert after.key == before.key
    # execve(2) does not reset the CPU time.
    assert after.cpu_ns > before.cpu_ns


def test_the_number_of_threads_is_current(sampler: OpenSampler) -> None:
    with puppet() as child:
        assert sampler.read().processes[child.pid].threads == 1
        child.burn(0.1, 3)
        assert sampler.read().processes[child.pid].threads == 4


def test_a_process_with_a_chosen_pid_is_found() -> None:
    seen = json.loads(run_script(unshared("--pid", "--fork", "--mount-proc", "--kill-child"), "chosen_pids.py"))
    assert seen["backend"] == "procfs/clock"
    # The counters of the kernel show that some PIDs were not allocated in turn.
    assert seen["found"]["jumped"] == [1] * 5
    assert seen["found"]["set_tid"] == [1] * 5
    # The last PID advanced by the number of forks, as if another fork had failed.
    assert all(reading is not None and reading <= 16 for reading in seen["found"]["hidden"])


def test_the_reading_thread_is_not_shown_as_a_process(sampler: OpenSampler) -> None:
    # The kernel accepts the ID of the calling thread as the PID of a process clock.
    sampler.read()
    for _ in range(5):
        with ThreadPoolExecutor(1) as reader:
            found = reader.submit(sampler.read).result().processes
            thread_id = reader.submit(threading.get_native_id).result()
        assert thread_id != os.getpid()
        assert thread_id not in found
        assert os.getpid() in found


@needs_root
def test_a_change_of_user_is_seen_while_the_stat_file_is_open() -> None:
    with open_sampler("procfs") as sampler, puppet() as child:
        stat = f"/proc/{child.pid}/stat"
        for _ in range(3):
            child.spend(1)
            assert sampler.read().processes[child.pid].user == "root"
        assert stat in open_paths()
        child.become(NOBODY)
        assert sampler.read().processes[child.pid].user == pwd.getpwuid(NOBODY).pw_name
        assert stat in open_paths()
        assert os.stat(stat).st_uid == 0, "the file is root's, as the process is not dumpable now"


@needs_root
def test_a_change_of_user_is_seen(sampler: OpenSampler) -> None:
    with puppet() as child:
        assert sampler.read().processes[child.pid].user == "root"
        child.become(NOBODY)
        assert sampler.read().processes[child.pid].user == pwd.getpwuid(NOBODY).pw_name


@needs_root
def test_a_user_without_a_name_is_shown_as_a_number(sampler: OpenSampler) -> None:
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    nameless = next(user_id for user_id in range(54_321, 60_000) if user_id not in taken)
    with puppet() as child:
        child.become(nameless)
        assert sampler.read().processes[child.pid].user == str(nameless)
