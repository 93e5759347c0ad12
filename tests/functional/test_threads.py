"""The threads of real processes, compared with what they measure of themselves and with the kernel's counters."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from live_processes import Child, started
from live_server import CPUWATCH_SERVE, Server, run, running_server

import cpuwatch
from benchmarks.processes import burning
from cpuwatch import ThreadsSnapshot
from cpuwatch.accounting.threads import thread_usage
from cpuwatch.errors import NotFoundError
from cpuwatch.samplers.procfs.threads import ProcfsThreads
from cpuwatch.samplers.psutil_threads import PsutilThreads
from cpuwatch.samplers.threads import ThreadReader

pytestmark = [pytest.mark.timeout(120)]

CPU = max(os.sched_getaffinity(0))
HOSTILE_NAMES = [b"a) R 1 2 (b", b"\xff\xfe\x80", b"<b>&\x1b[31m", b"two\nlines", b"\xe2\x82\xac euro", b")"]


class Threads(Child):
    """A process whose threads obey (children/named_threads.py)."""

    def ask(self, command: str) -> int:
        return int(self.command(command))

    def start(self, name: bytes = b"worker") -> int:
        return self.ask(f"start {name.hex()}")

    def spend(self, tid: int, milliseconds: int) -> int:
        """Use CPU time in this thread; returns its clock after it."""
        return self.ask(f"spend {tid} {milliseconds}")

    def clock(self, tid: int) -> int:
        return self.ask(f"clock {tid}")


@contextmanager
def obedient_threads() -> Iterator[Threads]:
    with started("named_threads.py") as process:
        child = Threads(process)
        assert child.answer() == "ready"
        yield child


@pytest.fixture
def child() -> Iterator[Threads]:
    with obedient_threads() as found:
        yield found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(CPUWATCH_SERVE) as found:
        yield found


def used_ns(percent: float | None, snapshot: ThreadsSnapshot) -> float:
    assert percent is not None
    return percent / 100 * snapshot.interval_seconds * 1e9


def test_the_cpu_time_of_a_thread_is_what_the_thread_measures_of_itself(child: Threads) -> None:
    reader = ProcfsThreads()
    busy, idle = child.start(b"busy"), child.start(b"idle")
    before = child.spend(busy, 20)
    earlier = reader.read(child.pid)
    between = child.clock(busy)
    after = child.spend(busy, 300)
    later = reader.read(child.pid)
    end = child.clock(busy)
    assert before <= earlier.threads[busy].cpu_ns <= between
    assert after <= later.threads[busy].cpu_ns <= end
    rows = {row.tid: row for row in thread_usage(earlier, later).threads}
    snapshot = thread_usage(earlier, later)
    used = used_ns(rows[busy].cpu_percent, snapshot)
    assert after - between - 1 <= used <= end - before + 1
    assert [rows[busy].name, rows[idle].name, rows[child.pid].name] == ["busy", "idle", snapshot.name]
    assert snapshot.threads[0].tid == busy
    assert snapshot.ended_percent == 0.0


def test_threads_that_ended_are_in_the_sum(child: Threads) -> None:
    reader = ProcfsThreads()
    old, stays = child.start(), child.start()
    child.spend(old, 10)
    process_before = child.ask("clock")
    earlier = reader.read(child.pid)
    process_between = child.ask("clock")
    old_after = child.spend(old, 150)
    child.ask(f"end {old}")
    short_lived = child.start()
    short_lived_after = child.spend(short_lived, 100)
    child.ask(f"end {short_lived}")
    child.spend(stays, 50)
    process_middle = child.ask("clock")
    later = reader.read(child.pid)
    process_after = child.ask("clock")
    snapshot = thread_usage(earlier, later)
    assert {old, short_lived}.isdisjoint(row.tid for row in snapshot.threads)
    total = used_ns(snapshot.cpu_percent, snapshot)
    assert process_middle - process_between <= total + 1
    assert total <= process_after - process_before + 1
    ended = used_ns(snapshot.ended_percent, snapshot)
    assert ended >= old_after - earlier.threads[old].cpu_ns + short_lived_after - later.tolerance_ns - 1
    assert ended + sum(used_ns(row.cpu_percent, snapshot) for row in snapshot.threads) == pytest.approx(total)


def test_waiting_is_the_run_delay_that_the_kernel_reports() -> None:
    def delays(pid: int) -> dict[int, int]:
        return {
            int(task.name): int((task / "schedstat").read_text().split()[1])
            for task in Path(f"/proc/{pid}/task").iterdir()
        }

    reader = ProcfsThreads()
    with burning(1, CPU, 3) as [pid]:
        first = delays(pid)
        earlier = reader.read(pid)
        second = delays(pid)
        time.sleep(1)
        third = delays(pid)
        later = reader.read(pid)
        fourth = delays(pid)
    snapshot = thread_usage(earlier, later)
    waited = {row.tid: used_ns(row.wait_percent, snapshot) for row in snapshot.threads}
    busy = [row for row in snapshot.threads if (row.cpu_percent or 0) > 5]
    assert len(busy) == 3
    for row in busy:
        booked = later.threads[row.tid].wait_ns, earlier.threads[row.tid].wait_ns
        assert None not in booked
        # What exceeds the interval less the CPU time is the end of a wait that began before it.
        room = snapshot.interval_seconds * 1e9 - used_ns(row.cpu_percent, snapshot)
        assert waited[row.tid] >= min(third[row.tid] - second[row.tid], room) - 1
        assert waited[row.tid] <= fourth[row.tid] - first[row.tid] + 1
        assert row.last_cpu == CPU
    assert used_ns(snapshot.wait_percent, snapshot) == pytest.approx(sum(waited.values()))


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_with_hostile_bytes_are_safe(child: Threads, server: Server, name: bytes) -> None:
    tid = child.start(name)
    shown = name.decode("utf-8", "backslashreplace")
    found = httpx.get(f"{server.url}/cpu_usage/{child.pid}/threads").json()
    assert {row["tid"]: row["name"] for row in found["threads"]}[tid] == shown
    text = run("sample", "--threads", str(child.pid), "--interval", "0.05").stdout
    lines = text.splitlines()
    assert len(lines) == 4 + len(found["threads"])
    assert all(line.isprintable() for line in lines)


def test_a_reading_takes_a_limited_number_of_threads(child: Threads) -> None:
    reader = ProcfsThreads(max_threads=2000)
    threads = child.ask("idle 2100")
    earlier, later = reader.read(child.pid), reader.read(child.pid)
    assert len(later.threads) == 2000
    assert later.unread == threads - 2000
    snapshot = thread_usage(earlier, later)
    assert snapshot.unread == later.unread
    assert snapshot.ended_percent is None
    assert snapshot.wait_percent is None
    assert snapshot.cpu_percent is not None


def test_threads_that_end_while_they_are_read_are_no_error(child: Threads) -> None:
    reader = ProcfsThreads()
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            child.ask(f"end {child.start()}")

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        earlier = reader.read(child.pid)
        for _ in range(200):
            later = reader.read(child.pid)
            snapshot = thread_usage(earlier, later)
            assert all((row.cpu_percent or 0) >= 0 for row in snapshot.threads)
            assert (snapshot.ended_percent or 0) >= 0
            earlier = later
    finally:
        stop.set()
        churning.join()


@pytest.mark.parametrize("reader", [ProcfsThreads(), PsutilThreads()], ids=["procfs", "psutil"])
def test_a_process_that_does_not_exist_is_not_found(child: Threads, reader: ThreadReader) -> None:
    assert reader.read(child.pid).pid == child.pid
    child.end()
    child.reap()
    with pytest.raises(NotFoundError, match=f"no process with PID {child.pid}"):
        reader.read(child.pid)


def test_a_thread_is_not_taken_for_a_process(child: Threads) -> None:
    tid = child.start()
    with pytest.raises(NotFoundError, match=f"{tid} is a thread of the process with PID {child.pid}"):
        ProcfsThreads().read(tid)


def test_psutil_reads_the_same_threads_and_times(child: Threads) -> None:
    tid = child.start()
    child.spend(tid, 200)
    exact, ticks = ProcfsThreads().read(child.pid), PsutilThreads().read(child.pid)
    assert exact.threads.keys() == ticks.threads.keys()
    assert ticks.threads[tid].cpu_ns == pytest.approx(exact.threads[tid].cpu_ns, abs=20e6)
    assert ticks.name == exact.name


def test_the_library_samples_the_threads_of_a_process(child: Threads) -> None:
    tid = child.start(b"named")
    snapshot = cpuwatch.threads(child.pid, interval=0.05)
    assert snapshot.pid == child.pid
    assert snapshot.key.startswith(f"{child.pid}-")
    assert {row.tid: row.name for row in snapshot.threads}[tid] == "named"
    assert snapshot.interval_seconds >= 0.05


def test_the_command_prints_the_threads_as_table_and_json(child: Threads) -> None:
    tid = child.start(b"named")
    table = run("sample", "--threads", str(child.pid), "--interval", "0.05", "--top", "1")
    assert table.returncode == 0
    assert table.stdout.splitlines()[-1] == "... 1 more (--all shows them)"
    whole = run("sample", "--threads", str(child.pid), "--interval", "0.05", "--json", "--sort", "start_time")
    assert [row["tid"] for row in json.loads(whole.stdout)["threads"]] == [tid, child.pid]
    lines = run("sample", "--threads", str(child.pid), "--interval", "0.05", "--format", "ndjson", "--top", "1")
    assert [json.loads(line)["kind"] for line in lines.stdout.splitlines()] == ["threads", "thread"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threads", "0"], "must be an integer from 1"),
        (["--threads", "1", "--count", "2"], "--count conflicts with --threads"),
        (["--threads", "1", "--every", "2"], "--every conflicts with --threads"),
        (["--threads", "1", "--command-lines"], "--command-lines conflicts with --threads"),
        (["--threads", "1", "--group-by", "name"], "--group-by conflicts with --threads"),
        (["--threads", "1", "--no-kernel-threads"], "--kernel-threads conflicts with --threads"),
        (["--threads", "1", "--sort", "pid"], "must be one of tid, name"),
    ],
)
def test_the_command_refuses_what_does_not_fit(arguments: list[str], message: str) -> None:
    done = run("sample", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_command_reports_a_missing_process_in_one_line(child: Threads) -> None:
    child.end()
    child.reap()
    done = run("sample", "--threads", str(child.pid))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"cpuwatch: no process with PID {child.pid}")
    assert done.stderr.count("\n") == 1


def test_requests_at_the_same_time_share_one_reading(child: Threads, server: Server) -> None:
    async def responses() -> list[httpx.Response]:
        url = f"{server.url}/cpu_usage/{child.pid}/threads"
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as client:
            return await asyncio.gather(*(client.get(url) for _ in range(100)))

    found = asyncio.run(responses())
    assert {response.status_code for response in found} == {200}
    assert len({response.content for response in found}) == 1


def test_a_client_that_asks_again_gets_the_usage_since_its_last_request(child: Threads, server: Server) -> None:
    url = f"{server.url}/cpu_usage/{child.pid}/threads"
    tid = child.start()
    first = httpx.get(url).json()
    child.spend(tid, 600)
    second = httpx.get(url).json()
    # At least what was spent after the first reading, and that reading ended before the response.
    used = second["threads"][0]["cpu_percent"] * second["interval_seconds"] * 1e7
    assert second["threads"][0]["tid"] == tid
    assert used >= 0.99 * 600e6
    assert second["time"] > first["time"]


def test_formats_order_and_number_of_threads_can_be_chosen(child: Threads, server: Server) -> None:
    url = f"{server.url}/cpu_usage/{child.pid}/threads"
    tid = child.start(b"named")
    assert [row["tid"] for row in httpx.get(f"{url}?sort=tid").json()["threads"]] == [child.pid, tid]
    assert [row["tid"] for row in httpx.get(f"{url}?sort=tid&order=desc&top=1").json()["threads"]] == [tid]
    table = httpx.get(url, headers={"accept": "text/plain"})
    assert table.headers["content-type"] == "text/plain; charset=utf-8"
    assert table.text.splitlines()[-1].endswith(("named", "python3", "python"))
    lines = httpx.get(f"{url}?format=ndjson").text.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["threads", "thread", "thread"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("at=2026-01-01T00:00:00Z", "threads are not recorded"),
        ("sort=pid", "must be one of tid"),
        ("top=0", "must be an integer from 1"),
        ("fields=tid", "unknown parameter 'fields': this path accepts top, sort, order, format"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused(server: Server, query: str, message: str) -> None:
    response = httpx.get(f"{server.url}/cpu_usage/{server.pid}/threads?{query}")
    assert response.status_code == 400
    assert message in response.json()["detail"]


def test_a_process_that_has_exited_is_404(child: Threads, server: Server) -> None:
    url = f"{server.url}/cpu_usage/{child.pid}/threads"
    assert httpx.get(url).status_code == 200
    child.end()
    child.reap()
    time.sleep(0.5)  # A result that is newer is shared.
    response = httpx.get(url)
    assert response.status_code == 404
    assert response.json()["detail"].startswith(f"no process with PID {child.pid}")
