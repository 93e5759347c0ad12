"""Recording this machine: replayed snapshots equal the live ones, and every command and endpoint shows the past."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from live_processes import puppet, shell_loop
from live_server import CPUWATCH_SERVE, HYPERCORN, SCRIPTS, environment, run, running_server

from cpuwatch import Monitor, Snapshot, decode, open_recording
from cpuwatch.encoding.summary import local_text
from cpuwatch.recording.recorder import Recorder
from cpuwatch.recording.writer import LogSize

pytestmark = pytest.mark.timeout(180)

BUSY_SECONDS = 60
INTERVAL_SECONDS = 0.5


@contextmanager
def recording_process(directory: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    command = [str(SCRIPTS / "cpuwatch"), "record", str(directory), "--interval", "0.1", *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            yield process
        finally:
            process.kill()


def open_files(pid: int) -> list[str]:
    paths = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            paths.append(str(descriptor.readlink()))
    return paths


def wait_for_ticks(directory: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while not (directory / "recording.json").exists() or sum(1 for _ in open_recording(directory)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.any_python
def test_replayed_snapshots_of_a_busy_machine_equal_the_live_ones(tmp_path: Path) -> None:
    """Processes come and go, burn, rename themselves and move between parents, for a minute."""
    live: list[Snapshot] = []
    # Several logs become blocks, and the history in memory is packed too.
    recorder = Recorder(tmp_path, log_size=LogSize(ticks=25, key_ticks=7))
    monitor = Monitor(INTERVAL_SECONDS)
    monitor.follow(live.append)
    monitor.follow_ticks(recorder.record)
    with puppet() as burner, puppet() as other, shell_loop(), monitor:
        deadline = time.monotonic() + BUSY_SECONDS
        while time.monotonic() < deadline:
            burner.spend(120)
            other.rename(b"renamed %d" % (time.monotonic_ns() % 7))
            other.spend(10)
    kept = list(monitor.history)
    recorder.close()
    assert recorder.health.lost_ticks == 0
    assert len(live) > 20
    recording = open_recording(tmp_path)
    assert list(recording) == live
    assert kept == live
    assert not recording.damage
    for snapshot in live[:: len(live) // 5]:
        assert recording.at(snapshot.time) == snapshot


def test_record_stops_cleanly_and_its_ticks_can_be_replayed(tmp_path: Path) -> None:
    directory = tmp_path / "recording"
    with recording_process(directory) as process:
        wait_for_ticks(directory, 3)
        refused = run("record", str(directory))
        assert refused.returncode == 1
        assert f"process {process.pid} on" in refused.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert "lost 0" in process.stderr.read()
    shown = run("replay", str(directory), "--at", "now", "--top", "2")
    assert shown.returncode == 0, shown.stderr
    assert "machine" in shown.stdout
    lines = run("replay", str(directory), "--from", "-10m", "--format", "ndjson", "--top", "1").stdout.splitlines()
    heads = [record for record in map(json.loads, lines) if record["kind"] == "snapshot"]
    assert [head["sequence"] for head in heads] == list(range(1, len(heads) + 1))
    assert len(heads) >= 3


def test_a_report_adds_up_what_was_recorded(tmp_path: Path) -> None:
    directory = tmp_path / "recording"
    with puppet() as burner, recording_process(directory) as process:
        wait_for_ticks(directory, 3)
        spent_ms = 0
        while spent_ms < 600:
            burner.spend(100)
            spent_ms += 100
        before = len(list(open_recording(directory)))
        wait_for_ticks(directory, before + 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    report = json.loads(run("report", str(directory), "--from", "-10m", "--json").stdout)
    snapshots = list(open_recording(directory))
    assert report["ticks"] == len(snapshots)
    burned = sum(
        row.cpu_percent / 100 * snapshot.interval_seconds
        for snapshot in snapshots
        for row in snapshot.processes
        if row.pid == burner.pid and row.cpu_percent is not None
    )
    (row,) = (row for row in report["processes"] if row["pid"] == burner.pid)
    assert row["cpu_seconds"] == pytest.approx(burned, abs=0.01)
    assert burned >= 0.6
    listed = sum(row["cpu_seconds"] for row in report["processes"])
    assert listed + report["rest"]["cpu_seconds"] == pytest.approx(report["attribution"]["processes_seconds"])
    table = run("report", str(directory), "--from", "-10m", "--group-by", "name", "--top", "3")
    assert table.returncode == 0, table.stderr
    assert "CPU seconds" in table.stdout
    wrong = run("report", str(directory), "--from", "2001-01-01", "--to", "2001-01-02")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert f"the recording begins at {local_text(snapshots[0].time)}" in wrong.stderr


def test_replay_says_what_is_wrong(tmp_path: Path) -> None:
    with recording_process(tmp_path / "recording"):
        wait_for_ticks(tmp_path / "recording", 1)
    directory = str(tmp_path / "recording")
    for arguments, code, message in (
        ((directory,), 2, "one of --at, --from and --to, or --serve is needed"),
        ((directory, "--at", "sometime"), 2, "invalid time 'sometime': must be like now"),
        ((directory, "--at", "2001-01-01"), 1, "nothing was recorded at or before 2001-01-01"),
        ((str(tmp_path), "--at", "now"), 1, "it holds no recording"),
        ((directory, "--at", "now", "--top", "0"), 2, "invalid top '0'"),
    ):
        done = run("replay", *arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_killed_recorder_loses_at_most_its_last_tick(tmp_path: Path) -> None:
    with recording_process(tmp_path) as process:
        wait_for_ticks(tmp_path, 5)
        process.kill()
        process.wait(30)
    before = list(open_recording(tmp_path))
    with recording_process(tmp_path) as process:
        wait_for_ticks(tmp_path, len(before) + 2)
    after = list(open_recording(tmp_path))
    assert after[: len(before)] == before
    assert after[len(before)].sampling.run != before[-1].sampling.run


@pytest.mark.parametrize("command", [CPUWATCH_SERVE, HYPERCORN])
def test_a_service_shows_its_past_after_a_restart(tmp_path: Path, command: tuple[str, ...]) -> None:
    settings = {"CPUWATCH_RECORD": str(tmp_path / "recording"), "CPUWATCH_INTERVAL": "0.1"}
    with running_server(command, **settings) as server, httpx.Client(base_url=server.url) as client:
        time.sleep(1)
        assert any(path.startswith("/proc/") for path in open_files(server.pid)) or command is HYPERCORN
        first = decode(client.get("/cpu_usage").content)
        ready = client.get("/readyz").json()["recording"]
        assert ready["recorded_ticks"] > 0
        assert ready["failure"] is None
        assert "cpuwatch_recorded_ticks" in client.get("/metrics").text
    with running_server(command, **settings) as server, httpx.Client(base_url=server.url) as client:
        newest = decode(client.get("/cpu_usage").content)
        assert newest.sampling.run != first.sampling.run
        past = client.get("/cpu_usage", params={"at": first.time.isoformat()})
        assert decode(past.content) == first
        query = {"from": (first.time - timedelta(microseconds=1)).isoformat(), "to": first.time.isoformat()}
        page = client.get("/cpu_usage/history", params=query).json()
        assert [shown["sequence"] for shown in page["snapshots"]] == [first.sequence]
        # A client that reconnects after the restart gets every tick that it has missed.
        last_id = f"{first.sampling.run}{first.sequence:010}"
        with client.stream("GET", "/cpu_usage/stream?top=1", headers={"Last-Event-ID": last_id}) as stream:
            ids = []
            for line in stream.iter_lines():
                if line.startswith("id:"):
                    ids.append(line.removeprefix("id:").strip())
                if ids and ids[-1].startswith(newest.sampling.run) and int(ids[-1][9:]) >= newest.sequence:
                    break
        runs = [one[:9] for one in ids]
        assert runs == sorted(runs, key=[first.sampling.run, newest.sampling.run].index)
        for name in (first.sampling.run, newest.sampling.run):
            sequences = [int(one[9:]) for one in ids if one.startswith(name)]
            begin = first.sequence + 1 if name == first.sampling.run else 1
            assert sequences == list(range(begin, begin + len(sequences)))


def test_a_recording_of_another_machine_is_served_without_sampling(tmp_path: Path) -> None:
    with recording_process(tmp_path):
        wait_for_ticks(tmp_path, 4)
    recorded = list(open_recording(tmp_path))
    command = (str(SCRIPTS / "cpuwatch"), "replay", str(tmp_path), "--serve", "--bind", "127.0.0.1:0")
    with running_server(command) as server, httpx.Client(base_url=server.url) as client:
        newest = decode(client.get("/cpu_usage").content)
        assert newest.sequence == recorded[-1].sequence
        assert client.get("/readyz").status_code == 200
        moment = client.get("/cpu_usage", params={"at": recorded[1].time.isoformat()})
        assert decode(moment.content).sequence == recorded[1].sequence
        assert client.get("/").status_code == 200
        # A sampler keeps files of /proc open.
        assert not any(path.startswith("/proc/") for path in open_files(server.pid))


def test_a_playback_follows_a_recording_that_still_grows(tmp_path: Path) -> None:
    command = (str(SCRIPTS / "cpuwatch"), "replay", str(tmp_path), "--serve", "--bind", "127.0.0.1:0")
    with recording_process(tmp_path):
        wait_for_ticks(tmp_path, 2)
        with running_server(command) as server, httpx.Client(base_url=server.url) as client:
            first = decode(client.get("/cpu_usage").content)
            deadline = time.monotonic() + 30
            while (later := decode(client.get("/cpu_usage").content)).sequence <= first.sequence:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert later.time > first.time
            assert datetime.now(UTC) - later.time < timedelta(seconds=30)


def test_a_disk_that_hangs_does_not_hold_up_sampling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    real_write = os.write

    def write(descriptor: int, data: bytes) -> int:
        if threading.current_thread().name == "cpuwatch-recorder":
            hangs.wait(60)
        return real_write(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    recorder = Recorder(tmp_path)
    monitor = Monitor(0.05)
    monitor.follow_ticks(recorder.record)
    try:
        with monitor:
            assert monitor.wait(after=80, timeout=60) is not None
            assert recorder.health.lost_ticks > 0
            assert monitor.health.missed_ticks + monitor.health.failed_ticks < 40
    finally:
        hangs.set()
        recorder.close()
    assert recorder.health.recorded_ticks > 0
