from __future__ import annotations

import os
import threading
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import HOSTILE_NAMES

from cpuwatch import CpuTimes
from cpuwatch.samplers.procfs.parse import (
    MachineLoad,
    MachineStat,
    parse_machine_load,
    parse_machine_stat,
    parse_process_stat,
    pressure_ns,
)

BASH = (
    b"1234 (bash) S 1200 1234 1234 34816 5678 4194304 10577 1262391 12 345 "
    b"17 29 4100 290 20 0 3 0 98765 9961472 1370 18446744073709551615 "
    b"94176205864960 94176206763693 140725405404768 0 0 0 65536 3686404 1266761467 "
    b"1 0 0 17 1 0 0 0 0 0 94176207006576 94176207054404 94176232161280 "
    b"140725405411837 140725405411843 140725405411843 140725405413358 0\n"
)

KERNEL = b"""\
cpu  1000 200 300 40000 50 6 7 8 900 10
cpu0 600 100 200 20000 20 3 4 5 500 5
cpu1 400 100 100 20000 30 3 3 3 400 5
intr 123456 0 9 0 0 3
ctxt 987654
btime 1700000000
processes 4321
procs_running 2
procs_blocked 0
softirq 999 1 2 3
"""

TICK = 10_000_000


def stat_line(name: bytes, fields: list[int], state: bytes = b"S") -> bytes:
    """A line of /proc/PID/stat. The fields are those from the fourth one of proc_pid_stat(5)."""
    return b"7 (" + name + b") " + state + b" " + b" ".join(b"%d" % field for field in fields) + b"\n"


def test_every_field_is_read_from_its_position() -> None:
    stat = parse_process_stat(BASH)
    assert (stat.name, stat.state, stat.ppid) == ("bash", "S", 1200)
    assert (stat.utime, stat.stime, stat.children_time) == (17, 29, 4390)
    assert (stat.threads, stat.start_time) == (3, 98765)


def test_values_of_this_process_match_psutil() -> None:
    stat = parse_process_stat(Path("/proc/self/stat").read_bytes())
    itself = psutil.Process()
    ticks_per_second = os.sysconf("SC_CLK_TCK")
    assert stat.ppid == itself.ppid() == os.getppid()
    assert stat.threads == itself.num_threads()
    assert stat.state == "R"
    assert psutil.boot_time() + stat.start_time / ticks_per_second == pytest.approx(itself.create_time())
    # psutil reads later, so its values may be higher, but never lower.
    assert stat.utime / ticks_per_second <= itself.cpu_times().user + 1e-9


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_matches_psutil(name: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = stat_line(name, list(range(100, 149)))
    directory = tmp_path / "7"
    directory.mkdir()
    (directory / "stat").write_bytes(line)
    (directory / "cmdline").write_bytes(b"")
    (tmp_path / "stat").write_bytes(KERNEL)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    other = psutil.Process(7)
    ticks_per_second = os.sysconf("SC_CLK_TCK")

    stat = parse_process_stat(line)

    # surrogateescape restores the bytes that psutil found.
    assert other.name().encode("utf-8", "surrogateescape") == name
    assert stat.name == name.decode("utf-8", "backslashreplace")
    assert stat.ppid == other.ppid()
    times = other.cpu_times()
    assert (stat.utime, stat.stime) == (round(times.user * ticks_per_second), round(times.system * ticks_per_second))
    assert stat.children_time == round((times.children_user + times.children_system) * ticks_per_second)


@pytest.mark.parametrize("name", [b"kthreadd", b"kworker/u8:3-writeback", b"migration/0", b"irq/28-0000:00:0"])
def test_a_kernel_thread_is_parsed_like_any_process(name: bytes) -> None:
    stat = parse_process_stat(
        stat_line(name, [2, 0, 0, 0, -1, 69238880, 0, 0, 0, 0, 0, 9, 0, 0, 20, 0, 1, 0, 33], b"I")
    )
    assert (stat.name, stat.state, stat.ppid) == (name.decode(), "I", 2)
    assert (stat.utime, stat.stime, stat.threads, stat.start_time) == (0, 9, 1, 33)


# A name has at most 15 bytes for a user's process and 63 for a kernel worker.
@given(st.binary(max_size=63), st.lists(st.integers(-(2**63), 2**64 - 1), min_size=19, max_size=60))
def test_any_name_and_numbers_round_trip(name: bytes, fields: list[int]) -> None:
    stat = parse_process_stat(stat_line(name, fields))
    assert stat.name == name.decode("utf-8", "backslashreplace")
    assert stat.ppid == fields[0]
    assert (stat.utime, stat.stime) == (fields[10], fields[11])
    assert stat.children_time == fields[12] + fields[13]
    assert (stat.threads, stat.start_time) == (fields[16], fields[18])


@pytest.mark.parametrize("data", [b"", b"7 bash S 1", b"7 (bash", b"7 (bash) S x" + b" 1" * 20])
def test_a_malformed_stat_line_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_process_stat(data)


def test_guest_time_is_not_counted_twice() -> None:
    # Fields 9 and 10, guest and guest_nice, are included in user and nice (proc_stat(5)).
    found = parse_machine_stat(KERNEL, TICK)
    assert found.total == CpuTimes(
        user_ns=1200 * TICK,
        system_ns=300 * TICK,
        idle_ns=40_000 * TICK,
        iowait_ns=50 * TICK,
        irq_ns=13 * TICK,
        steal_ns=8 * TICK,
    )
    assert list(found.per_cpu) == [0, 1]
    assert found.per_cpu[1].user_ns == 500 * TICK
    assert found.forks == 4321


def test_times_of_the_machine_match_psutil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stat").write_bytes(KERNEL)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    theirs = psutil.cpu_times()
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    ours = parse_machine_stat(KERNEL, tick_ns).total
    assert ours.user_ns / 1e9 == pytest.approx(theirs.user + theirs.nice)
    assert ours.system_ns / 1e9 == pytest.approx(theirs.system)
    assert ours.idle_ns / 1e9 == pytest.approx(theirs.idle)


def test_cpu_numbers_can_have_gaps_and_many_digits() -> None:
    lines = b"cpu  1 2 3 4 5 6 7 8 9 10\ncpu2 1 2 3 4 5 6 7 8\ncpu1023 1 2 3 4 5 6 7 8 9 10\nintr 1\n"
    assert list(parse_machine_stat(lines, 1).per_cpu) == [2, 1023]


def test_a_thousand_cpus_are_parsed() -> None:
    cpus = b"".join(b"cpu%d %d 0 0 0 0 0 0 0 0 0\n" % (cpu, cpu) for cpu in range(1000))
    found = parse_machine_stat(b"cpu  1 2 3 4 5 6 7 8 9 10\n" + cpus + b"intr 1\nprocesses 5\n", 1)
    assert {cpu: times.user_ns for cpu, times in found.per_cpu.items()} == {cpu: cpu for cpu in range(1000)}
    assert found.forks == 5


def test_the_fork_count_can_be_missing() -> None:
    assert parse_machine_stat(b"cpu  1 2 3 4 5 6 7 8\nprocs_running 1\n", 1).forks is None


def test_a_line_that_ends_like_the_fork_count_is_ignored() -> None:
    assert parse_machine_stat(b"cpu  1 2 3 4 5 6 7 8\nxprocesses 9\nprocesses 3\nyprocesses 8\n", 1).forks == 3


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), min_size=8, max_size=12), min_size=1, max_size=5))
def test_counters_are_summed_in_nanoseconds(rows: list[list[int]]) -> None:
    labels = ["cpu", *(f"cpu{number}" for number in range(len(rows) - 1))]
    text = "".join(f"{label} {' '.join(map(str, row))}\n" for label, row in zip(labels, rows, strict=True))
    found: MachineStat = parse_machine_stat(text.encode() + b"intr 0\n", TICK)
    assert [found.total, *found.per_cpu.values()] == [
        CpuTimes(
            user_ns=(row[0] + row[1]) * TICK,
            system_ns=row[2] * TICK,
            idle_ns=row[3] * TICK,
            iowait_ns=row[4] * TICK,
            irq_ns=(row[5] + row[6]) * TICK,
            steal_ns=row[7] * TICK,
        )
        for row in rows
    ]


