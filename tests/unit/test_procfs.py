from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fake_proc import BOOT_ID, TICK_NS, FakeProc
from readings import HOSTILE_NAMES

from cpuwatch import OpenSampler, ProcessTimes, Reading, usage
from cpuwatch.errors import SamplerError, SamplerUnavailableError
from cpuwatch.samplers.procfs import new_pids, process_reader
from cpuwatch.samplers.procfs import sampler as procfs
from cpuwatch.samplers.procfs.new_pids import run_empty_thread
from cpuwatch.samplers.procfs.sampler import ProcfsSampler
from cpuwatch.samplers.reread_schedule import MAX_COMMAND_LINES_PER_READING, READINGS_PER_ROUND
from cpuwatch.samplers.users import UserNames


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProc:
    return FakeProc(tmp_path, monkeypatch)


@pytest.fixture
def stat_sampler(proc: FakeProc) -> Iterator[OpenSampler]:
    with OpenSampler(ProcfsSampler(proc.root)) as sampler:
        yield sampler


@pytest.fixture
def clock_sampler(proc: FakeProc, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSampler]:
    proc.use_clocks(monkeypatch)
    with OpenSampler(ProcfsSampler(proc.root)) as sampler:
        yield sampler


@pytest.fixture(params=["stat", "clock"])
def sampler(request: pytest.FixtureRequest) -> OpenSampler:
    """Run the test with both methods."""
    chosen = request.getfixturevalue(f"{request.param}_sampler")
    assert isinstance(chosen, OpenSampler)
    assert chosen.read().host.backend == f"procfs/{request.param}"
    return chosen


