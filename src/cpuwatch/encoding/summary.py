"""A summary of a recording as JSON, and as a table for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from cpuwatch.encoding.columns import aligned, wrapped
from cpuwatch.encoding.json import encode
from cpuwatch.encoding.rounded import rounded_rows
from cpuwatch.query.summary import ExitedSummary, GroupSummaries, GroupSummary, ProcessSummaries, ProcessSummary
from cpuwatch.text import printable

__all__ = ["encode_summary", "local_text", "summary_table"]

_PROCESS_HEADINGS = ("PID", "USER", "SECONDS", "OWN", "EXITED", "MEAN%", "PEAK%", "NAME")
_GROUP_HEADINGS = ("SECONDS", "EXITED", "MEAN%", "PEAK%", "GROUP")
_EXITED_HEADINGS = ("PARENT", "USER", "SECONDS", "NAME")
_LEFT_ALIGNED = {"USER", "NAME", "GROUP", "PARENT"}
_DISPENSABLE = ("OWN", "EXITED", "USER", "PEAK%")
"""The columns to drop on a narrow terminal, in this order."""
_MIN_LAST_CELLS = 16

_Value = TypeVar("_Value", bound=Struct)


def encode_summary(summary: ProcessSummaries | GroupSummaries) -> bytes:
    """The summary as JSON, rounded to a microsecond and a ten-thousandth of a percent."""
    parts: dict[str, Any] = {name: _rounded(getattr(summary, name)) for name in ("machine", "attribution", "rest")}
    for name in ("processes", "exited") if isinstance(summary, ProcessSummaries) else ("groups",):
        parts[name] = rounded_rows(getattr(summary, name))
    return encode(replace(_rounded(summary), **parts))


def _rounded(value: _Value) -> _Value:
    (result,) = rounded_rows([value])
    return result


def summary_table(
    summary: ProcessSummaries | GroupSummaries,
    zone: tzinfo | None = None,
    *,
    encoding: str = "utf-8",
    width: int | None = None,
) -> str:
    """The machine and its attribution, then a row for each process or group, and the rest; amounts in CPU seconds.

    Times are in ``zone``, by default that of the system. Names are escaped, and lines truncated, as in
    :func:`~cpuwatch.encoding.table.table`.
    """
    return "".join(f"{line}\n" for line in _lines(summary, zone, encoding, width))


def _lines(
    summary: ProcessSummaries | GroupSummaries, zone: tzinfo | None, encoding: str, width: int | None
) -> Iterator[str]:
    def rows(headings: Sequence[str], cells: Sequence[tuple[str, ...]]) -> Iterator[str]:
        return aligned(
            headings,
            cells,
            left=_LEFT_ALIGNED,
            dispensable=_DISPENSABLE,
            encoding=encoding,
            width=width,
            min_last=_MIN_LAST_CELLS,
        )

    def text(line: str) -> list[str]:
        return wrapped(printable(line, encoding), width)

    for line in _head(summary, zone):
        yield from text(line)
    yield ""
    if isinstance(summary, GroupSummaries):
        yield from rows(_GROUP_HEADINGS, list(map(_group_cells, summary.groups)))
        yield from text(f"rest: {_seconds(summary.rest.cpu_seconds)}  exited {_seconds(summary.rest.exited_seconds)}")
        return
    yield from rows(_PROCESS_HEADINGS, list(map(_process_cells, summary.processes)))
    yield from text(f"rest: own {_seconds(summary.rest.cpu_seconds)}  exited {_seconds(summary.rest.exited_seconds)}")
    if summary.exited:
        yield ""
        yield from text("exited processes, by the parent that waited for them")
        yield from rows(_EXITED_HEADINGS, list(map(_exited_cells, summary.exited)))
        yield from text(f"rest: {_seconds(summary.exited_rest_seconds)}")


def _head(summary: ProcessSummaries | GroupSummaries, zone: tzinfo | None) -> list[str]:
    machine, attribution = summary.machine, summary.attribution
    length_seconds = (summary.end - summary.start).total_seconds()
    gap_seconds = max(0.0, length_seconds - summary.covered_seconds)
    lines = [
        f"{local_text(summary.start, zone)} to {local_text(summary.end, zone)}",
        f"covered {_span(summary.covered_seconds)} of {_span(length_seconds)}, {summary.ticks} ticks"
        # A range seldom begins and ends with a tick.
        + (f"; nothing recorded for {_span(gap_seconds)}" if gap_seconds > _UNREMARKABLE_SECONDS else ""),
    ]
    if summary.resolution_seconds is not None:
        lines.append("only whole minutes are counted where the range ends: their ticks have been deleted")
    if machine.busy_percent is not None:
        lines.append(
            f"machine {machine.busy_percent:.1f} %  peak {machine.peak_percent:.1f} %  "
            f"{_seconds(machine.busy_cpu_seconds)} of {_seconds(machine.capacity_cpu_seconds)} CPU seconds"
        )
        lines.append(
            f"attributed: processes {_seconds(attribution.processes_seconds)}  "
            f"exited {_seconds(attribution.exited_seconds)}  "
            f"unattributed {_seconds(attribution.unattributed_seconds)}"
        )
    return lines


_UNREMARKABLE_SECONDS = 2


def local_text(time: datetime, zone: tzinfo | None = None) -> str:
    """A time to the second with its offset and the name of its zone, by default that of the system."""
    local = time.astimezone(zone)
    return f"{local.isoformat(' ', 'seconds')} {local.tzname()}"


def _span(seconds: float) -> str:
    """``1 d 02:03:04``, ``02:03:04`` or ``3:04``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02}:{minute:02}:{second:02}"
    return f"{hour:02}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def _process_cells(row: ProcessSummary) -> tuple[str, ...]:
    return (
        str(row.pid),
        row.user or "-",
        _seconds(row.total_seconds),
        _seconds(row.cpu_seconds),
        _seconds(row.exited_seconds),
        _percent(row.mean_percent),
        _percent(row.peak_percent),
        row.name,
    )


def _group_cells(row: GroupSummary) -> tuple[str, ...]:
    return (
        _seconds(row.cpu_seconds),
        _seconds(row.exited_seconds),
        _percent(row.mean_percent),
        _percent(row.peak_percent),
        "-" if row.group is None else row.group,
    )


def _exited_cells(row: ExitedSummary) -> tuple[str, ...]:
    return row.parent_name or "-", row.user or "-", _seconds(row.cpu_seconds), "-" if row.name is None else row.name


def _seconds(seconds: float) -> str:
    # Rounding can make the rest slightly negative.
    return f"{seconds if abs(seconds) >= 0.005 else 0.0:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