@pytest.mark.parametrize("data", [b"", b"intr 1\n", b"cpu0 1 2 3 4 5 6 7 8\n", b"cpu  1 2 x 4 5 6 7 8\n"])
def test_a_stat_without_the_total_line_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_machine_stat(data, 1)


def test_load_averages_and_last_pid_are_parsed() -> None:
    assert parse_machine_load(b"0.52 1.58 12.59 3/1177 24532\n") == MachineLoad((0.52, 1.58, 12.59), 24532)


@pytest.mark.parametrize("data", [b"", b"0.52 1.58 12.59\n", b"0.52 1.58 12.59 3/1177 x\n", b"a b c 3/1177 24532\n"])
def test_a_malformed_loadavg_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_machine_load(data)


def test_pressure_is_the_total_of_the_first_line() -> None:
    data = b"some avg10=1.24 avg60=1.45 avg300=4.32 total=21281604698\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
    assert pressure_ns(data) == 21_281_604_000_000
    assert pressure_ns(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=5999") == 5_000_000


@pytest.mark.parametrize(
    "data", [b"", b"full avg10=0.00 total=7\n", b"some avg10=0.00\n", b"some avg10=0.00 total=\n", b"some\n"]
)
def test_a_malformed_pressure_file_is_rejected(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        pressure_ns(data)


def test_the_last_pid_is_that_of_the_last_fork() -> None:
    load = Path("/proc/loadavg")
    before = parse_machine_load(load.read_bytes()).last_pid
    thread = threading.Thread(target=int)
    thread.start()
    after = parse_machine_load(load.read_bytes()).last_pid
    thread.join()
    assert thread.native_id is not None
    # Other processes fork at the same time, and PIDs may wrap around.
    assert before < thread.native_id <= after or after < before


def test_the_load_average_matches_the_c_library() -> None:
    # The kernel updates it every five seconds, so one of the two values around the reading must match.
    before = os.getloadavg()
    found = parse_machine_load(Path("/proc/loadavg").read_bytes()).average
    assert found in (pytest.approx(before, abs=0.01), pytest.approx(os.getloadavg(), abs=0.01))
