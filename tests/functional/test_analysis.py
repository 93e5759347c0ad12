"""Exports of many machines, read by DuckDB, Polars and pandas; the queries of docs/analysis.md; bounded memory."""

from __future__ import annotations

import os
import pty
import re
import runpy
import subprocess
import sys
import termios
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from readings import SECOND, reading
from readings import process as one_process
from recorded_runs import live_ticks
from simulated_hosts import HOSTS, MIDNIGHT, record_host, record_long

from cpuwatch import Snapshot, open_recording, to_pandas, to_polars
from cpuwatch.commands.cli import main
from cpuwatch.recording.partitions import export_parquet
from cpuwatch.recording.writer import RecordingWriter

pytestmark = [pytest.mark.timeout(300), pytest.mark.any_python]

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")
polars = pytest.importorskip("polars")
pytest.importorskip("pandas")

ANALYSIS = (Path(__file__).parents[2] / "docs/analysis.md").read_text()
PROCESS_FIELDS = (
    *("pid", "key", "name", "user", "start_time", "threads"),
    *("cpu_percent", "total_percent", "cpu_seconds"),
)
QUERIES = re.findall(r"^```sql\n(.*?)^```$", ANALYSIS, re.MULTILINE | re.DOTALL)
PYTHON = re.findall(r"^```python\n(.*?)^```$", ANALYSIS, re.MULTILINE | re.DOTALL)


def query(phrase: str) -> str:
    """Return the query of the document that contains this phrase."""
    (found,) = [text for text in QUERIES if phrase in text]
    return str(found)


