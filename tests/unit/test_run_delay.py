from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cpuwatch.samplers.procfs.run_delay import STEP_NS, RunDelays, counts_run_delay
from cpuwatch.samplers.procfs.stat_files import StatFiles
from cpuwatch.samplers.procfs.thread_budget import ThreadBudget

PID = 70
MS = 1_000_000
SECOND = 1000 * MS


class FakeProcess:
    """The ``schedstat`` files of a process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.waits: dict[int, int] = {}

    def set(self, tid: int, wait_ns: int, *, slices: int = 1) -> None:
        """Write the files of a thread; the main thread has two."""
        self.waits[tid] = wait_ns
        text = f"5000 {wait_ns} {slices}\n"
        folder = self.directory / "task" / str(tid)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schedstat").write_text(text)
        if tid == PID:
            (self.directory / "schedstat").write_text(text)

    def end(self, tid: int) -> None:
        del self.waits[tid]
        (self.directory / "task" / str(tid) / "schedstat").unlink()
        (self.directory / "task" / str(tid)).rmdir()


@pytest.fixture
def process(tmp_path: Path) -> FakeProcess:
    return FakeProcess(tmp_path)


@pytest.fixture
def delays() -> Iterator[RunDelays]:
    files = StatFiles(0)
    yield RunDelays(files, ThreadBudget(100))
    files.close()


def read(delays: RunDelays, process: FakeProcess, *, state: str = "S", now_ns: int = 0) -> int | None:
    directory = str(process.directory)
    schedstat = delays.read_main_thread(PID, directory)
    found = delays.wait_ns(PID, directory, schedstat, len(process.waits), state, now_ns)
    delays.end_sweep({PID})
    return found


def test_the_sum_of_one_thread_is_its_run_delay_in_whole_steps(process: FakeProcess, delays: RunDelays) -> None:
    process.set(PID, 7 * MS + 999_999)
    assert read(delays, process) == 7 * STEP_NS
    process.set(PID, 8 * MS)
    assert read(delays, process) == 8 * STEP_NS


def test_all_threads_count(process: FakeProcess, delays: RunDelays) -> None:
    for tid in (PID, 71, 72):
        process.set(tid, 10 * MS)
    assert read(delays, process) == 30 * MS


def test_the_sum_does_not_decrease_when_threads_end(process: FakeProcess, delays: RunDelays) -> None:
    for tid in (PID, 71, 72):
        process.set(tid, 10 * MS)
    read(delays, process)
    process.end(71)
    process.set(72, 15 * MS)
    assert read(delays, process) == 35 * MS
    process.end(72)
    process.set(PID, 11 * MS)
    assert read(delays, process) == 36 * MS
    # A new thread, with the ID of one that ended.
    process.set(72, 3 * MS)
    assert read(delays, process) == 39 * MS


def test_a_thread_with_a_reused_id_counts_from_zero(process: FakeProcess, delays: RunDelays) -> None:
    process.set(PID, 10 * MS)
    process.set(71, 50 * MS)
    read(delays, process)
    process.set(71, 4 * MS)
    assert read(delays, process) == 64 * MS


def test_threads_beyond_the_budget_make_the_sum_unknown_and_not_lower(process: FakeProcess) -> None:
    files = StatFiles(0)
    delays = RunDelays(files, ThreadBudget(2))
    process.set(PID, 10 * MS)
    process.set(71, 10 * MS)
    assert read(delays, process) == 20 * MS
    process.set(72, 10 * MS)
    assert read(delays, process) is None
    process.end(72)
    process.set(71, 30 * MS)
    # The reading after a shortage still belongs to it.
    read(delays, process)
    assert read(delays, process) == 40 * MS
    files.close()


def test_a_runnable_process_that_does_not_run_is_waiting(process: FakeProcess, delays: RunDelays) -> None:
    process.set(PID, 10 * MS)
    assert read(delays, process, state="R", now_ns=1 * SECOND) == 10 * MS
    assert delays.still_waiting(2 * SECOND) == [(PID, 1010 * MS)]
    assert delays.still_waiting(3 * SECOND) == [(PID, 2010 * MS)]
    # It was read again for another reason.
    assert read(delays, process, state="R", now_ns=3 * SECOND) == 2010 * MS
    # It has run: the kernel adds the whole wait, which began before the first reading.
    process.set(PID, 2600 * MS, slices=2)
    assert read(delays, process, state="R", now_ns=4 * SECOND) == 2600 * MS
    assert delays.still_waiting(5 * SECOND) == [(PID, 3600 * MS)]


@pytest.mark.parametrize("state", ["S", "D", "T", "Z", "I"])
def test_a_process_that_is_not_runnable_does_not_wait(process: FakeProcess, delays: RunDelays, state: str) -> None:
    process.set(PID, 10 * MS)
    read(delays, process, state="R", now_ns=1 * SECOND)
    process.set(PID, 11 * MS, slices=2)
    assert read(delays, process, state=state, now_ns=2 * SECOND) == 11 * MS
    assert delays.still_waiting(3 * SECOND) == []


def test_exited_processes_and_forgotten_ones_do_not_wait(process: FakeProcess, delays: RunDelays) -> None:
    process.set(PID, 10 * MS)
    read(delays, process, state="R", now_ns=1 * SECOND)
    delays.end_sweep(set())
    assert delays.still_waiting(2 * SECOND) == []
    read(delays, process, state="R", now_ns=1 * SECOND)
    delays.forget(PID)
    assert delays.still_waiting(2 * SECOND) == []


@pytest.mark.parametrize("content", [None, b"", b"1 x 3"])
def test_without_a_valid_file_the_sum_is_unknown(
    process: FakeProcess, delays: RunDelays, content: bytes | None
) -> None:
    process.set(PID, 10 * MS)
    path = process.directory / "schedstat"
    path.unlink() if content is None else path.write_bytes(content)
    assert read(delays, process, state="R") is None


@pytest.mark.parametrize(("content", "counts"), [(b"5 6 7\n", True), (b"0 0 0\n", False), (b"", False), (None, False)])
def test_a_kernel_that_does_not_count_run_delay(tmp_path: Path, content: bytes | None, counts: bool) -> None:
    path = tmp_path / "schedstat"
    if content is not None:
        path.write_bytes(content)
    assert counts_run_delay(path) is counts


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel has no schedstat")
def test_this_kernel_counts_run_delay() -> None:
    assert counts_run_delay()
