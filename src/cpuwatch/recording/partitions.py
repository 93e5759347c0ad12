"""Exports snapshots as Parquet files that are partitioned by host and day, as Hive, DuckDB, Spark and Trino read them.

``TABLE/host=NAME/day=YYYY-MM-DD/part-BEGIN-END-N.parquet``: the exports of many machines in one directory or bucket
are one table. The name of a file has the times of its first and last tick, so an export can tell whether its ticks are
there already: repeated exports of a growing recording never make a row appear twice.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import import_module
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct

from cpuwatch.encoding.arrow import BATCH_ROWS, arrow_schema, import_pyarrow, record_batch
from cpuwatch.encoding.flat_tables import FlatTable, Row, TableName, flat_table
from cpuwatch.errors import ExportError
from cpuwatch.model import Snapshot
from cpuwatch.recording.abandoned import locked, remove_abandoned
from cpuwatch.recording.directory import sync_directory
from cpuwatch.recording.export import place
from cpuwatch.text import text_without_surrogates, time_text

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Part", "PartFile", "escaped", "export_parquet", "partition_of"]

_GROUP_ROWS = 16 * BATCH_ROWS
"""Rows of a row group. They are held as Arrow, in about 20 MB, and are what a query reads or skips as a whole."""

_UNFINISHED = ".cpuwatch-export-"

_TIME = "%Y%m%dT%H%M%S.%fZ"
_PART = re.compile(r"part-(\d{8}T\d{6}\.\d{6}Z)-(\d{8}T\d{6}\.\d{6}Z)-\d+\.parquet")

_SPECIAL = re.compile(r"[\x00-\x1f\x7f\"#%'*/:=?\\{\[\]^]")
"""Characters that Hive escapes in the names of partitions. It decodes other characters wrongly if they are escaped."""

_NO_NAME = "__HIVE_DEFAULT_PARTITION__"
"""Hive's partition for null and for the empty text."""


def export_parquet(
    snapshots: Iterable[Snapshot],
    directory: Path,
    tables: Sequence[TableName],
    *,
    active_only: bool = True,
    overwrite: bool = False,
) -> int:
    """Write these tables of the snapshots below ``directory``; returns the number of files.

    The files get their names at the end, when all are whole. Raises :class:`~cpuwatch.errors.ExportError` if there are
    files with ticks of the same host and times. With ``overwrite`` they are replaced, unless they have ticks before or
    after those of this export, which would be lost. Also raises ``OSError``, and
    :class:`~cpuwatch.errors.MissingExtraError` without pyarrow.
    """
    import_pyarrow()
    flat_tables = [flat_table(name) for name in tables]
    directory.mkdir(parents=True, exist_ok=True)
    remove_abandoned(directory.glob(f"{_UNFINISHED}*"))
    folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=directory))
    try:
        with locked(folder):
            files = _written(snapshots, folder, directory, flat_tables, active_only=active_only, overwrite=overwrite)
            _place_all(files, overwrite=overwrite)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return len(files)


def _written(
    snapshots: Iterable[Snapshot],
    folder: Path,
    directory: Path,
    tables: Sequence[FlatTable],
    *,
    active_only: bool,
    overwrite: bool,
) -> list[PartFile]:
    """Write the files for partitions below ``directory`` to this folder."""
    files: list[PartFile] = []
    for number, (partition, ticks) in enumerate(groupby(snapshots, partition_of)):
        first = next(ticks)
        if not overwrite:
            # Fail now, not after an hour.
            for table in tables:
                _overlapped(directory / table.name / partition, first.time, first.time)
        with Part(folder, number, tables, active_only=active_only) as part:
            for snapshot in chain([first], ticks):
                part.add(snapshot)
        files += part.files(directory, partition)
    return files


def partition_of(snapshot: Snapshot) -> Path:
    """The partition of a snapshot in each table: its host and its day in UTC."""
    name = escaped(snapshot.host.name)
    return Path(f"host={name or _NO_NAME}", f"day={snapshot.time.astimezone(UTC):%Y-%m-%d}")


def escaped(text: str) -> str:
    """The text as a part of a path, as Hive escapes it."""
    return _SPECIAL.sub(lambda match: f"%{ord(match[0]):02X}", text_without_surrogates(text))