class Fleet:
    """The recordings of all machines, what they showed live, and their exports in DuckDB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live: dict[str, list[Snapshot]] = {}
        for host in HOSTS:
            recording = folder / host
            self.live[host] = record_host(recording, host)
            assert main(["export", str(recording), "--format", "parquet", "--output", str(folder / "exports")]) == 0
        views = query("CREATE VIEW").replace("'exports/", f"'{folder}/exports/")
        self.database = duckdb.connect()
        self.database.execute(views)

    def rows(self, text: str) -> list[dict[str, Any]]:
        found = self.database.execute(text)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    @property
    def snapshots(self) -> list[Snapshot]:
        return [snapshot for live in self.live.values() for snapshot in live]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet(tmp_path_factory.mktemp("fleet"))


def test_duckdb_reads_every_row_of_every_machine(fleet: Fleet) -> None:
    read = fleet.rows(
        "SELECT host, day, run, sequence, time, interval_seconds, pid, key, name, user, start_time, threads,"
        " cpu_percent, total_percent, cpu_seconds, unit FROM processes ORDER BY host, time, pid"
    )
    wanted = [
        {
            "host": host,
            "day": snapshot.time.date(),
            "run": snapshot.sampling.run,
            "sequence": snapshot.sequence,
            "time": snapshot.time,
            "interval_seconds": snapshot.interval_seconds,
            **{
                name: getattr(row, name)
                for name in [
                    "pid",
                    "key",
                    "name",
                    "user",
                    "start_time",
                    "threads",
                    "cpu_percent",
                    "total_percent",
                    "cpu_seconds",
                ]
            },
            "unit": (row.cgroup or "").rpartition("/")[2],
        }
        for host, live in fleet.live.items()
        for snapshot in live
        for row in sorted(snapshot.processes, key=lambda row: row.pid)
        if row.total_percent != 0
    ]
    assert len(wanted) > 10_000
    assert read == wanted


def test_the_worst_minute_of_each_host(fleet: Fleet) -> None:
    used: dict[Any, float] = defaultdict(float)
    length: dict[Any, float] = defaultdict(float)
    for host, live in fleet.live.items():
        for snapshot in live:
            minute = host, snapshot.time.replace(second=0, microsecond=0)
            used[minute] += (snapshot.machine.cpu_percent or 0) * snapshot.interval_seconds
            length[minute] += snapshot.interval_seconds
    rows = fleet.rows(query("date_trunc('minute', time)"))
    assert [row["host"] for row in sorted(rows, key=lambda row: row["host"])] == HOSTS
    for row in rows:
        worst = max((used[minute] / length[minute], minute[1]) for minute in used if minute[0] == row["host"])
        assert row["busy_percent"] == pytest.approx(worst[0])
        assert row["minute"] == worst[1]


def test_who_used_most_in_a_minute(fleet: Fleet) -> None:
    used: dict[Any, float] = defaultdict(float)
    for snapshot in fleet.snapshots:
        if MIDNIGHT - timedelta(minutes=2) < snapshot.time <= MIDNIGHT - timedelta(minutes=1):
            for process in snapshot.processes:
                used[snapshot.host.name, process.pid] += (process.total_percent or 0) * snapshot.interval_seconds / 100
    rows = fleet.rows(query("LIMIT 10"))
    wanted = sorted(used.items(), key=lambda item: item[1], reverse=True)[:10]
    assert [(row["host"], row["pid"]) for row in rows] == [process for process, _ in wanted]
    assert [row["cpu_seconds"] for row in rows] == pytest.approx([seconds for _, seconds in wanted])


def test_cpu_hours_by_unit(fleet: Fleet) -> None:
    used: dict[str, float] = defaultdict(float)
    for snapshot in fleet.snapshots:
        for process in snapshot.processes:
            used[str(process.cgroup).rpartition("/")[2]] += (
                (process.total_percent or 0) * snapshot.interval_seconds / 360_000
            )
    del used["idle.service"]
    rows = fleet.rows(query("cpu_hours"))
    assert {row["unit"]: row["cpu_hours"] for row in rows} == pytest.approx(dict(used))
    assert rows[0]["unit"] == max(used, key=lambda unit: used[unit])


def test_what_was_new_and_more_expensive_after_a_deployment(fleet: Fleet) -> None:
    (row,) = fleet.rows(query("first_tick"))
    assert (row["name"], row["unit"], row["hosts"]) == ("billing-v2", "billing.service", len(HOSTS))
    assert timedelta() < row["first_tick"] - MIDNIGHT < timedelta(seconds=5)
    first, *others = fleet.rows(query("percent_before"))
    assert first["unit"] == "billing.service"
    assert len(others) == 5


def test_the_share_of_short_lived_processes_and_their_names(fleet: Fleet) -> None:
    exited: dict[str, float] = defaultdict(float)
    busy: dict[str, float] = defaultdict(float)
    counts: dict[str | None, int] = defaultdict(int)
    for snapshot in fleet.snapshots:
        exited[snapshot.host.name] += (snapshot.attribution.exited_percent or 0) * snapshot.interval_seconds
        busy[snapshot.host.name] += (snapshot.machine.cpu_percent or 0) * snapshot.interval_seconds
        for row in snapshot.exited:
            counts[row.name] += row.count or 0
    rows = fleet.rows(query("share_percent"))
    assert {row["host"]: row["share_percent"] for row in rows} == pytest.approx(
        {host: 100 * exited[host] / busy[host] for host in HOSTS}
    )
    assert min(exited.values()) > 0
    named = {row["name"]: row["processes"] for row in fleet.rows(query("WHERE NOT estimated"))}
    assert named == {name: count for name, count in counts.items() if name in named}
    assert {"cc1", "ld", "sed"} <= named.keys()


def test_which_units_their_quotas_slowed_down(fleet: Fleet) -> None:
    throttled: dict[tuple[str, str], float] = defaultdict(float)
    worst: dict[tuple[str, str], float] = defaultdict(float)
    for snapshot in fleet.snapshots:
        for row in snapshot.cgroups:
            if row.throttled_percent:
                unit = snapshot.host.name, row.path
                throttled[unit] += row.throttled_percent * snapshot.interval_seconds / 100
                worst[unit] = max(worst[unit], row.throttled_periods_percent or 0)
    rows = fleet.rows(query("throttled_seconds"))
    found = {(row["host"], row["path"]): row["throttled_seconds"] for row in rows}
    assert found == pytest.approx(dict(throttled))
    assert {(row["host"], row["path"]): row["worst_periods_percent"] for row in rows} == worst
    assert {path for _, path in found} == {"/system.slice/billing.service"}


def test_when_nothing_was_recorded(fleet: Fleet) -> None:
    rows = fleet.rows(query("gap_begin"))
    assert [row["host"] for row in rows] == HOSTS[::10]
    # The second run's first reading is 21 s after the last one of the first run, and has no snapshot.
    assert {row["gap_end"] - row["gap_begin"] for row in rows} == {timedelta(seconds=21)}


def test_every_query_of_the_document_was_tested() -> None:
    tested = set(re.findall(r'query\(\s*"([^"]+)"', Path(__file__).read_text()))
    assert {text for text in QUERIES if any(phrase in text for phrase in tested)} == set(QUERIES)


def test_polars_and_pandas_have_the_rows_of_the_snapshots(fleet: Fleet) -> None:
    live = fleet.live[HOSTS[3]]
    wanted = [(row.pid, row.name, row.total_percent) for snapshot in live for row in snapshot.processes]
    recording = open_recording(fleet.folder / HOSTS[3])
    frame = to_polars(recording)
    assert frame.select("pid", "name", "total_percent").rows() == wanted
    assert frame["time"].to_list() == [snapshot.time for snapshot in live for _ in snapshot.processes]
    table = to_pandas(recording)
    assert list(table[["pid", "name", "total_percent"]].itertuples(index=False, name=None)) == wanted
    unknown = to_pandas(live[-1], "exited")
    assert str(unknown["count"].dtype) == "Int64"


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_the_python_examples_of_the_document_run(
    number: int, fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recording").symlink_to(fleet.folder / HOSTS[0])
    (tmp_path / "example.py").write_text(PYTHON[number])
    monkeypatch.chdir(tmp_path)
    runpy.run_path("example.py", run_name="__main__")


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long") / "recording"
    record_long(folder, 80 * 60)
    return folder


# The command


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cpuwatch", "export", *arguments]


def test_a_reader_that_has_enough_ends_the_export_quietly(fleet: Fleet) -> None:
    for kind in ("csv", "ndjson", "arrow"):
        arguments = command(str(fleet.folder / HOSTS[0]), "--format", kind, "--all", "--output", "-")
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(10)
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(60) == 0


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_full_disk_leaves_no_file(kind: str, fleet: Fleet, tmp_path: Path) -> None:
    # A limit of the file size stands in for the disk: the write fails with EFBIG.
    arguments = command(str(fleet.folder / HOSTS[0]), "--format", kind, "--output", str(tmp_path / "out"))
    limited = ["sh", "-c", 'trap "" XFSZ; ulimit -f 8; exec "$@"', "sh", *arguments]
    done = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("cpuwatch: ")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_terminal_has_a_progress_bar_and_gets_no_binary(fleet: Fleet, tmp_path: Path) -> None:
    arguments = command(str(fleet.folder / HOSTS[0]), "--format", "csv", "--output", str(tmp_path / "out"))
    assert "0.0 of 0.1 h" in on_terminal(arguments)
    text = on_terminal(command(str(fleet.folder / HOSTS[0]), "--format", "arrow", "--output", "-"))
    assert "the standard output is a terminal" in text


def test_a_terminal_gets_no_control_characters_from_names(tmp_path: Path) -> None:
    readings = [
        reading(one_process(cpu_ns=second * SECOND, name="\x1b[31m\nred"), at_ns=(100 + second) * SECOND)
        for second in range(3)
    ]
    with RecordingWriter(tmp_path) as writer:
        for tick in live_ticks(readings):
            writer.write(tick)
    text = on_terminal(command(str(tmp_path), "--format", "csv", "--output", "-"))
    assert "\x1b" not in text
    assert "\\x1b[31m" in text
    assert "100%" not in text
    assert len(text.splitlines()) == 1 + 2 * 2


@pytest.mark.parametrize("name", ["a=b/c", "50% ž?*[x]", "..", "' OR 1=1 --", "100", "A", "line\nfeed"])
def test_a_host_may_have_any_name(name: str, fleet: Fleet, tmp_path: Path) -> None:
    shown = fleet.live[HOSTS[0]][0]
    export_parquet([replace(shown, host=replace(shown.host, name=name))], tmp_path, ["ticks"])
    (row,) = duckdb.sql(
        f"SELECT host FROM read_parquet('{tmp_path}/ticks/*/*/*.parquet', hive_types = {{'host': VARCHAR}})"  # noqa: S608
    ).fetchall()
    assert row == (name,)
    scanned = polars.scan_parquet(
        tmp_path / "ticks/**/*.parquet", hive_partitioning=True, hive_schema={"host": polars.String, "day": polars.Date}
    )
    assert scanned.collect()["host"].to_list() == [name]


def on_terminal(arguments: list[str]) -> str:
    """Run a command on a new terminal; return what it showed."""
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    with subprocess.Popen(arguments, stdin=terminal, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        try:
            while data := os.read(master, 4096):
                shown += data
        except OSError:
            pass  # the terminal was closed
        finally:
            os.close(master)
        process.wait(60)
    return shown.decode()


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv", "ndjson"])
def test_memory_does_not_grow_with_the_length(kind: str, long_recording: Path, tmp_path: Path) -> None:
    begin = MIDNIGHT - timedelta(days=1)
    sizes, peaks = [], []
    for minutes in (20, 80):
        output = tmp_path / f"{minutes}"
        end = (begin + timedelta(minutes=minutes)).isoformat()
        arguments = command(str(long_recording), "--format", kind, "--all", "--to", end, "--output", str(output))
        process = subprocess.Popen(arguments)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(usage.ru_maxrss / 1024)
        sizes.append(sum(path.stat().st_size for path in [output, *output.rglob("*")] if path.is_file()))
    assert sizes[1] > 3 * sizes[0]
    assert peaks[1] < peaks[0] + 25, f"MiB: {peaks}"
