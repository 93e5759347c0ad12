"""The flat tables and the formats that need no pyarrow, as independent readers read them."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, fields
from strategies import broken_texts, snapshots

from cpuwatch import CgroupUsage, ExitedUsage, ProcessUsage, Snapshot
from cpuwatch.encoding.flat_tables import FLAT_TABLES, TableName, flat_table
from cpuwatch.errors import QueryError
from cpuwatch.recording.export import exported
from cpuwatch.text import text_without_surrogates

TABLES: tuple[TableName, ...] = get_args(TableName)
some = st.lists(snapshots(), max_size=3)


def names(table: str) -> list[str]:
    return [column.name for column in flat_table(table).columns]


def rows_of(snapshot: Snapshot, table: str, *, active_only: bool = False) -> list[dict[str, Any]]:
    return [dict(zip(names(table), row, strict=True)) for row in flat_table(table).rows(snapshot, active_only)]


def test_the_tables_have_every_field_of_their_rows_in_order() -> None:
    assert names("processes")[6:-1] == [field.name for field in fields(ProcessUsage)]
    assert names("exited")[6:] == [field.name for field in fields(ExitedUsage)]
    assert names("cgroups")[6:] == [field.name for field in fields(CgroupUsage)]
    assert names("processes")[:6] == names("exited")[:6] == names("cgroups")[:6] == names("ticks")[:6]
    assert tuple(FLAT_TABLES) == TABLES


def test_an_unknown_table_is_an_error_that_lists_the_tables() -> None:
    with pytest.raises(QueryError, match="processes, exited, cgroups, ticks"):
        flat_table("proceses")


@given(snapshots())
def test_a_row_has_the_values_of_the_snapshot(snapshot: Snapshot) -> None:
    rows = rows_of(snapshot, "processes")
    assert len(rows) == len(snapshot.processes)
    for row, process in zip(rows, snapshot.processes, strict=True):
        assert {name: row[name] for name in names("processes")[6:-1]} == {
            field.name: getattr(process, field.name) for field in fields(process)
        }
        assert (row["host"], row["boot_id"], row["run"]) == (
            snapshot.host.name,
            snapshot.host.boot_id,
            snapshot.sampling.run,
        )
        assert (row["sequence"], row["time"]) == (snapshot.sequence, snapshot.time)
    (tick,) = rows_of(snapshot, "ticks")
    assert tick["per_cpu_percent"] == snapshot.machine.per_cpu_percent
    assert (tick["load_average_1"], tick["load_average_5"], tick["load_average_15"]) == (
        snapshot.machine.load_average or (None, None, None)
    )
    for name in ("cpu_percent", "user_percent", "system_percent", "iowait_percent", "irq_percent", "steal_percent"):
        assert tick[name] == getattr(snapshot.machine, name)
    for name in ("pressure_percent", "waiting_threads", "verdict"):
        assert tick[name] == getattr(snapshot.machine, name)
    for name in ("processes_percent", "exited_percent", "unattributed_percent", "excess_percent"):
        assert tick[name] == getattr(snapshot.attribution, name)


@given(snapshots())
def test_only_idle_processes_are_left_out_not_those_of_unknown_use(snapshot: Snapshot) -> None:
    active = [row["pid"] for row in rows_of(snapshot, "processes", active_only=True)]
    assert active == [
        row.pid
        for row in snapshot.processes
        if row.total_percent is None or row.total_percent > 0 or (row.wait_percent or 0) > 0
    ]


@given(snapshots())
def test_a_cgroup_is_left_out_if_it_is_idle_and_has_no_quota(snapshot: Snapshot) -> None:
    names_of_row = names("cgroups")[6:]
    shown = [{name: row[name] for name in names_of_row} for row in rows_of(snapshot, "cgroups", active_only=True)]
    assert shown == [
        asdict(row)
        for row in snapshot.cgroups
        if row.cpu_percent > 0 or (row.pressure_percent or 0) > 0 or row.quota_cpus is not None
    ]
    assert len(rows_of(snapshot, "cgroups")) == len(snapshot.cgroups)


def as_text(value: Any) -> str:
    """The text of a value in CSV, by other means than the exporter."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
        case list():
            return json.dumps(value, separators=(",", ":"))
        case str():
            return value
        case _:
            return repr(value)


@pytest.mark.parametrize("table", TABLES)
@given(shown=some)
def test_csv_is_read_back_by_the_csv_module(table: TableName, shown: list[Snapshot]) -> None:
    data = b"".join(exported(shown, "csv", table, active_only=False))
    header, *lines = csv.reader(StringIO(data.decode(), newline=""))
    assert header == names(table)
    wanted = [row for snapshot in shown for row in rows_of(snapshot, table)]
    assert len(lines) == len(wanted)
    for line, row in zip(lines, wanted, strict=True):
        for text, (name, value) in zip(line, row.items(), strict=True):
            match value:
                case float():
                    assert float(text) == value, name
                case list():
                    assert json.loads(text) == value, name
                case _:
                    assert text == as_text(value), name


@pytest.mark.parametrize("table", TABLES)
@given(shown=some)
def test_ndjson_is_read_back_by_the_json_module(table: TableName, shown: list[Snapshot]) -> None:
    data = b"".join(exported(shown, "ndjson", table, active_only=False))
    wanted = [row for snapshot in shown for row in rows_of(snapshot, table)]
    lines = [json.loads(line) for line in data.decode().split("\n")[:-1]]
    assert len(lines) == len(wanted)
    for line, row in zip(lines, wanted, strict=True):
        for name, value in row.items():
            read = datetime.fromisoformat(line[name]) if isinstance(value, datetime) else line[name]
            assert read == value, name


@given(snapshots(broken_texts))
def test_lone_surrogates_are_escaped(snapshot: Snapshot) -> None:
    wanted = [text_without_surrogates(row.name) for row in snapshot.processes]
    lines = b"".join(exported([snapshot], "csv", active_only=False)).decode()
    assert [row["name"] for row in csv.DictReader(StringIO(lines, newline=""))] == wanted
    data = b"".join(exported([snapshot], "ndjson", active_only=False)).decode()
    assert [json.loads(line)["name"] for line in data.split("\n")[:-1]] == wanted


def test_the_documentation_has_the_same_columns() -> None:
    document = (Path(__file__).parents[2] / "docs/analysis.md").read_text()
    for table in FLAT_TABLES.values():
        for part in (table.columns[:6], table.columns[6:]):
            rows = [f"| `{column.name}` | {column.type} | {column.description} |" for column in part]
            assert "\n" + "\n".join(rows) + "\n\n" in document, table.name
