"""Snapshots as Arrow tables and data frames. The extra ``arrow`` is imported at the first use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from cpuwatch.encoding.flat_tables import FlatColumn, Row, TableName, flat_table, summary_table
from cpuwatch.errors import MissingExtraError
from cpuwatch.model import Snapshot
from cpuwatch.query.summary import Summary
from cpuwatch.text import text_without_surrogates

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = [
    "BATCH_ROWS",
    "arrow_schema",
    "chunks",
    "import_pyarrow",
    "record_batch",
    "to_arrow",
    "to_pandas",
    "to_polars",
]

BATCH_ROWS = 8192
"""Rows that are Python objects at a time, about 400 bytes each. In Arrow they take a quarter of it."""

_Item = TypeVar("_Item")


def to_arrow(
    source: Snapshot | Iterable[Snapshot] | Summary, table: TableName = "processes", *, active_only: bool = False
) -> pa.Table:
    """A snapshot, some of them, a whole recording or a summary as a ``pyarrow.Table``.

    ``table`` is ``processes`` (a row for each process and tick), ``exited``, ``cgroups`` or ``ticks``; docs/analysis.md
    lists their columns. Of a summary, ``processes`` are its processes or groups, without the rest. ``active_only``
    leaves out processes and cgroups that were idle in the tick. Raises :class:`~cpuwatch.errors.MissingExtraError`
    without pyarrow.
    """
    if isinstance(source, Summary):
        columns, rows = summary_table(source, table)
    else:
        flat = flat_table(table)
        snapshots = [source] if isinstance(source, Snapshot) else source
        columns, rows = flat.columns, (row for snapshot in snapshots for row in flat.rows(snapshot, active_only))
    batches = (record_batch(columns, chunk) for chunk in chunks(rows, BATCH_ROWS))
    made: pa.Table = import_pyarrow().Table.from_batches(batches, arrow_schema(columns)).unify_dictionaries()
    return made


def to_polars(
    source: Snapshot | Iterable[Snapshot] | Summary, table: TableName = "processes", *, active_only: bool = False
) -> pl.DataFrame:
    """The same as :func:`to_arrow`, as a ``polars.DataFrame``. Texts are categorical."""
    try:
        import polars  # noqa: PLC0415, ICN001  optional, and slow to import
    except ModuleNotFoundError:
        raise MissingExtraError("to_polars() needs polars: install cpuwatch with [arrow], and polars") from None
    frame = polars.from_arrow(to_arrow(source, table, active_only=active_only))
    assert isinstance(frame, polars.DataFrame)  # noqa: S101  a Series comes of an array only
    return frame


def to_pandas(
    source: Snapshot | Iterable[Snapshot] | Summary, table: TableName = "processes", *, active_only: bool = False
) -> pd.DataFrame:
    """The same as :func:`to_arrow`, as a ``pandas.DataFrame``. Texts are categorical; integers may be ``pandas.NA``."""
    try:
        import pandas  # noqa: PLC0415, ICN001  optional, and slow to import
    except ModuleNotFoundError:
        raise MissingExtraError("to_pandas() needs pandas: install cpuwatch with [arrow], and pandas") from None
    arrow = to_arrow(source, table, active_only=active_only)
    # Otherwise a column of integers with an unknown one would become floats.
    nullable = {import_pyarrow().int64(): pandas.Int64Dtype(), import_pyarrow().bool_(): pandas.BooleanDtype()}
    frame: pd.DataFrame = arrow.to_pandas(types_mapper=nullable.get)
    return frame


def import_pyarrow() -> ModuleType:
    """The package pyarrow. Raises :class:`~cpuwatch.errors.MissingExtraError` if it is not installed."""
    try:
        import pyarrow  # noqa: PLC0415, ICN001  optional, and slow to import
    except ModuleNotFoundError:
        raise MissingExtraError("Arrow and Parquet need the extra 'arrow': install cpuwatch with [arrow]") from None
    module: ModuleType = pyarrow
    return module


def arrow_schema(columns: Sequence[FlatColumn]) -> pa.Schema:
    """The types of a table in Arrow.

    All integers have 64 bits: a PID on Windows has 32 without a sign, and encodings make nothing of leading zeros.
    """
    pyarrow = import_pyarrow()
    types = {
        "boolean": pyarrow.bool_(),
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "numbers": pyarrow.list_(pyarrow.float64()),
        "text": pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
        "time": pyarrow.timestamp("us", tz="UTC"),
    }
    return pyarrow.schema([(column.name, types[column.type]) for column in columns])


def record_batch(columns: Sequence[FlatColumn], rows: Sequence[Row]) -> pa.RecordBatch:
    """Rows of a table, at least one, as a record batch."""
    schema = arrow_schema(columns)
    arrays = [_array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)]
    batch: pa.RecordBatch = import_pyarrow().record_batch(arrays, schema)
    return batch


def chunks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """The items in lists of this size, except the last one."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    pyarrow = import_pyarrow()
    if not pyarrow.types.is_dictionary(kind):
        return pyarrow.array(values, kind)
    try:
        texts = pyarrow.array(values, pyarrow.string())
    except UnicodeEncodeError:
        # Lone surrogates, which a third-party sampler may return.
        texts = pyarrow.array([text and text_without_surrogates(text) for text in values], pyarrow.string())
    return texts.dictionary_encode()
