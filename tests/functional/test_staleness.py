"""Changes to processes that do not run, or keep their names, are shown within a limited time."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from live_processes import Puppet, puppet
from live_server import CPUWATCH_SERVE, running_server
from namespaces import unshared

from cpuwatch import Monitor, OpenSampler, ProcessTimes, open_sampler, usage
from cpuwatch.samplers.procfs import cpu_clock
from cpuwatch.samplers.reread_schedule import READINGS_PER_ROUND

pytestmark = pytest.mark.timeout(90)

CGROUPS = Path("/sys/fs/cgroup")
TIMEOUT_SECONDS = 30
FREE_USER_ID = 54_217

BACKENDS = ["procfs/clock", "procfs/stat", "psutil"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can do this to other processes")


def opened(backend: str, monkeypatch: pytest.MonkeyPatch, *, command_lines: bool = False) -> OpenSampler:
    if backend == "procfs/stat":
        monkeypatch.setattr(cpu_clock, "is_usable", lambda *_: False)
    return open_sampler(backend.partition("/")[0], command_lines=command_lines)


def first_matching(sampler: OpenSampler, pid: int, holds: Callable[[ProcessTimes], bool]) -> ProcessTimes:
    """Return the first record of this process that satisfies the condition, within one round."""
    for _ in range(READINGS_PER_ROUND + 1):
        record = sampler.read().processes[pid]
        if holds(record):
            return record
    raise AssertionError(f"after {READINGS_PER_ROUND} readings: {record}")


def made(*folders: Path) -> Iterator[tuple[Path, ...]]:
    try:
        for folder in folders:
            folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        yield folders
    finally:
        for folder in folders:
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while (folder / "cgroup.procs").read_text():
                assert time.monotonic() < deadline, f"{folder} does not get empty"
                time.sleep(0.01)
            folder.rmdir()


@pytest.fixture
def units() -> Iterator[tuple[Path, ...]]:
    """Two v2 cgroups."""
    root = CGROUPS / "unified" if (CGROUPS / "unified").is_dir() else CGROUPS
    if not (root / "cgroup.procs").exists():
        pytest.skip("there is no cgroup of version 2 here")
    yield from made(*(root / f"cpuwatch-test-{os.getpid()}-{name}.service" for name in "ab"))


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A cgroup of the v1 freezer."""
    if not (CGROUPS / "freezer" / "cgroup.procs").exists():
        pytest.skip("there is no freezer of version 1 here")
    for (folder,) in made(CGROUPS / "freezer" / f"cpuwatch-test-{os.getpid()}"):
        yield folder


def move(process: Puppet, folder: Path) -> None:
    (folder / "cgroup.procs").write_text(str(process.pid))


@needs_root
@pytest.mark.parametrize("backend", ["procfs/clock", "procfs/stat"])
def test_a_process_moved_in_its_sleep_is_found_in_its_new_cgroup(
    backend: str, monkeypatch: pytest.MonkeyPatch, units: tuple[Path, ...]
) -> None:
    old, new = units
    with opened(backend, monkeypatch) as sampler, puppet() as sleeper:
        move(sleeper, old)
        first_matching(sampler, sleeper.pid, lambda record: record.cgroup == f"/{old.name}")
        before = sampler.read()
        move(sleeper, new)
        first_matching(sampler, sleeper.pid, lambda record: record.cgroup == f"/{new.name}")
        rows = usage(before, sampler.read()).processes
        assert [row.cpu_percent for row in rows if row.pid == sleeper.pid] == [0.0]


@needs_root
def test_a_moved_busy_process_is_found_in_its_new_cgroup(
    monkeypatch: pytest.MonkeyPatch, units: tuple[Path, ...]
) -> None:
    old, new = units
    with opened("procfs/clock", monkeypatch) as sampler, puppet() as busy:
        for folder in (old, new, old):
            move(busy, folder)
            busy.spend(30)
            # Some busy processes are reread in each reading, and there are few here.
            cgroups = [sampler.read().processes[busy.pid].cgroup for _ in range(5)]
            assert cgroups[-1] == f"/{folder.name}"


