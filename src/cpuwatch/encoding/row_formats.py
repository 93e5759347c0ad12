"""Rows of a flat table as bytes: CSV, lines of JSON, and an Arrow stream. Pure; values are exact, not rounded."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import StringIO
from typing import Any, Literal

from cpuwatch.encoding.arrow import arrow_schema, import_pyarrow, record_batch
from cpuwatch.encoding.flat_tables import FlatTable, Row
from cpuwatch.encoding.json import encode
from cpuwatch.text import text_without_surrogates, time_text

__all__ = ["ROW_FORMATS", "RowFormat"]

RowFormat = Literal["arrow", "csv", "ndjson"]


def _csv(table: FlatTable, chunks: Iterable[Sequence[Row]]) -> Iterator[bytes]:
    """CSV of RFC 4180 with a header. An unknown value is empty. Control characters in names stay as they are."""
    yield _csv_lines([[column.name for column in table.columns]])
    for rows in chunks:
        columns = [
            values
            if (text_of := _CSV_TEXTS.get(column.type)) is None
            else [None if value is None else text_of(value) for value in values]
            for column, values in zip(table.columns, zip(*rows, strict=True), strict=True)
        ]
        yield _csv_lines(zip(*columns, strict=True))


_CSV_TEXTS: dict[str, Callable[[Any], str]] = {
    "boolean": lambda value: "true" if value else "false",
    "numbers": lambda values: encode(values).decode(),
    "time": time_text,
}


def _csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    lines = StringIO(newline="")
    csv.writer(lines).writerows(rows)
    text = lines.getvalue()
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text_without_surrogates(text).encode()


def _ndjson(table: FlatTable, chunks: Iterable[Sequence[Row]]) -> Iterator[bytes]:
    names = [column.name for column in table.columns]
    for rows in chunks:
        yield b"".join(encode(dict(zip(names, row, strict=True))) + b"\n" for row in rows)


def _arrow(table: FlatTable, chunks: Iterable[Sequence[Row]]) -> Iterator[bytes]:
    """The streaming format of Arrow IPC. Its file format cannot be streamed: all batches share one dictionary there."""
    written = _Written()
    with import_pyarrow().ipc.new_stream(written, arrow_schema(table.columns)) as stream:
        yield written.taken()
        for rows in chunks:
            stream.write_batch(record_batch(table.columns, rows))
            yield written.taken()
    yield written.taken()


class _Written:
    """A file object, as pyarrow expects one, that holds what was written since the last call of ``taken``."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


ROW_FORMATS: dict[RowFormat, Callable[[FlatTable, Iterable[Sequence[Row]]], Iterator[bytes]]] = {
    "arrow": _arrow,
    "csv": _csv,
    "ndjson": _ndjson,
}
