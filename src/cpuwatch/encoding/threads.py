"""The threads of a process as JSON, as lines of JSON, and as a table for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec.structs import asdict, replace

from cpuwatch.encoding.columns import aligned, clipped, wrapped
from cpuwatch.encoding.json import encode
from cpuwatch.encoding.rounded import rounded_rows
from cpuwatch.encoding.table import cell
from cpuwatch.query.threads import THREAD_FIELDS
from cpuwatch.text import printable, time_text
from cpuwatch.thread_usage import ThreadsSnapshot

__all__ = ["THREAD_ENCODERS", "threads_table"]

_COLUMNS = (
    *("tid", "state", "last_cpu", "cpu_percent", "wait_percent", "user_percent", "system_percent"),
    *("cpu_seconds", "name"),
)
_HEADINGS = tuple(THREAD_FIELDS[name].heading for name in _COLUMNS)
_LEFT_ALIGNED = {field.heading for field in THREAD_FIELDS.values() if field.type in {"text", "time"}}
_DISPENSABLE = ("SYS%", "USER%", "TIME", "LASTCPU", "S")
"""The columns to drop on a narrow terminal, in this order."""
_MIN_LAST_CELLS = 16


def threads_table(
    snapshot: ThreadsSnapshot,
    *,
    encoding: str = "utf-8",
    width: int | None = None,
    max_rows: int | None = None,
    hint: str = "",
) -> str:
    """The sums of the process, then a row for each thread in the snapshot's order.

    Names are escaped, lines truncated and rows limited as in :func:`~cpuwatch.encoding.table.table`.
    """
    return "".join(f"{line}\n" for line in _table_lines(snapshot, encoding, width, max_rows, hint))


def _table_lines(
    snapshot: ThreadsSnapshot, encoding: str, width: int | None, max_rows: int | None, hint: str
) -> Iterator[str]:
    for line in _head(snapshot):
        yield from wrapped(printable(line, encoding), width)
    yield ""
    yield from aligned(
        _HEADINGS,
        [[cell(THREAD_FIELDS[name], getattr(row, name)) for name in _COLUMNS] for row in snapshot.threads[:max_rows]],
        left=_LEFT_ALIGNED,
        dispensable=_DISPENSABLE,
        encoding=encoding,
        width=width,
        min_last=_MIN_LAST_CELLS,
    )
    if max_rows is not None and len(snapshot.threads) > max_rows:
        yield clipped(f"... {len(snapshot.threads) - max_rows} more{hint}", width)


def _head(snapshot: ThreadsSnapshot) -> Iterator[str]:
    cpu, ended, wait = (
        cell(THREAD_FIELDS[name], value)
        for name, value in (
            ("cpu_percent", snapshot.cpu_percent),
            ("cpu_percent", snapshot.ended_percent),
            ("wait_percent", snapshot.wait_percent),
        )
    )
    yield f"{snapshot.name}  PID {snapshot.pid}  {time_text(snapshot.time)}  {snapshot.interval_seconds:.3f} s"
    yield f"process: CPU {cpu} %  of threads that ended {ended} %  waiting {wait} %  threads {snapshot.thread_count}"
    if snapshot.unread:
        yield f"not read: {snapshot.unread} threads, because a reading takes a limited number"


def _json(snapshot: ThreadsSnapshot) -> bytes:
    return encode(_rounded(snapshot))


def _ndjson(snapshot: ThreadsSnapshot) -> bytes:
    """A line with the sums of the process, then a line for each thread; ``kind`` is the type of the line."""
    shown = asdict(_rounded(snapshot))
    rows = shown.pop("threads")
    lines = [{"kind": "threads", **shown}, *({"kind": "thread", **asdict(row)} for row in rows)]
    return b"".join(encode(line) + b"\n" for line in lines)


def _text(snapshot: ThreadsSnapshot) -> bytes:
    return threads_table(snapshot).encode()


def _rounded(snapshot: ThreadsSnapshot) -> ThreadsSnapshot:
    (head,) = rounded_rows([snapshot])
    return replace(head, threads=rounded_rows(snapshot.threads))


THREAD_ENCODERS: Mapping[str, Callable[[ThreadsSnapshot], bytes]] = {"json": _json, "ndjson": _ndjson, "text": _text}
"""By the names of :data:`~cpuwatch.encoding.formats.FORMATS`."""