@needs_root
@pytest.mark.parametrize("backend", ["procfs/clock", "procfs/stat"])
def test_a_process_frozen_in_its_sleep_is_shown_as_frozen(
    backend: str, monkeypatch: pytest.MonkeyPatch, freezer: Path
) -> None:
    # In nanosleep(2), unlike in a read from a pipe, a process freezes without running (TASK_FREEZABLE in the kernel).
    with opened(backend, monkeypatch) as sampler, subprocess.Popen(["sleep", "600"]) as sleeper:
        try:
            (freezer / "cgroup.procs").write_text(str(sleeper.pid))
            first_matching(sampler, sleeper.pid, lambda record: record.name == "sleep" and record.state == "S")
            clock_ns = cpu_clock.read_one(sleeper.pid)
            (freezer / "freezer.state").write_text("FROZEN")
            first_matching(sampler, sleeper.pid, lambda record: record.state == "D")
            (freezer / "freezer.state").write_text("THAWED")
            first_matching(sampler, sleeper.pid, lambda record: record.state == "S")
            assert cpu_clock.read_one(sleeper.pid) == clock_ns
        finally:
            (freezer / "freezer.state").write_text("THAWED")
            sleeper.kill()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_program_that_overwrites_its_arguments_is_shown_with_its_title(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(backend, monkeypatch, command_lines=True) as sampler, puppet() as worker:
        first_matching(sampler, worker.pid, lambda record: "puppet.py" in str(record.command_line))
        for title in ("worker: idle", "worker: SELECT"):
            worker.title(title.encode())
            first_matching(sampler, worker.pid, lambda record, title=title: record.command_line == title)  # type: ignore[misc]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_program_that_executes_one_of_the_same_name_is_shown_with_the_new_arguments(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = [tmp_path / folder / "worker" for folder in ("one", "two")]
    for program in programs:
        program.parent.mkdir()
        program.symlink_to(sys.executable)
    with opened(backend, monkeypatch, command_lines=True) as sampler, puppet() as worker:
        for program in programs:
            worker.execute(program)
            record = first_matching(
                sampler,
                worker.pid,
                lambda record, program=program: str(record.command_line).startswith(f"{program} "),  # type: ignore[misc]
            )
            assert record.name == "worker"


@needs_root
@pytest.mark.parametrize("backend", ["procfs", "psutil"])
def test_a_new_user_name_is_shown_for_a_sleeping_process(tmp_path: Path, backend: str) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_text(Path("/etc/passwd").read_text())
    tmp_path.chmod(0o755)
    mounted = ("sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', str(passwd))
    command = (*unshared("--mount"), *mounted, *CPUWATCH_SERVE)
    settings = {"CPUWATCH_INTERVAL": "0.1", "CPUWATCH_BACKEND": backend}
    with puppet() as sleeper, running_server(command, **settings) as server:
        sleeper.become(FREE_USER_ID)
        with httpx.Client(base_url=server.url) as client:

            def shown_as(name: str) -> bool:
                found = client.get("/cpu_usage", params={"user": name}).json()["processes"]
                return sleeper.pid in {process["pid"] for process in found}

            for name in (str(FREE_USER_ID), "alice", "bob"):
                deadline = time.monotonic() + TIMEOUT_SECONDS
                if not name.isdigit():
                    passwd.write_text(f"{name}:x:{FREE_USER_ID}:{FREE_USER_ID}::/:/bin/sh\n")
                while not shown_as(name):
                    assert time.monotonic() < deadline, f"{name} is not shown"
                    time.sleep(0.02)


@needs_root
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hanging_name_service_delays_neither_readings_nor_the_exit(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pwd.getpwuid
    let_go = threading.Event()

    def hang(user_id: int) -> pwd.struct_passwd:
        if user_id != FREE_USER_ID:
            return real(user_id)
        # Longer than the test may take.
        let_go.wait(300)
        return pwd.struct_passwd(("alice", "x", user_id, user_id, "", "/", "/bin/sh"))

    monkeypatch.setattr(pwd, "getpwuid", hang)
    before = set(threading.enumerate())
    with puppet() as sleeper, opened(backend, monkeypatch) as sampler:
        sleeper.become(FREE_USER_ID)
        with Monitor(interval=0.05, sampler=sampler) as monitor:
            snapshots = [snapshot for snapshot, _ in zip(monitor, range(5), strict=False)]
            users = {row.user for shown in snapshots for row in shown.processes if row.pid == sleeper.pid}
            assert users == {str(FREE_USER_ID)}
            own = {row.user for row in snapshots[-1].processes if row.pid == os.getpid()}
            assert own == {real(os.geteuid()).pw_name}
    assert {thread.name for thread in set(threading.enumerate()) - before} <= {"cpuwatch-user-names"}
    let_go.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive()
