"""The process that causes a load is the first row on every surface, even beside busy processes.

The loads consist of processes that live for milliseconds. Their parent uses less CPU itself than each of the busy
processes. Other processes are ignored, because the machine may run other tests. A load can get almost no CPU in one
second if CPUs are scarce, so it must be first within a few seconds.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import httpx
import pytest
from live_server import CPUWATCH_SERVE, SCRIPTS, environment, running_server

from benchmarks.loads import BUILD, PIPELINE_LOOP, TRUE_LOOP

pytestmark = pytest.mark.timeout(90)

LOADS = {"loop over /bin/true": TRUE_LOOP, "loop of pipelines": PIPELINE_LOOP, "tree of builds": BUILD}
# At most two fifths of a CPU, and a third of the share of the load if CPUs are scarce: in both cases less than the
# whole load, and more than its parent alone.
BUSY = """
import time
while True:
    started = time.thread_time()
    while time.thread_time() < started + 0.004: pass
    time.sleep(0.006)
"""
BUSY_COMMAND = ["nice", "-n", "5", sys.executable, "-c", BUSY]
SETTLED_TICKS = 2
TIMEOUT_SECONDS = 15


class Watched(NamedTuple):
    url: str
    culprit: int
    pids: set[int]

    def first(self, pids: Iterator[int]) -> int:
        """Return the first of these PIDs that belongs to the test."""
        return next(pid for pid in pids if pid in self.pids)

    def becomes_first(self, pids: Callable[[], Iterator[int]]) -> bool:
        """Return whether the culprit is the first of them in one of the next ticks."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self.first(pids()) != self.culprit:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        return True


@contextmanager
def running(command: list[str]) -> Iterator[int]:
    """Run a command until the end of the block, and yield its PID.

    It stays in this session, because niceness counts only within a session (autogroup, sched(7)).
    """
    with subprocess.Popen(command, process_group=0) as process:
        try:
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module", params=LOADS.values(), ids=list(LOADS))
def watched(request: pytest.FixtureRequest) -> Iterator[Watched]:
    """Run a load beside a busy process for each CPU, and a server whose newest snapshot is later than their start."""
    with ExitStack() as stack:
        culprit = stack.enter_context(running(request.param))
        busy = [stack.enter_context(running(BUSY_COMMAND)) for _ in range(os.cpu_count() or 1)]
        server = stack.enter_context(running_server(CPUWATCH_SERVE))
        sequence = 0
        while sequence < SETTLED_TICKS:
            sequence = httpx.get(f"{server.url}/cpu_usage?top=1").json()["sequence"]
        yield Watched(server.url, culprit, {culprit, *busy})


def in_json(url: str) -> Iterator[int]:
    return (row["pid"] for row in httpx.get(f"{url}/cpu_usage").json()["processes"])


def in_lines(url: str) -> Iterator[int]:
    lines = httpx.get(f"{url}/cpu_usage?format=ndjson").text
    return (int(found[1]) for found in re.finditer(r'"kind":"process","pid":(\d+)', lines))


def in_table(text: str) -> Iterator[int]:
    rows = re.split(r"^ *PID .*\n", text, maxsplit=1, flags=re.MULTILINE)[1]
    return (int(row.split()[0]) for row in rows.splitlines())


def in_text(url: str) -> Iterator[int]:
    return in_table(httpx.get(f"{url}/cpu_usage?format=text").text)


def on_page(url: str) -> Iterator[int]:
    return (int(found[1]) for found in re.finditer(r"<tr><td[^>]*>(\d+)</td>", httpx.get(url).text))


SURFACES: dict[str, Callable[[str], Iterator[int]]] = {
    "JSON": in_json,
    "ndjson": in_lines,
    "format=text": in_text,
    "page": on_page,
}


def test_the_culprit_uses_less_itself_than_a_busy_process(watched: Watched) -> None:
    rows = httpx.get(f"{watched.url}/cpu_usage?sort=cpu_percent").json()["processes"]
    assert watched.first(row["pid"] for row in rows) != watched.culprit


@pytest.mark.parametrize("pids", SURFACES.values(), ids=SURFACES)
def test_the_service_shows_the_culprit_first(watched: Watched, pids: Callable[[str], Iterator[int]]) -> None:
    assert watched.becomes_first(lambda: pids(watched.url))


def test_top_1_returns_the_culprit(watched: Watched) -> None:
    chosen = ",".join(map(str, watched.pids))
    query = f"{watched.url}/cpu_usage?top=1&pid={chosen}"
    assert watched.becomes_first(lambda: (row["pid"] for row in httpx.get(query).json()["processes"]))


@pytest.mark.parametrize("flags", [[], ["--top", "1"]])
def test_the_command_shows_the_culprit_first(watched: Watched, flags: list[str]) -> None:
    command = [str(SCRIPTS / "cpuwatch"), "sample", "--pid", ",".join(map(str, watched.pids)), *flags]

    def sampled() -> Iterator[int]:
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=60)
        return in_table(done.stdout)

    assert watched.becomes_first(sampled)


def test_the_exited_processes_name_their_parent(watched: Watched) -> None:
    exited = httpx.get(f"{watched.url}/cpu_usage").json()["exited"]
    assert {row["parent_name"] for row in exited if row["parent_pid"] == watched.culprit} == {"sh"}