def count_listings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories listed from now on."""
    listed: list[Path] = []
    real = os.listdir

    def listdir(path: Path) -> list[str]:
        listed.append(path)
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    return listed


def names(of: Reading) -> dict[int, str]:
    return {pid: record.name for pid, record in of.processes.items()}


# Opening


def test_a_directory_other_than_proc_is_refused_with_the_reason(proc: FakeProc) -> None:
    (proc.root / "stat").unlink()
    with pytest.raises(SamplerUnavailableError, match=f"{proc.root}/stat: No such file or directory .*no proc file"):
        ProcfsSampler(proc.root)
    proc.start(7)
    (proc.root / "stat").unlink()
    with pytest.raises(SamplerUnavailableError, match=f"{proc.root}/stat: No such file or directory .*masked"):
        ProcfsSampler(proc.root)


@pytest.mark.parametrize("content", ["", "nonsense", "cpu\n", "cpu  1 2 3\n", "cpu  a b c d e f g h\n"])
def test_a_proc_with_a_masked_or_truncated_stat_is_refused(proc: FakeProc, content: str) -> None:
    (proc.root / "stat").write_text(content)
    with pytest.raises(SamplerUnavailableError, match=f"{proc.root}/stat"):
        ProcfsSampler(proc.root)


def test_a_stat_that_becomes_malformed_is_a_sampler_error(proc: FakeProc, sampler: OpenSampler) -> None:
    sampler.read()
    (proc.root / "stat").write_text("nonsense")
    with pytest.raises(SamplerError, match=f"cannot parse {proc.root}/stat"):
        sampler.read()
    proc.write_counters()
    assert sampler.read().machine.total.user_ns == 10 * TICK_NS


@pytest.mark.parametrize("content", [None, "", "nonsense", "0.1 0.2\n", "a b c 1/100 7\n"])
def test_everything_else_is_read_without_a_load_average(
    proc: FakeProc, content: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (proc.root / "loadavg").unlink()
    if content is not None:
        (proc.root / "loadavg").write_text(content)
    proc.use_clocks(monkeypatch)
    monkeypatch.setattr(proc, "write_counters", lambda: None)
    with OpenSampler(ProcfsSampler(proc.root)) as sampler:
        assert sampler.read().machine.load_average is None
        # Without the last PID, /proc is listed to find new processes.
        for pid in (7, 9, 8):
            proc.start(pid, forks=0)
            assert pid in sampler.read().processes


@pytest.mark.parametrize("content", [None, b"", b"\xff"])
def test_the_boot_time_replaces_a_missing_boot_id(proc: FakeProc, content: bytes | None) -> None:
    path = proc.root / "sys/kernel/random/boot_id"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with OpenSampler(ProcfsSampler(proc.root)) as sampler:
        found = sampler.read().host.boot_id
    assert abs(int(found.removeprefix("boot-")) - psutil.boot_time()) <= 1


def test_the_boot_time_is_that_of_the_kernel(proc: FakeProc) -> None:
    (proc.root / "sys/kernel/random/boot_id").unlink()
    with (proc.root / "stat").open("a") as stat:
        stat.write("btime 1764131220\n")
    with OpenSampler(ProcfsSampler(proc.root)) as sampler:
        assert sampler.read().host.boot_id == "boot-1764131220"


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_a_failed_open_leaves_no_file_open(proc: FakeProc, content: str | None) -> None:
    (proc.root / "stat").unlink()
    if content is not None:
        (proc.root / "stat").write_text(content)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(SamplerUnavailableError):
        ProcfsSampler(proc.root)
    assert os.listdir("/proc/self/fd") == before


def test_closing_leaves_no_file_open(proc: FakeProc) -> None:
    proc.start(7)
    before = os.listdir("/proc/self/fd")
    sampler = ProcfsSampler(proc.root)
    sampler.read()
    sampler.read()
    assert len(os.listdir("/proc/self/fd")) == len(before) + 3, "stat, loadavg, and the stat of process 7"
    sampler.close()
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("status", ["Name:\tx\n", "NSpid:\t{other}\n", "NSpid:\t{own}\t1\n"])
def test_a_proc_of_another_pid_namespace_is_read_without_clocks(proc: FakeProc, status: str) -> None:
    (proc.root / "self").mkdir()
    (proc.root / "self/status").write_text(status.format(own=os.getpid(), other=os.getpid() + 1))
    with OpenSampler(ProcfsSampler(proc.root)) as sampler:
        assert sampler.read().host.backend == "procfs/stat"


def test_clocks_that_disagree_with_stat_are_not_used(proc: FakeProc, monkeypatch: pytest.MonkeyPatch) -> None:
    proc.use_clocks(monkeypatch)
    proc.start(7)
    proc.burn(7, 100 * TICK_NS)
    proc.clocks[7] = 10 * TICK_NS
    with OpenSampler(ProcfsSampler(proc.root)) as sampler:
        assert sampler.read().host.backend == "procfs/stat"


# Both methods


def test_the_machine_is_read_from_its_files(sampler: OpenSampler) -> None:
    found = sampler.read()
    assert found.host.boot_id == BOOT_ID
    assert found.host.name == os.uname().nodename
    assert found.host.logical_cpus == 2
    assert list(found.machine.per_cpu) == [0, 2]
    assert found.machine.total.idle_ns == 300 * TICK_NS
    assert found.machine.load_average == (0.1, 0.2, 0.3)
    assert found.start_resolution_ns == TICK_NS


def test_the_files_of_the_machine_are_read_each_time(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.write_counters("1.10 1.20 1.30")
    assert sampler.read().machine.load_average == (1.1, 1.2, 1.3)


def test_readings_have_ascending_times(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.start(7)
    earlier, later = sampler.read(), sampler.read()
    assert earlier.monotonic_ns < later.monotonic_ns
    assert earlier.uptime_ns < later.uptime_ns
    assert [row.cpu_percent for row in usage(earlier, later).processes] == [0.0]


def test_a_record_identifies_its_process(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.start(7, b"a) b", ppid=3, start_tick=250)
    found = sampler.read()
    record = found.processes[7]
    assert (record.pid, record.name, record.ppid, record.state, record.threads) == (7, "a) b", 3, "S", 1)
    assert record.start_ns == 250 * TICK_NS
    assert record.user == proc.root.owner()
    assert record.first_seen == found.time
    age_ns = (found.time - record.start_time).total_seconds() * 1e9
    assert age_ns == pytest.approx(found.uptime_ns - record.start_ns, abs=2000)


def test_an_idle_process_keeps_the_same_record_object(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.start(7)
    proc.start(8)
    earlier = sampler.read()
    proc.burn(8, 3 * TICK_NS)
    later = sampler.read()
    assert later.processes[7] is earlier.processes[7]
    assert later.processes[8] is not earlier.processes[8]
    assert later.processes[8].cpu_ns - earlier.processes[8].cpu_ns == 3 * TICK_NS


def test_a_running_process_keeps_its_key_and_start_time(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.start(7)

    def identity() -> tuple[object, ...]:
        record: ProcessTimes = sampler.read().processes[7]
        return record.key, record.start_time, record.first_seen

    first = identity()
    proc.burn(7, TICK_NS)
    assert identity() == first


def test_an_exited_process_is_left_out_and_not_counted_as_unreadable(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.start(7)
    proc.start(8)
    assert set(sampler.read().processes) == {7, 8}
    proc.end(7)
    found = sampler.read()
    assert set(found.processes) == {8}
    assert found.unreadable == {}


def test_a_process_that_exits_between_listing_and_reading_is_left_out(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.start(7)
    (proc.root / "7/stat").unlink()
    found = sampler.read()
    assert found.processes == {}
    assert found.unreadable == {}


def test_an_unreadable_process_is_counted_by_reason_and_comes_back(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.start(7)
    proc.start(8)
    (proc.root / "7/stat").unlink()
    (proc.root / "7/stat").mkdir()
    found = sampler.read()
    assert set(found.processes) == {8}
    assert found.unreadable == {"EISDIR": 1}
    (proc.root / "7/stat").rmdir()
    proc.write(7)
    found = sampler.read()
    assert set(found.processes) == {7, 8}
    assert found.unreadable == {}


def test_a_known_process_is_charged_by_its_clock_when_descriptors_run_out(
    proc: FakeProc, clock_sampler: OpenSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc.start(7)
    first = clock_sampler.read()
    proc.burn(7, 3 * TICK_NS)
    with monkeypatch.context() as patched:

        def no_descriptor_left(path: str, _: int) -> int:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

        patched.setattr(os, "open", no_descriptor_left)
        second = clock_sampler.read()
    third = clock_sampler.read()
    assert second.unreadable == {"EMFILE": 1}
    assert [reading.processes[7].cpu_ns for reading in (first, second, third)] == [0, 3 * TICK_NS, 3 * TICK_NS]
    assert third.unreadable == {}


def test_other_entries_of_proc_are_ignored(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.start(7)
    for name in ("acpi", "self.", "7x", "-7", "x7", "tty"):
        (proc.root / name).mkdir()
    assert set(sampler.read().processes) == {7}


def test_a_reused_pid_is_another_process(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.start(7, b"first", start_tick=100)
    proc.burn(7, 5 * TICK_NS)
    first = sampler.read()
    proc.end(7)
    proc.start(7, b"second", start_tick=101)
    proc.burn(7, 2 * TICK_NS)
    second = sampler.read()
    assert names(second) == {7: "second"}
    assert second.processes[7].key != first.processes[7].key
    assert second.processes[7].cpu_ns == 2 * TICK_NS
    assert second.processes[7].first_seen == second.time


@pytest.mark.parametrize("raw", HOSTILE_NAMES)
def test_a_process_can_have_any_name(proc: FakeProc, stat_sampler: OpenSampler, raw: bytes) -> None:
    proc.start(7, raw)
    assert names(stat_sampler.read()) == {7: raw.decode("utf-8", "backslashreplace")}


# Without clocks


def test_without_clocks_usage_is_in_ticks(proc: FakeProc, stat_sampler: OpenSampler) -> None:
    proc.start(7)
    proc.burn(7, 3 * TICK_NS + TICK_NS // 2)
    found = stat_sampler.read()
    assert found.processes[7].cpu_ns == 3 * TICK_NS
    assert found.host.clock_resolution_seconds == TICK_NS / 1e9


def test_without_clocks_a_new_name_is_seen_at_once(proc: FakeProc, stat_sampler: OpenSampler) -> None:
    proc.start(7, b"before")
    stat_sampler.read()
    proc.write(7, name=b"after")
    assert names(stat_sampler.read()) == {7: "after"}


# With clocks


def test_with_clocks_a_process_is_charged_to_the_nanosecond(proc: FakeProc, clock_sampler: OpenSampler) -> None:
    proc.start(7)
    proc.burn(7, 1234)
    earlier = clock_sampler.read()
    proc.burn(7, 5678)
    later = clock_sampler.read()
    assert (earlier.processes[7].cpu_ns, later.processes[7].cpu_ns) == (1234, 6912)
    assert later.host.clock_resolution_seconds == 1e-9


def test_with_clocks_a_process_that_did_not_run_is_not_read_again(proc: FakeProc, clock_sampler: OpenSampler) -> None:
    proc.start(7, b"before")
    earlier = clock_sampler.read()
    # A process cannot change its name without running. The file is changed only to see whether it is opened.
    proc.write(7, name=b"unseen")
    assert clock_sampler.read().processes[7] is earlier.processes[7]
    proc.burn(7, 1)
    assert names(clock_sampler.read()) == {7: "unseen"}


def test_children_of_an_exited_process_get_their_new_parent_without_running(
    proc: FakeProc, clock_sampler: OpenSampler
) -> None:
    proc.start(7)
    proc.start(8, b"child", ppid=7)
    proc.start(9, b"other", ppid=1)
    earlier = clock_sampler.read()
    proc.end(7)
    proc.write(8, ppid=1)
    later = clock_sampler.read()
    assert later.processes[8].ppid == 1
    assert later.processes[8].key == earlier.processes[8].key
    assert later.processes[9] is earlier.processes[9]


def test_a_new_process_is_found_when_the_kernel_counts_a_fork(proc: FakeProc, clock_sampler: OpenSampler) -> None:
    for pid in (7, 9, 8):
        proc.start(pid)
        assert pid in clock_sampler.read().processes


def test_a_process_with_the_next_pid_is_found_without_listing_proc(
    proc: FakeProc, clock_sampler: OpenSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_sampler.read()
    listed = count_listings(monkeypatch)
    for _ in range(4):
        pid = proc.start_next()
        assert pid in clock_sampler.read().processes
        proc.fork()
        clock_sampler.read()
        clock_sampler.read()
    assert listed == []


def test_a_process_whose_fork_was_in_progress_is_found_without_listing_proc(
    proc: FakeProc, clock_sampler: OpenSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_sampler.read()
    listed = count_listings(monkeypatch)
    proc.fork()
    # The process has its PID but is not counted yet; the fork that is counted is that of the thread.
    pid = proc.fork(forks=0)
    proc.last_pid -= 1
    proc.write_counters()
    clock_sampler.read()
    proc.last_pid += 1
    proc.start(pid)
    assert pid in clock_sampler.read().processes
    assert listed == []


def test_the_fork_count_is_found_behind_any_number_of_interrupts(
    proc: FakeProc, clock_sampler: OpenSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_sampler.read()
    listed = count_listings(monkeypatch)
    for interrupts in (8_150, 10_000, 100_000, 10):
        proc.interrupts = interrupts
        assert proc.start_next() in clock_sampler.read().processes
    assert listed == []


def test_a_process_with_a_chosen_pid_is_found(proc: FakeProc, clock_sampler: OpenSampler) -> None:
    clock_sampler.read()
    for pid in (7, 9, 8):
        proc.start(pid)
        assert pid in clock_sampler.read().processes


def test_a_process_with_a_chosen_pid_is_found_later_if_another_fork_failed(
    proc: FakeProc, clock_sampler: OpenSampler
) -> None:
    clock_sampler.read()
    proc.fork(forks=0)
    proc.start(7)
    # The PIDs advance by the number of forks, so the counters do not show it.
    assert any(7 in clock_sampler.read().processes for _ in range(16))


def test_proc_is_listed_if_there_are_more_candidates_than_processes(
    proc: FakeProc, clock_sampler: OpenSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_sampler.read()
    listed = count_listings(monkeypatch)
    for _ in range(200):
        proc.fork()
    pid = proc.start_next()
    assert pid in clock_sampler.read().processes
    assert listed == [proc.root]


def test_a_last_pid_of_another_namespace_is_not_trusted(proc: FakeProc, monkeypatch: pytest.MonkeyPatch) -> None:
    proc.use_clocks(monkeypatch)
    # The loadavg of the host in a container: each fork in the container also gets a PID there, a different one.
    monkeypatch.setattr(new_pids, "run_empty_thread", lambda: proc.fork() - 4000)
    with OpenSampler(ProcfsSampler(proc.root)) as sampler:
        assert sampler.read().host.backend == "procfs/clock"
        for _ in range(5):
            pid = proc.fork() - 4000
            proc.start(pid, forks=0)
            assert pid in sampler.read().processes


def test_a_last_pid_is_trusted_across_a_wraparound(proc: FakeProc, monkeypatch: pytest.MonkeyPatch) -> None:
    proc.use_clocks(monkeypatch)

    def fork_anew() -> int:
        proc.last_pid = 299
        return proc.fork()

    monkeypatch.setattr(new_pids, "run_empty_thread", fork_anew)
    with OpenSampler(ProcfsSampler(proc.root)) as sampler:
        sampler.read()
        sampler.read()
        listed = count_listings(monkeypatch)
        assert proc.start_next() in sampler.read().processes
        assert listed == []


def test_proc_is_listed_if_no_thread_can_be_started(proc: FakeProc, monkeypatch: pytest.MonkeyPatch) -> None:
    proc.use_clocks(monkeypatch)
    monkeypatch.setattr(new_pids, "run_empty_thread", run_empty_thread)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with OpenSampler(ProcfsSampler(proc.root)) as sampler:
        sampler.read()
        listed = count_listings(monkeypatch)
        assert proc.start_next() in sampler.read().processes
        assert listed == [proc.root]


def test_a_fork_count_that_never_moves_is_not_trusted(proc: FakeProc, monkeypatch: pytest.MonkeyPatch) -> None:
    # Emulated kernels print a constant.
    proc.use_clocks(monkeypatch)
    monkeypatch.setattr(new_pids, "run_empty_thread", lambda: proc.fork(forks=0))
    with OpenSampler(ProcfsSampler(proc.root)) as sampler:
        for pid in (7, 9, 8):
            proc.start(pid, forks=0)
            assert pid in sampler.read().processes
        for _ in range(3):
            pid = proc.fork(forks=0)
            proc.start(pid, forks=0)
            assert pid in sampler.read().processes


def test_proc_is_listed_each_time_without_a_fork_count(proc: FakeProc, clock_sampler: OpenSampler) -> None:
    proc.start(7)
    clock_sampler.read()
    for pid in (9, 8):
        proc.start(pid)
        text = (proc.root / "stat").read_text().replace("processes", "prozesse ")
        with (proc.root / "stat").open("r+") as file:
            file.write(text)
        assert pid in clock_sampler.read().processes


def test_with_clocks_processes_are_in_the_order_of_their_pids(proc: FakeProc, clock_sampler: OpenSampler) -> None:
    for pid in (30, 10, 20):
        proc.start(pid)
        clock_sampler.read()
    proc.burn(20, 1)
    assert list(clock_sampler.read().processes) == [10, 20, 30]


def shown_command_line(sampler: OpenSampler, pid: int) -> str | None:
    return sampler.read().processes[pid].command_line


def test_command_lines_are_not_opened_by_default(
    proc: FakeProc, sampler: OpenSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = os.open

    def open_and_record(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        opened.append(str(path))
        return real(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", open_and_record)
    proc.start(42)
    (proc.root / "42/cmdline").write_bytes(b"work\0hard\0")
    assert shown_command_line(sampler, 42) is None
    assert [path for path in opened if path.endswith("/42/stat")]
    assert not [path for path in opened if path.endswith("cmdline")]


@pytest.mark.parametrize("with_clocks", [False, True])
def test_a_command_line_is_read_for_a_new_process_a_new_name_and_a_busy_process(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch, with_clocks: bool
) -> None:
    if with_clocks:
        proc.use_clocks(monkeypatch)
    proc.start(42)
    command_line = proc.root / "42/cmdline"
    command_line.write_bytes(b"work\0--token\0s3cr3t\0")
    with OpenSampler(ProcfsSampler(proc.root, command_lines=True)) as sampler:
        assert shown_command_line(sampler, 42) == "work --token ***"
        command_line.write_bytes(b"rest\0")
        proc.burn(42, 5 * TICK_NS)
        assert shown_command_line(sampler, 42) == "rest"
        command_line.write_bytes(b"work again\0")
        proc.write(42, name=b"work again")
        proc.burn(42, 5 * TICK_NS)
        assert shown_command_line(sampler, 42) == "work again"
        # It becomes a zombie.
        command_line.write_bytes(b"")
        proc.burn(42, 5 * TICK_NS)
        assert shown_command_line(sampler, 42) is None


@pytest.mark.parametrize("with_clocks", [False, True])
def test_every_one_of_many_busy_processes_gets_its_new_command_line(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch, with_clocks: bool
) -> None:
    if with_clocks:
        proc.use_clocks(monkeypatch)
    # On a slow machine the limit of CPU time would come first.
    monkeypatch.setattr(process_reader, "COMMAND_LINES_BUDGET_NS", 10**12)
    pids = range(100, 101 + MAX_COMMAND_LINES_PER_READING)
    for pid in pids:
        proc.start(pid)
        (proc.root / f"{pid}/cmdline").write_bytes(b"first\0")
    with OpenSampler(ProcfsSampler(proc.root, command_lines=True)) as sampler:
        sampler.read()
        for pid in pids:
            (proc.root / f"{pid}/cmdline").write_bytes(b"second\0")
            proc.burn(pid, TICK_NS)
        sampler.read()
        last = sampler.read()
    assert {record.command_line for record in last.processes.values()} == {"second"}


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"", None),
        (b"one", "one"),
        (b"one\0", "one"),
        (b"one\0\0two\0", "one  two"),
        (b"postgres: writer\0\0\0", "postgres: writer"),
        (b"\0\0", ""),
        (b"\xff\xfe\0\x1b[31m\n", "\\xff\\xfe \x1b[31m\n"),
        (b"--password=" + b"s" * 9000, "..."),
        ("\N{FIRE}".encode() * 2000, "..."),
        (b"x " * 4000, "x " * 511 + "x..."),
    ],
)
def test_a_command_line_can_contain_anything(proc: FakeProc, raw: bytes, shown: str | None) -> None:
    proc.start(42)
    (proc.root / "42/cmdline").write_bytes(raw)
    with OpenSampler(ProcfsSampler(proc.root, command_lines=True)) as sampler:
        assert shown_command_line(sampler, 42) == shown


# Changes to processes that do not run


def test_a_process_moved_before_its_second_reading_is_in_its_new_cgroup_then(
    proc: FakeProc, sampler: OpenSampler
) -> None:
    for pid in range(100, 200):
        proc.start(pid)
    proc.start(7)
    proc.move(7, b"0::/launcher.service\n")
    assert sampler.read().processes[7].cgroup == "/launcher.service"
    for number in range(3):
        proc.start(8 + number, start_tick=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // TICK_NS)
        proc.move(8 + number, b"0::/launcher.service\n")
        assert sampler.read().processes[8 + number].cgroup == "/launcher.service"
        proc.move(8 + number, b"0::/app.scope\n")
        assert sampler.read().processes[8 + number].cgroup == "/app.scope"


def test_the_cgroup_of_a_process_that_executes_a_program_is_reread(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.start(7)
    proc.move(7, b"0::/a.service\n")
    for pid in range(100, 200):
        proc.start(pid)
    for _ in range(3):
        sampler.read()
    proc.move(7, b"0::/b.service\n")
    proc.write(7, name=b"other")
    proc.burn(7, 1)
    assert sampler.read().processes[7].cgroup == "/b.service"


def test_a_sleeping_process_is_found_in_its_new_cgroup_within_a_round(proc: FakeProc, sampler: OpenSampler) -> None:
    for pid in range(100, 150):
        proc.start(pid)
        proc.move(pid, b"0::/a.service\n")
    for _ in range(3):
        before = sampler.read()
    for pid in range(100, 150):
        proc.move(pid, b"0::/b.service\n")
    cgroups = []
    for _ in range(READINGS_PER_ROUND):
        earlier, later = before, sampler.read()
        # It did not run, so its usage is known to be 0.
        assert {row.cpu_percent for row in usage(earlier, later).processes} == {0.0}
        cgroups.append({record.cgroup for record in later.processes.values()})
        before = later
    assert cgroups[-1] == {"/b.service"}
    settled = sampler.read()
    assert all(record is before.processes[pid] for pid, record in settled.processes.items())


def test_an_exiting_process_keeps_its_cgroup(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.start(7)
    proc.move(7, b"2:cpu:/a.service\n")
    for _ in range(3):
        sampler.read()
    # As shown by cgroup v1 in this case.
    proc.move(7, b"2:cpu:/\n")
    proc.write(7, flags=0x4)
    for _ in range(3):
        assert sampler.read().processes[7].cgroup == "/a.service"


@pytest.mark.parametrize(
    ("own", "shown"),
    [
        pytest.param(b"2:cpu:/\n", "/a.service", id="cgroup v1 shows the root"),
        pytest.param(b"0::/b.service\n", "/b.service", id="cgroup v2 shows its own"),
    ],
)
def test_a_process_first_seen_as_a_zombie_is_in_the_cgroup_of_its_parent_unless_it_has_one(
    proc: FakeProc, sampler: OpenSampler, own: bytes, shown: str
) -> None:
    proc.start(7)
    proc.move(7, b"2:cpu:/a.service\n")
    sampler.read()
    proc.start(8, ppid=7)
    proc.write(8, ppid=7, state="Z", flags=0x4)
    proc.move(8, own)
    for _ in range(3):
        assert sampler.read().processes[8].cgroup == shown


def test_values_of_a_process_that_reused_the_pid_are_not_mixed_in(proc: FakeProc, clock_sampler: OpenSampler) -> None:
    proc.start(7, start_tick=100)
    proc.move(7, b"0::/a.service\n")
    for _ in range(3):
        before = clock_sampler.read()
    clock_ns = proc.clocks[7]
    proc.end(7)
    proc.start(7, start_tick=900)
    proc.move(7, b"0::/b.service\n")
    # As if the PID was reused after the clocks were read, when the earlier process still existed.
    assert proc.clocks[7] == clock_ns
    assert clock_sampler.read().processes[7] is before.processes[7]
    proc.burn(7, 1)
    record = clock_sampler.read().processes[7]
    assert (record.key, record.cgroup) == ("7-900", "/b.service")


@pytest.mark.parametrize("line", [b"6:freezer:/box\n", b"6:devices,freezer:/box\n0::/\n", b"6:freezer,devices:/box\n"])
def test_a_process_frozen_in_its_sleep_shows_it_within_a_round(
    proc: FakeProc, sampler: OpenSampler, line: bytes
) -> None:
    for pid in range(100, 150):
        proc.start(pid)
        proc.move(pid, line)
    for _ in range(3):
        sampler.read()
    for state in ("D", "S"):
        for pid in range(100, 150):
            proc.write(pid, state=state)
        for _ in range(READINGS_PER_ROUND):
            last = sampler.read()
        assert {record.state for record in last.processes.values()} == {state}


def test_an_unreadable_or_malformed_cgroup_file_keeps_the_known_cgroup(proc: FakeProc, sampler: OpenSampler) -> None:
    proc.start(7)
    proc.move(7, b"0::/a.service\n")
    sampler.read()
    proc.move(7, b"what is this\n")
    for _ in range(3):
        assert sampler.read().processes[7].cgroup == "/a.service"
    (proc.root / "7/cgroup").unlink()
    for _ in range(3):
        assert sampler.read().processes[7].cgroup == "/a.service"


def test_a_new_user_name_reaches_sleeping_processes(
    proc: FakeProc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proc.use_clocks(monkeypatch)
    passwd = tmp_path / "passwd"
    passwd.touch()
    names: dict[int, str] = {}
    monkeypatch.setattr(
        procfs, "UserNames", lambda: UserNames(lambda user_id: names.get(user_id, str(user_id)), str(passwd))
    )
    proc.start(7)
    user_id = os.stat(proc.root / "7").st_uid
    with OpenSampler(ProcfsSampler(proc.root)) as sampler:
        before = sampler.read()
        assert before.processes[7].user == str(user_id)
        names[user_id] = "alice"
        passwd.write_text("alice")
        deadline = time.monotonic() + 30
        while (later := sampler.read()).processes[7].user != "alice":
            assert time.monotonic() < deadline
        assert [row.cpu_percent for row in usage(before, later).processes] == [0.0]
        assert sampler.read().processes[7] is later.processes[7]