class PartFile(Struct, frozen=True):
    """A whole file: where it is, the partition in which it belongs, and the times of its first and last tick."""

    unfinished: Path
    partition: Path
    number: int
    begin: datetime
    end: datetime

    @property
    def path(self) -> Path:
        """Where it belongs."""
        return self.partition / f"part-{self.begin:{_TIME}}-{self.end:{_TIME}}-{self.number}.parquet"


class Part:
    """The rows of successive ticks of one host and day, in a file for each table."""

    def __init__(self, folder: Path, number: int, tables: Sequence[FlatTable], *, active_only: bool) -> None:
        self._number = number
        self._active_only = active_only
        self._files = [_TableFile(table, folder / f"{number}-{table.name}") for table in tables]
        self._times: tuple[datetime, datetime] | None = None

    def add(self, snapshot: Snapshot) -> None:
        """Add the rows of a tick."""
        time = snapshot.time
        self._times = (time, time) if self._times is None else (min(self._times[0], time), max(self._times[1], time))
        for file in self._files:
            file.add(file.table.rows(snapshot, self._active_only))

    def files(self, directory: Path, partition: Path) -> list[PartFile]:
        """The files that have rows, for their partitions below ``directory``."""
        return [
            PartFile(file.path, directory / file.table.name / partition, self._number, *self._times)
            for file in self._files
            if self._times is not None and file.path.exists()
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()


class _TableFile:
    """A Parquet file of one table. It is created with the first rows. The host is in its path, as Hive has it."""

    def __init__(self, table: FlatTable, path: Path) -> None:
        self.table = table
        self.path = path
        self._schema: pa.Schema = arrow_schema(table.columns).remove(0)
        self._rows: list[Row] = []
        self._batches: list[pa.RecordBatch] = []
        self._writer: Any = None

    def add(self, rows: Iterable[Row]) -> None:
        self._rows += rows
        if len(self._rows) >= BATCH_ROWS:
            self._make_batch()
            if sum(batch.num_rows for batch in self._batches) >= _GROUP_ROWS:
                self._write_group()

    def close(self) -> None:
        self._make_batch()
        self._write_group()
        if self._writer is not None:
            self._writer.close()

    def _make_batch(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self._batches.append(record_batch(self.table.columns, rows).drop_columns(["host"]))

    def _write_group(self) -> None:
        batches, self._batches = self._batches, []
        if not batches:
            return
        if self._writer is None:
            # Most floats are different ones, so a dictionary of them makes the file larger by a fifth.
            texts = [column.name for column in self.table.columns if column.type != "number"]
            parquet = import_module("pyarrow.parquet")
            self._writer = parquet.ParquetWriter(self.path, self._schema, compression="zstd", use_dictionary=texts)
        # A column whose batches have different dictionaries would be written without one.
        group = import_pyarrow().Table.from_batches(batches, self._schema).unify_dictionaries()
        self._writer.write_table(group, row_group_size=group.num_rows)


def _place_all(files: Sequence[PartFile], *, overwrite: bool) -> None:
    """Give all files their names, and remove those that they replace."""
    replaced = [
        path for file in files for path in _overlapped(file.partition, file.begin, file.end, overwrite=overwrite)
    ]
    with ExitStack() as failed:
        for file in files:
            file.partition.mkdir(parents=True, exist_ok=True)
            _sync_file(file.unfinished)
            place(file.unfinished, file.path, overwrite=overwrite)
            if file.path not in replaced:
                failed.callback(file.path.unlink)
        failed.pop_all()
    for path in set(replaced) - {file.path for file in files}:
        path.unlink()
    for folder in {file.partition for file in files}:
        sync_directory(folder)


def _overlapped(partition: Path, begin: datetime, end: datetime, *, overwrite: bool = False) -> list[Path]:
    """The files in this partition that have ticks of these times. Raises ExportError if they must not be replaced."""
    found = []
    for path in sorted(partition.glob("part-*.parquet")):
        match = _PART.fullmatch(path.name)
        if match is None:
            continue
        old_begin, old_end = (datetime.strptime(text, _TIME).replace(tzinfo=UTC) for text in match.groups())
        if old_begin > end or old_end < begin:
            continue
        if not overwrite:
            raise ExportError(
                f"cannot export to {str(partition)!r}: {path.name!r} has ticks of the same times; "
                "export other times, or use --force to replace it"
            )
        if old_begin < begin or old_end > end:
            raise ExportError(
                f"cannot replace {str(path)!r}: it has ticks that this export does not have; "
                f"export at least {time_text(old_begin)} to {time_text(old_end)}, or remove it"
            )
        found.append(path)
    return found


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
