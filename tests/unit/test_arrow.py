"""Arrow tables and Parquet files of snapshots, as pyarrow reads them back."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace
from readings import HOSTILE_NAMES, SECOND, process, reading, snapshot
from recorded_runs import live_ticks
from strategies import broken_texts, snapshots

from cpuwatch import Snapshot, open_recording, to_arrow
from cpuwatch.encoding.flat_tables import TableName, flat_table
from cpuwatch.errors import ExportError, QueryError
from cpuwatch.query.summary import ExitedSummary, GroupSummaries, ProcessSummaries
from cpuwatch.recording.export import exported
from cpuwatch.recording.partitions import export_parquet
from cpuwatch.recording.summary import summarize
from cpuwatch.recording.writer import RecordingWriter
from cpuwatch.text import text_from_bytes, text_without_surrogates

pa = pytest.importorskip("pyarrow")
ipc = pytest.importorskip("pyarrow.ipc")
parquet = pytest.importorskip("pyarrow.parquet")

TABLES: tuple[TableName, ...] = get_args(TableName)
some = st.lists(snapshots(), max_size=3)
few = settings(max_examples=30)


def wanted_rows(shown: Sequence[Snapshot], table: TableName, *, active_only: bool = False) -> list[dict[str, Any]]:
    names = [column.name for column in flat_table(table).columns]
    return [dict(zip(names, row, strict=True)) for each in shown for row in flat_table(table).rows(each, active_only)]


@pytest.mark.parametrize("table", TABLES)
@few
@given(shown=some)
def test_a_table_has_the_rows_of_the_snapshots(table: TableName, shown: list[Snapshot]) -> None:
    assert to_arrow(shown, table).to_pylist() == wanted_rows(shown, table)
    assert to_arrow(iter(shown), table, active_only=True).to_pylist() == wanted_rows(shown, table, active_only=True)


@few
@given(snapshots(broken_texts))
def test_one_snapshot_is_enough_and_lone_surrogates_are_escaped(shown: Snapshot) -> None:
    assert to_arrow(shown)["name"].to_pylist() == [text_without_surrogates(row.name) for row in shown.processes]


@pytest.mark.parametrize("table", TABLES)
def test_the_types_are_the_same_with_and_without_rows(table: TableName) -> None:
    empty = to_arrow([], table)
    assert empty.num_rows == 0
    assert empty.schema == to_arrow([snapshot((10, SECOND))], table).schema
    assert empty.schema.field("time").type == pa.timestamp("us", tz="UTC")
    assert empty.schema.field("sequence").type == pa.int64()
    assert empty.schema.field("interval_seconds").type == pa.float64()
    assert empty.schema.field("host").type == pa.dictionary(pa.int32(), pa.string())


@pytest.mark.parametrize("table", TABLES)
@few
@given(shown=some)
def test_an_arrow_stream_is_read_back(table: TableName, shown: list[Snapshot]) -> None:
    data = b"".join(exported(shown, "arrow", table, active_only=False))
    with ipc.open_stream(BytesIO(data)) as stream:
        assert stream.read_all().to_pylist() == wanted_rows(shown, table)


def test_an_arrow_stream_may_have_other_texts_in_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cpuwatch.recording.export.BATCH_ROWS", 2)
    shown = [snapshot(*((pid, SECOND) for pid in range(first, first + 3))) for first in (10, 20, 30)]
    with ipc.open_stream(BytesIO(b"".join(exported(shown, "arrow")))) as stream:
        assert stream.read_all()["key"].to_pylist() == [row.key for each in shown for row in each.processes]


# Parquet


@contextmanager
def exports() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory) / "all"


def files_in(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def rows_in(directory: Path, table: str) -> list[dict[str, Any]]:
    """All rows below the directory, in the order of the parts, with the host of the path."""
    rows = []
    for path in sorted((directory / table).rglob("*.parquet"), key=lambda path: int(path.stem.rpartition("-")[2])):
        host = unquote(path.parts[-3].removeprefix("host="))
        read = parquet.ParquetFile(path).read().to_pylist()
        assert {f"{row['time']:%Y-%m-%d}" for row in read} == {path.parts[-2].removeprefix("day=")}
        rows += [{"host": "" if host == "__HIVE_DEFAULT_PARTITION__" else host, **row} for row in read]
    return rows


@few
@given(some)
def test_parquet_files_are_read_back_and_each_is_in_the_partition_of_its_host_and_day(shown: list[Snapshot]) -> None:
    with exports() as directory:
        count = export_parquet(shown, directory, TABLES, active_only=False)
        assert len(files_in(directory)) == count
        for table in TABLES:
            assert rows_in(directory, table) == wanted_rows(shown, table)


def test_small_row_groups_give_the_same_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("cpuwatch.recording.partitions.BATCH_ROWS", 2)
    monkeypatch.setattr("cpuwatch.recording.partitions._GROUP_ROWS", 4)
    shown = [
        snapshot(*((pid, SECOND) for pid in range(first, first + 3)), sequence=first) for first in range(10, 100, 10)
    ]
    export_parquet(shown, tmp_path, ["processes"])
    (path,) = files_in(tmp_path)
    assert parquet.ParquetFile(path).metadata.num_row_groups > 3
    assert rows_in(tmp_path, "processes") == wanted_rows(shown, "processes")


@pytest.mark.parametrize("raw", HOSTILE_NAMES)
def test_a_hostile_host_name_is_one_directory(raw: bytes, tmp_path: Path) -> None:
    name = text_from_bytes(raw)
    shown = [snapshot((10, SECOND))]
    shown = [replace(shown[0], host=replace(shown[0].host, name=f"../{name}"))]
    export_parquet(shown, tmp_path, ["processes"])
    (path,) = files_in(tmp_path)
    assert len(path.relative_to(tmp_path).parts) == 4
    read = parquet.read_table(tmp_path / "processes")
    assert read["host"].to_pylist() == [f"../{name}"]


def second(number: int) -> Snapshot:
    return replace(
        snapshot((10, SECOND), sequence=number), time=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    )


def test_a_repeated_export_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    export_parquet([second(1), second(2)], tmp_path, TABLES)
    before = {path: path.read_bytes() for path in files_in(tmp_path)}
    for again in ([second(1), second(2)], [second(2), second(3)], [second(0), second(1)]):
        with pytest.raises(ExportError, match="has ticks of the same times"):
            export_parquet(again, tmp_path, TABLES)
    assert {path: path.read_bytes() for path in files_in(tmp_path)} == before


def test_a_later_export_is_added(tmp_path: Path) -> None:
    export_parquet([second(1), second(2)], tmp_path, TABLES)
    export_parquet([second(3), second(4)], tmp_path, TABLES)
    times = parquet.read_table(tmp_path / "ticks")["sequence"].to_pylist()
    assert sorted(times) == [1, 2, 3, 4]


def test_a_forced_export_replaces_the_files_of_its_times(tmp_path: Path) -> None:
    export_parquet([second(2)], tmp_path, TABLES)
    export_parquet([second(3)], tmp_path, TABLES)
    export_parquet([second(9)], tmp_path, TABLES)
    export_parquet([second(1), second(2), second(3), second(4)], tmp_path, TABLES, overwrite=True)
    times = parquet.read_table(tmp_path / "ticks")["sequence"].to_pylist()
    assert sorted(times) == [1, 2, 3, 4, 9]
    export_parquet([second(1), second(2), second(3), second(4)], tmp_path, TABLES, overwrite=True)
    assert sorted(parquet.read_table(tmp_path / "ticks")["sequence"].to_pylist()) == [1, 2, 3, 4, 9]


def test_a_forced_export_never_loses_ticks_that_it_does_not_have(tmp_path: Path) -> None:
    export_parquet([second(1), second(2), second(3)], tmp_path, TABLES)
    before = files_in(tmp_path)
    with pytest.raises(ExportError, match=r"2026-01-01T00:00:01.000000Z to 2026-01-01T00:00:03.000000Z"):
        export_parquet([second(2), second(3)], tmp_path, TABLES, overwrite=True)
    assert files_in(tmp_path) == before


def test_an_export_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def failing() -> Iterator[Snapshot]:
        yield second(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_parquet(failing(), tmp_path, TABLES)
    assert list(tmp_path.iterdir()) == []


def test_without_pyarrow_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import cpuwatch\n"
        "from cpuwatch.errors import MissingExtraError\n"
        "try:\n    cpuwatch.to_arrow([])\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "Arrow and Parquet need the extra 'arrow': install cpuwatch with [arrow]"


def test_a_recording_is_a_table(tmp_path: Path) -> None:
    ticks = list(
        live_ticks(
            reading(process(10, cpu_ns=number * SECOND // 3), at_ns=(100 + number) * SECOND) for number in range(9)
        )
    )
    with RecordingWriter(tmp_path) as writer:
        for tick in ticks:
            writer.write(tick)
    live = [tick.snapshot for tick in ticks if tick.snapshot is not None]
    recording = open_recording(tmp_path)
    assert to_arrow(recording).to_pylist() == wanted_rows(live, "processes")
    assert to_arrow(recording.between(live[2].time, live[5].time), "ticks").to_pylist() == wanted_rows(
        live[3:6], "ticks"
    )


def test_a_summary_is_a_table(tmp_path: Path) -> None:
    ticks = list(
        live_ticks(
            reading(process(10, cpu_ns=number * SECOND // 3), process(11, cpu_ns=number), at_ns=(100 + number) * SECOND)
            for number in range(9)
        )
    )
    with RecordingWriter(tmp_path) as writer:
        for tick in ticks:
            writer.write(tick)
    begin, end = ticks[0].reading.time, ticks[-1].reading.time
    by_process = summarize(open_recording(tmp_path), begin, end)
    assert isinstance(by_process, ProcessSummaries)
    assert len(by_process.processes) == 2
    assert to_arrow(by_process).to_pylist() == [
        {"start": begin, "end": end, **asdict(row)} for row in by_process.processes
    ]
    assert to_arrow(by_process, "exited").column_names == ["start", "end", *ExitedSummary.__struct_fields__]
    by_name = summarize(open_recording(tmp_path), begin, end, "name")
    assert isinstance(by_name, GroupSummaries)
    assert to_arrow(by_name).to_pylist() == [{"start": begin, "end": end, **asdict(row)} for row in by_name.groups]
    with pytest.raises(QueryError, match="GroupSummaries has no table 'ticks'"):
        to_arrow(by_name, "ticks")
