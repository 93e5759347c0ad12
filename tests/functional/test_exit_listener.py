"""The exits that the kernel reports, compared with processes whose exit is known."""

from __future__ import annotations

import os
import platform
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from live_processes import CHILDREN

from cpuwatch import NO_CARRY, ProcessExit, account, open_sampler
from cpuwatch.errors import SamplerUnavailableError
from cpuwatch.samplers.procfs.exit_listener import ExitListener
from cpuwatch.samplers.users import UserNames

pytestmark = pytest.mark.timeout(60)

PROGRAM = [sys.executable, "-I", "-S", str(CHILDREN / "threaded_program.py")]
RUNS = 20


@pytest.fixture
def listener() -> Iterator[ExitListener]:
    try:
        opened = ExitListener(UserNames())
    except SamplerUnavailableError as error:
        pytest.skip(str(error))
    yield opened
    opened.close()


def exits_of(listener: ExitListener, mode: str) -> list[ProcessExit]:
    """Return the exits of several runs of the threaded program."""
    listener.receive()
    pids = set()
    for _ in range(RUNS):
        with subprocess.Popen([*PROGRAM, mode], stderr=subprocess.DEVNULL) as process:
            pids.add(process.pid)
    # The second call returns the exits that had no name in the first.
    return [end for end in listener.receive() + listener.receive() if end.pid in pids]


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("exits", "program"),
        ("executes", "true"),
        pytest.param(
            "outlives",
            "program",
            marks=pytest.mark.skipif(platform.machine() != "x86_64", reason="exit(2) by its number of x86-64"),
        ),
    ],
)
def test_a_process_has_the_name_of_its_main_thread(listener: ExitListener, mode: str, name: str) -> None:
    ends = exits_of(listener, mode)
    assert Counter(end.name for end in ends) == {name: RUNS}
    # Eight threads of 2 ms each. A thread that is killed or replaced may not finish.
    assert sum(end.cpu_ns for end in ends) > 0


def test_a_renamed_process_is_charged_under_its_last_name() -> None:
    """A shell that becomes a compiler (``exec``)."""
    with open_sampler("procfs") as sampler:
        script = "read line; exec /bin/cat"
        with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE) as process:
            earlier = sampler.read()
            if earlier.exited_names != "taskstats":
                pytest.skip(earlier.exited_names)
            assert earlier.processes[process.pid].name == "sh"
            process.communicate(b"go\n")
        snapshot, _ = account(earlier, sampler.read(), NO_CARRY)
    exited = [row for row in snapshot.exited if row.parent_pid == os.getpid()]
    assert [(row.name, row.count) for row in exited] == [("cat", 1)]


@pytest.mark.parametrize(
    "payload",
    [
        struct.pack("=IHHII", 36, 2, 0, 1, 0) + bytes(20),
        b"x",
        bytes(16),
        struct.pack("=IHHII", 10_000, 16, 0, 1, 0) + bytes(40),
    ],
    ids=["late acknowledgement", "one byte", "header of zeros", "longer than it is"],
)
def test_a_message_without_a_task_is_counted_and_skipped(listener: ExitListener, payload: bytes) -> None:
    listener.receive()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as sender:
        sender.bind((0, 0))
        own_port = listener._socket.getsockname()[0]
        for _ in range(2):
            subprocess.run(["/bin/true"], check=True)
            sender.sendto(payload, (own_port, 0))
    ends = listener.receive() + listener.receive()
    assert sum(end.name == "true" and end.parent_pid == os.getpid() for end in ends) == 2
    assert listener.unexpected == 2


def test_children_that_are_never_reaped_are_estimated_within_the_unattributed_time() -> None:
    load = [sys.executable, str(CHILDREN / "short_lives.py"), "ignored"]
    with open_sampler("procfs") as sampler, subprocess.Popen(load) as server:
        try:
            reading, carry = sampler.read(), NO_CARRY
            if reading.exited_names != "taskstats":
                pytest.skip(reading.exited_names)
            estimates: list[float] = []
            while len(estimates) < 3:
                subprocess.run(["sleep", "1"], check=True)
                earlier, reading = reading, sampler.read()
                snapshot, carry = account(earlier, reading, carry)
                rows = [row for row in snapshot.exited if row.estimated]
                unattributed = snapshot.attribution.unattributed_percent or 0
                assert sum(row.machine_percent or 0 for row in rows) <= unattributed + 1e-6
                estimates.append(sum(row.cpu_percent or 0 for row in rows if row.parent_pid == server.pid))
        finally:
            server.kill()
    # About one child of 20 ms every 60 ms, and up to twice that after delays on a busy machine.
    assert max(estimates) > 5
