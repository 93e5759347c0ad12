from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from fake_proc import TICK_NS, FakeProc

from cpuwatch.errors import NotFoundError, NotPermittedError, SamplerError, SamplerUnavailableError
from cpuwatch.samplers.procfs import threads
from cpuwatch.samplers.procfs.parse import last_cpu
from cpuwatch.samplers.procfs.threads import ProcfsThreads
from cpuwatch.samplers.threads import open_thread_reader

PID = 4242


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProc:
    """A /proc of another PID namespace, so without CPU clocks, with a process of one thread."""
    fake = FakeProc(tmp_path, monkeypatch)
    fake.start(PID, b"work", start_tick=7)
    fake.burn(PID, 30 * TICK_NS)
    task = tmp_path / str(PID) / "task" / str(PID)
    task.mkdir(parents=True)
    (task / "stat").write_bytes((tmp_path / str(PID) / "stat").read_bytes())
    (task / "schedstat").write_bytes(b"301234567 8765 43\n")
    return fake


def test_a_proc_of_another_pid_namespace_is_read_from_its_files(proc: FakeProc) -> None:
    found = ProcfsThreads(proc.root).read(PID)
    thread = found.threads[PID]
    assert (found.key, found.name, found.cpu_ns) == (f"{PID}-7", "work", 30 * TICK_NS)
    assert (thread.cpu_ns, thread.wait_ns, thread.start_ns) == (301_234_567, 8765, 7 * TICK_NS)
    # The clock of the process has steps of a tick, and those of the threads do not.
    assert found.tolerance_ns == 2 * TICK_NS


def test_a_kernel_without_schedstat_gives_ticks_and_no_waiting(proc: FakeProc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "counts_run_delay", lambda: False)
    (proc.root / f"{PID}/task/{PID}/schedstat").unlink()
    found = ProcfsThreads(proc.root).read(PID)
    assert (found.threads[PID].cpu_ns, found.threads[PID].wait_ns) == (30 * TICK_NS, None)
    assert found.tolerance_ns == 4 * TICK_NS


def test_a_thread_that_ends_while_it_is_read_is_left_out(proc: FakeProc) -> None:
    (proc.root / f"{PID}/task/{PID}/schedstat").unlink()
    assert ProcfsThreads(proc.root).read(PID).threads == {}


def test_a_process_without_a_directory_is_not_found(proc: FakeProc) -> None:
    with pytest.raises(NotFoundError, match="no process with PID 99"):
        ProcfsThreads(proc.root).read(99)


@pytest.mark.parametrize(
    ("number", "expected", "message"),
    [
        (errno.EACCES, NotPermittedError, "cannot be read: permission denied"),
        (errno.EPERM, NotPermittedError, "cannot be read: permission denied"),
        (errno.EMFILE, SamplerError, os.strerror(errno.EMFILE)),
        (errno.ESRCH, NotFoundError, "no process with PID"),
    ],
)
def test_an_error_says_what_is_wrong(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception], message: str
) -> None:
    reader = ProcfsThreads(proc.root)

    def fail(path: str, *_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number), path)

    with monkeypatch.context() as failing:
        failing.setattr(os, "open", fail)
        with pytest.raises(expected, match=message):
            reader.read(PID)


def test_a_damaged_file_is_reported(proc: FakeProc) -> None:
    (proc.root / f"{PID}/stat").write_bytes(b"4242 (work) S 1\n")
    with pytest.raises(SamplerError, match="process 4242 cannot be read: a process's stat has 2 fields"):
        ProcfsThreads(proc.root).read(PID)


def test_the_last_cpu_is_field_39() -> None:
    fields = [b"S", *(b"%d" % number for number in range(4, 53))]
    assert last_cpu(b"1 (a) 9 (b) " + b" ".join(fields)) == 39
    assert last_cpu(b"1 (a) " + b" ".join(fields[:36])) is None


def test_a_sampler_of_another_package_has_no_threads() -> None:
    with pytest.raises(SamplerUnavailableError, match="the sampler 'theirs' does not read threads"):
        open_thread_reader("theirs")
